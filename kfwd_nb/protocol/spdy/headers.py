"""Header blocks and their compression (SPDY/3 draft, §2.6.10).

A block is a count, then for each header its name and its value, each after its length; all numbers
are 32 bits, big-endian. One zlib stream goes through all blocks of a direction, so a block that
cannot be read ends the connection: what follows could not be read either.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Mapping

from kfwd_nb.errors import RemoteProtocolError
from kfwd_nb.protocol.spdy.dictionary import DICTIONARY

MAX_BLOCK = 1 << 16
"""Octets of a header block, unpacked. Go's peers take 1 MiB a field; Kubernetes sends about 60."""

MAX_HEADERS = 1000
"""Headers of a block; the same as Go's peers take."""

_NUMBER = struct.Struct(">I")


class HeaderPacker:
    """Packs the blocks of one direction."""

    def __init__(self) -> None:
        self._zlib = zlib.compressobj(9, zdict=DICTIONARY)

    def pack(self, headers: Mapping[str, str]) -> bytes:
        """One block, compressed; names are sent in lowercase, as the protocol wants them."""
        block = bytearray(_NUMBER.pack(len(headers)))
        for name, value in headers.items():
            for text in (name.lower(), value):
                octets = text.encode()
                block += _NUMBER.pack(len(octets)) + octets
        return self._zlib.compress(block) + self._zlib.flush(zlib.Z_SYNC_FLUSH)


class HeaderUnpacker:
    """Unpacks the blocks of one direction."""

    def __init__(self) -> None:
        self._zlib = zlib.decompressobj(zdict=DICTIONARY)

    def unpack(self, packed: bytes) -> dict[str, str]:
        """The headers of one block; several values of one name are joined by NUL.

        Raises:
            RemoteProtocolError: it is no block, or exceeds a limit.
        """
        try:
            block = self._zlib.decompress(packed, MAX_BLOCK + 1)
        except zlib.error as error:
            raise RemoteProtocolError(f"SPDY headers cannot be unpacked: {error}.") from None
        if len(block) > MAX_BLOCK or self._zlib.unconsumed_tail:
            raise RemoteProtocolError(f"SPDY headers exceed {MAX_BLOCK} octets.")
        try:
            return _parse(block)
        except struct.error:
            raise RemoteProtocolError("a block of SPDY headers is cut off.") from None


def _parse(block: bytes) -> dict[str, str]:
    (count,) = _NUMBER.unpack_from(block, 0)
    if count > MAX_HEADERS:
        raise RemoteProtocolError(f"more than {MAX_HEADERS} SPDY headers.")
    headers: dict[str, str] = {}
    at = _NUMBER.size
    for _ in range(count):
        name, at = _text(block, at)
        value, at = _text(block, at)
        if not name or name != name.lower() or name in headers:
            raise RemoteProtocolError(f"a SPDY header is called {name[:40]!r} (twice, perhaps).")
        headers[name] = value
    if at != len(block):
        raise RemoteProtocolError("SPDY headers are followed by something else.")
    return headers


def _text(block: bytes, at: int) -> tuple[str, int]:
    (length,) = _NUMBER.unpack_from(block, at)
    at += _NUMBER.size
    if at + length > len(block):
        raise RemoteProtocolError("a SPDY header is longer than its block.")
    return block[at : at + length].decode(errors="replace"), at + length
