"""SPDY/3.1 frames and header blocks by hand: nothing here comes from the code under test."""

from __future__ import annotations

import zlib

FIN = 1


def number(value: int, size: int = 4) -> bytes:
    return value.to_bytes(size, "big")


def control(kind: int, payload: bytes = b"", *, flags: int = 0, version: int = 3) -> bytes:
    head = number(0x8000 | version, 2) + number(kind, 2) + number(flags, 1)
    return head + number(len(payload), 3) + payload


def data(stream_id: int, payload: bytes = b"", *, fin: bool = False) -> bytes:
    return number(stream_id) + number(FIN if fin else 0, 1) + number(len(payload), 3) + payload


def rst(stream_id: int, code: int = 5) -> bytes:
    return control(3, number(stream_id) + number(code))


def ping(value: int) -> bytes:
    return control(6, number(value))


def goaway(last: int = 0, code: int = 0) -> bytes:
    return control(7, number(last) + number(code))


def block(headers: list[tuple[bytes, bytes]], count: int | None = None) -> bytes:
    """A header block before compression; `count` lies about its headers."""
    packed = number(len(headers) if count is None else count)
    for name, value in headers:
        packed += number(len(name)) + name + number(len(value)) + value
    return packed


class Peer:
    """Makes the frames of one direction; its header blocks share one zlib stream.

    Args:
        dictionary: what both ends begin to compress with.
    """

    def __init__(self, dictionary: bytes) -> None:
        self._zlib = zlib.compressobj(zdict=dictionary)

    def pack(self, plain: bytes) -> bytes:
        return self._zlib.compress(plain) + self._zlib.flush(zlib.Z_SYNC_FLUSH)

    def syn(
        self, stream_id: int, headers: dict[str, str] | None = None, *, fin: bool = False
    ) -> bytes:
        pairs = [(name.encode(), value.encode()) for name, value in (headers or {}).items()]
        return self.syn_of(stream_id, block(pairs), fin=fin)

    def syn_of(self, stream_id: int, plain: bytes, *, fin: bool = False) -> bytes:
        head = number(stream_id) + number(0) + bytes(2)
        return control(1, head + self.pack(plain), flags=FIN if fin else 0)

    def reply(self, stream_id: int, *, fin: bool = False) -> bytes:
        payload = number(stream_id) + self.pack(block([]))
        return control(2, payload, flags=FIN if fin else 0)
