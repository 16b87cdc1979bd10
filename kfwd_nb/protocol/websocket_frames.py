"""The layout of a WebSocket frame's head, and masks (RFC 6455 §5.2, §5.3)."""

from __future__ import annotations

import secrets
import struct

try:
    from websockets.speedups import apply_mask
except ImportError:  # its wheel for this platform has no C
    from websockets.utils import apply_mask

__all__ = ["apply_mask", "frame", "head", "new_key", "turned"]

CONTINUATION, TEXT, BINARY = 0x0, 0x1, 0x2
CLOSE, PING, PONG = 0x8, 0x9, 0xA
"""Opcodes; there is none between and after these."""

FIN = 0x80
RESERVED = 0x70
OPCODE = 0x0F

MASKED = 0x80
LENGTH = 0x7F
LENGTH_16 = 126
LENGTH_64 = 127

LONGEST_HEAD = 14
LONGEST_CONTROL = 125
"""Octets of a control frame's payload (RFC 6455 §5.5)."""

_HEAD = struct.Struct("!BB")
_HEAD_16 = struct.Struct("!BBH")
_HEAD_64 = struct.Struct("!BBQ")


def new_key() -> bytes:
    """A mask that nobody can foresee: four octets, 0.6 µs."""
    return secrets.token_bytes(4)


def head(opcode: int, length: int, key: bytes) -> bytes:
    """The head of a frame that is a whole message.

    Args:
        opcode: what the frame is.
        length: octets of its payload.
        key: its mask; empty for none.
    """
    mask = MASKED if key else 0
    if length < LENGTH_16:
        return _HEAD.pack(FIN | opcode, mask | length) + key
    if length < 1 << 16:
        return _HEAD_16.pack(FIN | opcode, mask | LENGTH_16, length) + key
    return _HEAD_64.pack(FIN | opcode, mask | LENGTH_64, length) + key


def frame(opcode: int, payload: bytes | bytearray | memoryview, key: bytes) -> bytes:
    """A frame that is a whole message."""
    return head(opcode, len(payload), key) + (apply_mask(payload, key) if key else payload)


def turned(key: bytes, count: int) -> bytes:
    """The mask as it is `count` octets further on."""
    count %= 4
    return key[count:] + key[:count]
