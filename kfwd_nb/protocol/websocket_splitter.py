"""Cuts a WebSocket peer's octets into frames (RFC 6455 §5.2): payload in pieces, control whole.

Payload that has no mask is handed on as a part of what was received; a mask is taken off on the
way, and nothing is gathered but heads and control frames.
"""

from __future__ import annotations

from typing import NamedTuple

from kfwd_nb.errors import LimitError, RemoteProtocolError
from kfwd_nb.protocol import websocket_frames as frames


class Piece(NamedTuple):
    """A part of a message's payload, valid until the next call; a message is one or more."""

    data: bytes | memoryview
    text: bool
    last: bool


class Control(NamedTuple):
    """A whole control frame."""

    opcode: int
    data: bytes


class WebSocketSplitter:
    """Where we are in the peer's octets. What comes after a close is ignored (RFC 6455 §1.4).

    Args:
        masked: the peer is a client, all of whose frames have a mask.
        max_frame: octets of payload that a frame may have.
    """

    def __init__(self, *, masked: bool, max_frame: int) -> None:
        self._closed = False
        self._in_message = False  # one has begun whose last frame has not
        self._masked = masked
        self._max_frame = max_frame
        self._head = b""  # of a frame, as far as it has come
        self._left = 0  # octets of payload that the frame still lacks
        self._key = b""  # turned to the octet that comes next
        self._control: int | None = None  # opcode of the control frame that we are in
        self._gathered = b""  # of that frame
        self._text = False
        self._fin = False

    def split(self, data: memoryview, found: list[Piece | Control]) -> None:
        """Add what `data` holds to `found`.

        Raises:
            RemoteProtocolError: a frame that cannot be; the connection is of no use any more.
            LimitError: a frame that is too long; the same.
        """
        position, end = 0, len(data)
        while position < end and not self._closed:
            if not self._left:
                known = len(self._head)
                head = self._head + data[position : position + frames.LONGEST_HEAD - known]
                length = self._begin(head)
                if not length:
                    self._head = head
                    return
                self._head = b""
                position += length - known
            stop = min(position + self._left, end)
            if stop > position or not self._left:
                self._pass(data[position:stop], stop - position, found)
            position = stop

    def _pass(self, data: memoryview, count: int, found: list[Piece | Control]) -> None:
        """Payload of the frame we are in: none, if it has none."""
        self._left -= count
        plain: bytes | memoryview = data
        if self._masked:
            plain = frames.apply_mask(data, self._key)
            if self._left:
                self._key = frames.turned(self._key, count)
        if self._control is None:
            found.append(Piece(plain, self._text, self._fin and not self._left))
            return
        self._gathered += plain
        if not self._left:
            found.append(Control(self._control, self._gathered))
            self._gathered = b""
            self._closed = self._control == frames.CLOSE

    def _begin(self, head: bytes) -> int:
        """Begin a frame; octets of its head, 0 when that has not come whole."""
        if len(head) < 2:
            return 0
        first, second = head[0], head[1]
        opcode = first & frames.OPCODE
        self._check(first, opcode, second)
        size, length = 2, second & frames.LENGTH
        if length >= frames.LENGTH_16:
            size = 4 if length == frames.LENGTH_16 else 10
            if len(head) < size:
                return 0
            length = self._long(head[2:size])
        if self._masked:
            size += 4
            if len(head) < size:
                return 0
            self._key = head[size - 4 : size]
        self._left = length
        if opcode >= frames.CLOSE:
            self._control = opcode
            return size
        self._control = None
        self._fin = first >= frames.FIN
        self._in_message = not self._fin
        if opcode != frames.CONTINUATION:
            self._text = opcode == frames.TEXT
        return size

    def _check(self, first: int, opcode: int, second: int) -> None:
        """The two octets that every head begins with."""
        if first & frames.RESERVED:
            raise RemoteProtocolError("no WebSocket: a reserved bit is set.")
        if (second >= frames.MASKED) is not self._masked:
            words = "without a mask" if self._masked else "with a mask"
            raise RemoteProtocolError(f"no WebSocket: a frame {words}.")
        if opcode <= frames.BINARY:
            if (opcode == frames.CONTINUATION) is not self._in_message:
                words = "inside a message" if self._in_message else "of no message"
                raise RemoteProtocolError(f"no WebSocket: a frame {words} has opcode {opcode}.")
        elif not frames.CLOSE <= opcode <= frames.PONG:
            raise RemoteProtocolError(f"no WebSocket: opcode {opcode}.")
        elif not first & frames.FIN:
            raise RemoteProtocolError("no WebSocket: a control frame in parts.")
        elif second & frames.LENGTH > frames.LONGEST_CONTROL:
            raise RemoteProtocolError("no WebSocket: a control frame is too long.")
        elif opcode == frames.CLOSE and self._in_message:
            raise RemoteProtocolError("no WebSocket: a close inside a message.")

    def _long(self, octets: bytes) -> int:
        """A length of two or eight octets: a shorter form must not do (RFC 6455 §5.2)."""
        length = int.from_bytes(octets, "big")
        if length < (frames.LENGTH_16 if len(octets) == 2 else 1 << 16) or length >> 63:
            raise RemoteProtocolError("no WebSocket: a length in the wrong form.")
        if length > self._max_frame:
            raise LimitError(f"the peer sends a frame of more than {self._max_frame} octets.")
        return length
