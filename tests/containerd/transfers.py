"""A receiver that counts and hashes what comes, for amounts that are too many to keep."""

from __future__ import annotations

import hashlib

from peers.streams import Recorder, chunk

from kfwd_nb.transport.stream import ByteStream

MIB = 1 << 20

UPGRADE = {"upgrade": "SPDY/3.1", "x-stream-protocol-version": "portforward.k8s.io"}


class Digest(Recorder):
    """A `Recorder` that does not keep what it hears."""

    def __init__(self, stream: ByteStream) -> None:
        super().__init__(stream)
        self.count = 0
        self._seen = hashlib.sha256()
        stream.start(self)

    def data_received(self, buffer: memoryview, start: int, end: int) -> None:
        self._called("data") if "data" not in self.calls else None
        self._seen.update(buffer[start:end])
        self.count += end - start

    @property
    def digest(self) -> bytes:
        return self._seen.digest()


def number(count: int) -> tuple[memoryview, int, int]:
    """What ports 70, 71 and 80 want to be told first."""
    return chunk(count.to_bytes(8, "big"))


def digest_of_sent(count: int) -> bytes:
    """SHA-256 of what the server sends when it is asked for `count` octets."""
    piece = hashlib.shake_128(b"kfwd").digest(1 << 18)
    seen = hashlib.sha256()
    while count:
        seen.update(piece[:count])
        count -= min(count, len(piece))
    return seen.digest()
