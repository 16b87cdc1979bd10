"""Drives one `Http2Connection` over TLS: reads, events, writes, keep-alive; either role.

Payload is passed from the read buffer of one connection into the TLS of the next without a copy:
`TunnelStream.write` puts a frame header into the headroom before the chunk.
"""

from __future__ import annotations

import asyncio
import os
from collections import deque
from typing import TYPE_CHECKING, Protocol

from kfwd_nb.errors import KfwdError, LostError
from kfwd_nb.protocol.http2 import (
    BodyReceived,
    ConnectionTerminated,
    DataReceived,
    GoingAway,
    Http2Connection,
    PingAcknowledged,
    RequestReceived,
    ResponseReceived,
    StreamEnded,
    StreamReset,
    WindowOpened,
)
from kfwd_nb.protocol.http2.events import Event, Headers
from kfwd_nb.transport.driver import ConnectionDriver
from kfwd_nb.transport.http2.resets import reset_error

if TYPE_CHECKING:
    from kfwd_nb.transport.http2.outbound import Outbound
    from kfwd_nb.transport.http2.tunnel_stream import TunnelStream


class Role(Protocol):
    """What the owner of a connection makes of it: `http2.client` or `http2.server`."""

    def request_received(self, stream_id: int, headers: Headers) -> None:
        """A peer has opened a stream (server role)."""

    def response_received(self, stream_id: int, headers: Headers) -> None:
        """A final response has come (client role)."""

    def body_received(self, stream_id: int, data: bytes, credit: int) -> None:
        """A piece of an ordinary body; its `credit` is to be acknowledged when it is used."""

    def body_ended(self, stream_id: int) -> None:
        """The peer's message is complete."""

    def stream_reset(self, stream_id: int, code: int) -> None:
        """A stream without `TunnelStream` is over."""

    def going_away(self, last: int) -> None:
        """The server takes no more streams, and none after `last` (client role)."""

    def connection_over(self, error: KfwdError | None) -> None:
        """The connection is gone; called once, after all streams were told."""


class Http2Driver(ConnectionDriver):
    """One HTTP/2 connection on the event loop.

    Attributes:
        connection: the protocol's state.
        streams: the `TunnelStream` of each CONNECT stream that is not over.
        outbounds: the sending half of each stream on which we have not ended our direction.
        role: the owner.
    """

    def __init__(self, role: Role, *, client: bool) -> None:
        self.connection = Http2Connection(client=client)
        super().__init__(self.connection)
        self.streams: dict[int, TunnelStream] = {}
        self.outbounds: dict[int, Outbound] = {}
        self.role = role
        self._waiting: deque[Outbound] = deque()
        self._pings: dict[bytes, tuple[float, asyncio.Future[float | None]]] = {}

    # -- transport.driver.ConnectionDriver --------------------------------------------------------

    def resume_writing(self) -> None:
        """Let the streams that wait send in turn, until TLS is full again."""
        super().resume_writing()
        self._serve_waiting()

    def ask(self) -> None:
        """PING (RFC 9113 §6.7)."""
        self.connection.ping(os.urandom(8))

    async def ping(
        self,
        payload: bytes,
        timeout: float,  # noqa: ASYNC109 - an answer, no error
    ) -> float | None:
        """Seconds until a PING of those 8 octets is answered (RFC 9113 §6.7); None if it is not."""
        if self.over:
            return None
        answered: asyncio.Future[float | None] = self._loop.create_future()
        self._pings[payload] = self._loop.time(), answered
        self.connection.ping(payload)
        self.flush()
        try:
            async with asyncio.timeout(timeout):
                return await answered
        except TimeoutError:
            return None
        finally:
            self._pings.pop(payload, None)

    def ended(self, error: KfwdError | None) -> None:
        """Tell every stream, then the owner."""
        for _, answered in self._pings.values():
            if not answered.done():
                answered.set_result(None)
        streams, self.streams = self.streams, {}
        for stream in streams.values():
            stream.finish(error or LostError("the tunnel was closed."))
        self._waiting.clear()
        self.outbounds.clear()
        self.role.connection_over(error)

    # -- events -----------------------------------------------------------------------------------

    def act(self, buffer: memoryview, event: Event) -> None:
        """Something happened."""
        match event:
            case DataReceived(stream_id, start, end):
                stream = self.streams.get(stream_id)
                if stream is not None:
                    stream.deliver(buffer, start, end)
            case WindowOpened(stream_id):
                self._window_opened(stream_id)
            case StreamEnded(stream_id):
                self._stream_ended(stream_id)
            case StreamReset(stream_id, code):
                self._stream_reset(stream_id, code)
            case BodyReceived(stream_id, data, credit):
                self._body(stream_id, data, credit)
            case RequestReceived(stream_id, headers):
                self.role.request_received(stream_id, headers)
            case ResponseReceived(stream_id, headers):
                self.role.response_received(stream_id, headers)
            case ConnectionTerminated(code, _, reason):
                words = f" ({reason})" if reason else ""
                self.abandon(LostError(f"the peer ended the tunnel with code {code}{words}."))
            case GoingAway(last):
                self.role.going_away(last)
            case PingAcknowledged(payload):
                self._ponged(payload)

    def _ponged(self, payload: bytes) -> None:
        began, answered = self._pings.get(payload, (0.0, None))
        if answered is not None and not answered.done():
            answered.set_result(self._loop.time() - began)

    def _window_opened(self, stream_id: int) -> None:
        if stream_id == 0:
            self._serve_waiting()
            return
        outbound = self.outbounds.get(stream_id)
        if outbound is not None:
            outbound.serve()

    def _stream_ended(self, stream_id: int) -> None:
        stream = self.streams.get(stream_id)
        if stream is not None:
            stream.deliver_eof()
        else:
            self.role.body_ended(stream_id)

    def _stream_reset(self, stream_id: int, code: int) -> None:
        self.outbounds.pop(stream_id, None)
        stream = self.streams.pop(stream_id, None)
        if stream is not None:
            stream.finish(reset_error(code))
        self.role.stream_reset(stream_id, code)

    def _body(self, stream_id: int, data: bytes, credit: int) -> None:
        """An ordinary body; or that of a refused CONNECT, which nobody reads."""
        if stream_id in self.streams:
            self.connection.acknowledge(stream_id, credit)
        else:
            self.role.body_received(stream_id, data, credit)

    # -- writing ----------------------------------------------------------------------------------

    def wait_to_write(self, outbound: Outbound) -> None:
        """Serve `outbound` again when the connection takes more."""
        if not outbound.in_line:
            outbound.in_line = True
            self._waiting.append(outbound)

    def _serve_waiting(self) -> None:
        for _ in range(len(self._waiting)):
            if self.writing_paused:
                return
            outbound = self._waiting.popleft()
            outbound.in_line = False
            outbound.serve()

    # -- what streams ask for ---------------------------------------------------------------------

    def acknowledge(self, stream_id: int, credit: int) -> None:
        """A piece of an ordinary body is used: the peer may send as much again."""
        if not self.over:
            self.connection.acknowledge(stream_id, credit)
            self.flush()

    def reset(self, stream_id: int, code: int) -> None:
        """Give a stream up in both directions."""
        self.streams.pop(stream_id, None)
        self.outbounds.pop(stream_id, None)
        if not self.over:
            self.connection.reset(stream_id, code)
            self.flush()
