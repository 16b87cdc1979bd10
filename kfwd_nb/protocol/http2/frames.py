"""The frame header, and the few frames that pass by `h2` (RFC 9113 §4.1, §6.1, §6.9)."""

from __future__ import annotations

import struct

HEADER_LENGTH = 9
"""Octets of a frame header."""

DATA = 0x0
HEADERS = 0x1
PUSH_PROMISE = 0x5
GOAWAY = 0x7
WINDOW_UPDATE = 0x8
CONTINUATION = 0x9

END_STREAM = 0x1
END_HEADERS = 0x4
PADDED = 0x8

_HEADER = struct.Struct(">HBBBL")
_STREAM_ID = 0x7FFF_FFFF


def pack_header(
    buffer: bytearray | memoryview, offset: int, length: int, kind: int, flags: int, stream_id: int
) -> None:
    """Write a frame header of nine octets at `offset`."""
    _HEADER.pack_into(buffer, offset, length >> 8, length & 0xFF, kind, flags, stream_id)


def unpack_header(buffer: bytes | bytearray | memoryview, offset: int) -> tuple[int, int, int, int]:
    """Read a frame header: (length, type, flags, stream id)."""
    high, low, kind, flags, stream_id = _HEADER.unpack_from(buffer, offset)
    return (high << 8) | low, kind, flags, stream_id & _STREAM_ID


def window_update(stream_id: int, increment: int) -> bytes:
    """A whole WINDOW_UPDATE frame; stream 0 is the connection."""
    frame = bytearray(HEADER_LENGTH + 4)
    pack_header(frame, 0, 4, WINDOW_UPDATE, 0, stream_id)
    frame[HEADER_LENGTH:] = increment.to_bytes(4, "big")
    return bytes(frame)


def end_of_stream(stream_id: int) -> bytes:
    """An empty DATA frame with END_STREAM: how `h2` learns that a direction is over."""
    frame = bytearray(HEADER_LENGTH)
    pack_header(frame, 0, 0, DATA, END_STREAM, stream_id)
    return bytes(frame)
