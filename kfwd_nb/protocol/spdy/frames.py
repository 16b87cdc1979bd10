"""Frames of SPDY/3.1 as Kubernetes speaks it: the version field says 3 (SPDY/3 draft, §2.2).

A control frame begins with its top bit set, 15 bits of version and 16 of type; a data frame with
31 bits of stream id. Then 8 bits of flags and 24 of length. All numbers are big-endian.
"""

from __future__ import annotations

import struct

VERSION = 3

HEADER_LENGTH = 8
"""Octets of a frame header."""

MAX_DATA = (1 << 24) - 1
"""Octets of a data frame."""

MAX_CONTROL = 1 << 16
"""Octets of a control frame; those of Kubernetes have about 100."""

SYN_STREAM = 1
SYN_REPLY = 2
RST_STREAM = 3
SETTINGS = 4
PING = 6
GOAWAY = 7
HEADERS = 8
WINDOW_UPDATE = 9

FLAG_FIN = 0x01
FLAG_UNIDIRECTIONAL = 0x02

PROTOCOL_ERROR = 1
INVALID_STREAM = 2
REFUSED_STREAM = 3
CANCEL = 5
STREAM_ALREADY_CLOSED = 9
"""Codes of RST_STREAM (§2.6.3)."""

STREAM_ID = 0x7FFF_FFFF
CONTROL = 0x8000_0000

_HEADER = struct.Struct(">II")
_WORD = struct.Struct(">I")
_WORDS = struct.Struct(">II")
_SYN = struct.Struct(">IIH")


def pack_data_header(
    buffer: bytearray | memoryview, offset: int, stream_id: int, flags: int, length: int
) -> None:
    """Write the header of a data frame, eight octets, at `offset`."""
    _HEADER.pack_into(buffer, offset, stream_id, flags << 24 | length)


def unpack_header(buffer: bytes | bytearray | memoryview, offset: int) -> tuple[int, int, int]:
    """Read a frame header: (first word, flags, length)."""
    word, rest = _HEADER.unpack_from(buffer, offset)
    return word, rest >> 24, rest & 0xFF_FFFF


def control(kind: int, payload: bytes, flags: int = 0) -> bytes:
    """A whole control frame."""
    word = CONTROL | VERSION << 16 | kind
    return _HEADER.pack(word, flags << 24 | len(payload)) + payload


def data(stream_id: int, payload: bytes = b"", flags: int = 0) -> bytes:
    """A whole data frame."""
    return _HEADER.pack(stream_id, flags << 24 | len(payload)) + payload


def syn_stream(stream_id: int, block: bytes, flags: int = 0) -> bytes:
    """Opens a stream: no associated stream, priority 0, no slot."""
    return control(SYN_STREAM, _SYN.pack(stream_id, 0, 0) + block, flags)


def syn_reply(stream_id: int, block: bytes) -> bytes:
    """Takes a stream."""
    return control(SYN_REPLY, _WORD.pack(stream_id) + block)


def rst_stream(stream_id: int, code: int) -> bytes:
    """Ends a stream in both directions."""
    return control(RST_STREAM, _WORDS.pack(stream_id, code))


def ping(number: int) -> bytes:
    """Asks, or answers."""
    return control(PING, _WORD.pack(number))


def goaway(last_stream_id: int, code: int = 0) -> bytes:
    """Says that nothing new will be taken."""
    return control(GOAWAY, _WORDS.pack(last_stream_id, code))
