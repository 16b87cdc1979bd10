"""Messages of a WebSocket (RFC 6455), and the frames of what its binary messages carry.

A message is told before the frames that end in it. It may hold a part of a frame only, or several.
"""

from __future__ import annotations

from kfwd_nb.errors import KfwdError
from kfwd_nb.protocol import websocket_frames
from kfwd_nb.protocol.dissect.frame import UNREADABLE, Frame
from kfwd_nb.protocol.dissect.reader import Dissector
from kfwd_nb.protocol.websocket_splitter import Control, Piece, WebSocketSplitter

MAX_LENGTH = 1 << 31
"""Octets of one frame beyond which this is taken for no WebSocket."""

MAX_HELD = 1000
"""Frames that wait for the end of the message that they lie in; then they are told before it."""

_CONTROL = {
    websocket_frames.CLOSE: "CLOSE",
    websocket_frames.PING: "PING",
    websocket_frames.PONG: "PONG",
}


class WebSocketDissector(Dissector):
    """Reads what one side of a connection sent.

    Args:
        inner: reads the byte stream that the messages carry.
        masked: it is the client's side.
    """

    def __init__(self, inner: Dissector, *, masked: bool) -> None:
        self._inner = inner
        self._splitter = WebSocketSplitter(masked=masked, max_frame=MAX_LENGTH)
        self._length = 0  # of the message that we are in
        self._held: list[Frame] = []
        self._over = False

    def feed(self, data: bytes | memoryview) -> list[Frame]:
        """See `Dissector.feed`."""
        if self._over:
            return []
        frames: list[Frame] = []
        found: list[Piece | Control] = []
        wrong: KfwdError | None = None
        try:
            self._splitter.split(memoryview(data), found)
        except KfwdError as error:
            wrong = error
        for part in found:
            if isinstance(part, Piece):
                self._piece(part, frames)
            else:
                frames.append(_control(part))
        if wrong is not None:
            self._over = True
            frames += [*self._held, Frame("WebSocket", UNREADABLE, 0, note=wrong.what)]
        return frames

    def end(self) -> list[Frame]:
        """See `Dissector.end`."""
        if self._over:
            return []
        self._over = True
        message = [Frame("WebSocket", "BINARY", self._length, note="cut off")]
        return [*(message if self._length else []), *self._held, *self._inner.end()]

    def _piece(self, piece: Piece, frames: list[Frame]) -> None:
        self._length += len(piece.data)
        if not piece.text:
            self._held += self._inner.feed(piece.data)
        if piece.last:
            kind = "TEXT" if piece.text else "BINARY"
            frames.append(Frame("WebSocket", kind, self._length))
            self._length = 0
        if piece.last or len(self._held) >= MAX_HELD:
            frames += self._held
            self._held = []


def _control(part: Control) -> Frame:
    fields: tuple[tuple[str, str], ...] = ()
    if part.opcode == websocket_frames.CLOSE and len(part.data) >= 2:
        fields = (("code", str(int.from_bytes(part.data[:2], "big"))),)
    return Frame("WebSocket", _CONTROL[part.opcode], len(part.data), fields=fields)
