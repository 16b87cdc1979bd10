"""Drives one `WebSocketConnection` over a transport, either role; subclasses make use of it."""

from __future__ import annotations

import asyncio
from abc import abstractmethod

from websockets.frames import CloseCode

from kfwd_nb.errors import KfwdError, LimitError, LostError, ProtocolError
from kfwd_nb.protocol.websocket import Piece, WebSocketConnection
from kfwd_nb.transport.buffers import read_buffer
from kfwd_nb.transport.close_timer import CloseTimer
from kfwd_nb.transport.stream import HEADROOM

MAX_UNREAD = 1 << 23
"""Octets that may wait for a peer that pings and pings and reads no answer."""


class WebSocketDriver(asyncio.BufferedProtocol):
    """One connection on the event loop.

    The subclass hears `opened`, then `received` for what comes, and at last `ended`, once.

    Attributes:
        over: nothing more is sent or received; the connection may still be closing.
    """

    def __init__(self, *, client: bool) -> None:
        self.over = False
        self._socket = WebSocketConnection(client=client)
        self._transport: asyncio.Transport | None = None
        self._timer: CloseTimer | None = None

    @abstractmethod
    def opened(self) -> None:
        """The connection is there."""

    @abstractmethod
    def received(self, pieces: list[Piece]) -> None:
        """Data has come. A KfwdError ends the connection, and the peer is told."""

    @abstractmethod
    def ended(self, error: KfwdError | None) -> None:
        """Nothing more comes: the peer closed, or the connection broke. Not after our own end."""

    # -- asyncio.BufferedProtocol -----------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """The handshake is over."""
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        self.opened()

    def get_buffer(self, sizehint: int) -> memoryview:
        """The loop's own buffer."""
        return read_buffer()[HEADROOM:]

    def buffer_updated(self, nbytes: int) -> None:
        """Read frames, pass their payload on, answer pings and closes."""
        pieces = self._socket.receive(read_buffer()[HEADROOM : HEADROOM + nbytes])
        self.flush()
        if self._transport and self._transport.get_write_buffer_size() > MAX_UNREAD:
            self.fail(LimitError(f"the peer leaves {MAX_UNREAD} octets unread."))
            self.abort()
        if self.over:
            pieces = []  # it is being closed by us
        if pieces:
            try:
                self.received(pieces)
            except KfwdError as error:
                self.fail(error)
        if self._socket.ended:
            self._finish(self._socket.error)
            self._close_soon()

    def eof_received(self) -> None:
        """The peer closes the connection under the WebSocket, and may still read what waits."""
        self._close_in_time()

    def connection_lost(self, exc: Exception | None) -> None:
        """The connection under the WebSocket is gone."""
        self._transport = None
        if self._timer is not None:
            self._timer.cancel()
        self._socket.receive_eof()
        error = self._socket.error
        if exc is not None:
            error = LostError(f"the connection broke: {str(exc) or type(exc).__name__}.")
        self._finish(error)

    # -- what the subclass asks for ---------------------------------------------------------------

    @property
    def transport(self) -> asyncio.Transport | None:
        """What carries the connection, while it stands."""
        return self._transport

    def send(self, data: bytes | bytearray | memoryview, *, text: bool = False) -> None:
        """Send a message; `data` is free to be overwritten when this returns."""
        if not self.over and self._transport is not None:
            for part in self._socket.message(data, text=text):
                self._transport.write(part)

    def flush(self) -> None:
        """Send what the connection has to say."""
        data = self._socket.data_to_send()
        if data and self._transport is not None:
            self._transport.write(data)

    def close(self, error: KfwdError | None = None) -> None:
        """End our side after what is written: code 1000, or one that fits `error`."""
        if self.over:
            return
        self.over = True
        self._socket.close(_code_of(error), error.what if error is not None else "")
        self.flush()
        self._close_soon()
        if self._transport is not None:
            self._transport.resume_reading()  # the peer's agreement must be read

    def fail(self, error: KfwdError) -> None:
        """End our side because of the peer, who is told."""
        if not self.over:
            self.close(error)
            self.ended(error)

    def abort(self) -> None:
        """End the connection at once."""
        if self._transport is not None:
            self._transport.abort()

    def _finish(self, error: KfwdError | None) -> None:
        if not self.over:
            self.over = True
            self.ended(error)

    def _close_soon(self) -> None:
        """Close when the peer has (a client waits for its server, RFC 6455 §7.1.1), or in time."""
        transport = self._transport
        if transport is None:
            return
        if self._socket.ended:
            transport.close()
        self._close_in_time()

    def _close_in_time(self) -> None:
        if self._transport is not None and self._timer is None:
            self._timer = CloseTimer(self._transport)


def _code_of(error: KfwdError | None) -> int:
    match error:
        case None:
            return CloseCode.NORMAL_CLOSURE
        case LimitError():
            return CloseCode.MESSAGE_TOO_BIG
        case ProtocolError():
            return CloseCode.PROTOCOL_ERROR
    return CloseCode.INTERNAL_ERROR
