"""Drives one `Http2Connection` over TLS: reads, events, writes, keep-alive; either role.

Payload is passed from the read buffer of one connection into the TLS of the next without a copy:
`TunnelStream.write` puts a frame header into the headroom before the chunk.
"""

from __future__ import annotations

import asyncio
import os
from collections import deque
from typing import TYPE_CHECKING, Protocol

from kfwd_nb.errors import KfwdError, LimitError, LostError, RemoteProtocolError
from kfwd_nb.protocol.http2 import (
    BodyReceived,
    ConnectionTerminated,
    DataReceived,
    Http2Connection,
    PingAcknowledged,
    RequestReceived,
    ResponseReceived,
    StreamEnded,
    StreamReset,
    WindowOpened,
)
from kfwd_nb.protocol.http2.events import Event, Headers
from kfwd_nb.protocol.keepalive import Keepalive
from kfwd_nb.transport.buffers import read_buffer
from kfwd_nb.transport.resets import reset_error
from kfwd_nb.transport.stream import HEADROOM

if TYPE_CHECKING:
    from kfwd_nb.transport.outbound import Outbound
    from kfwd_nb.transport.tunnel_stream import TunnelStream

WRITE_HIGH_WATER = 1 << 18
"""Octets that may wait in a connection's TLS before its streams hold theirs back."""

MAX_UNREAD = 1 << 23
"""Octets that may wait for a peer that asks and asks (PING, SETTINGS) and reads no answer. Payload
stops at `WRITE_HIGH_WATER` and one frame."""


class Role(Protocol):
    """What the owner of a connection makes of it: `transport.tunnel` or `transport.server`."""

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

    def connection_over(self, error: KfwdError | None) -> None:
        """The connection is gone; called once, after all streams were told."""


class Http2Driver(asyncio.BufferedProtocol):
    """One HTTP/2 connection on the event loop.

    Attributes:
        connection: the protocol's state.
        streams: the `TunnelStream` of each CONNECT stream that is not over.
        outbounds: the sending half of each stream on which we have not ended our direction.
    """

    def __init__(self, role: Role, *, client: bool) -> None:
        self.connection = Http2Connection(client=client)
        self.streams: dict[int, TunnelStream] = {}
        self.outbounds: dict[int, Outbound] = {}
        self.writing_paused = False
        self.over = False
        self._role = role
        self._transport: asyncio.Transport | None = None
        self._loop = asyncio.get_running_loop()
        self._keepalive = Keepalive(self._loop.time())
        self._timer: asyncio.TimerHandle | None = None
        self._reading = False
        self._error: KfwdError | None = None
        self._waiting: deque[Outbound] = deque()

    # -- asyncio.BufferedProtocol -----------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """The TLS handshake is done."""
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        transport.set_write_buffer_limits(high=WRITE_HIGH_WATER)
        self.flush()
        self._tick()

    def get_buffer(self, sizehint: int) -> memoryview:
        """The loop's own buffer, after the headroom."""
        return read_buffer()[HEADROOM:]

    def buffer_updated(self, nbytes: int) -> None:
        """Read frames, act on each event, then send what that made."""
        self._keepalive.heard(self._loop.time())
        buffer = read_buffer()
        self._reading = True
        try:
            for event in self.connection.receive(buffer, HEADROOM, HEADROOM + nbytes):
                self._act(buffer, event)
        except RemoteProtocolError as error:
            self.abandon(error)
        finally:
            self._reading = False
        self.flush()

    def eof_received(self) -> None:
        """The peer closes; TLS knows no half-close here."""

    def pause_writing(self) -> None:
        """TLS holds more than `WRITE_HIGH_WATER`: streams keep theirs."""
        self.writing_paused = True

    def resume_writing(self) -> None:
        """Let the streams that wait send in turn, until TLS is full again."""
        self.writing_paused = False
        self._serve_waiting()

    def connection_lost(self, exc: Exception | None) -> None:
        """The connection is gone, whoever ended it: every stream on it is, too."""
        self.over = True
        self._transport = None
        if self._timer is not None:
            self._timer.cancel()
        error = self._error
        if error is None and exc is not None:
            error = LostError(f"the connection broke: {str(exc) or type(exc).__name__}")
        streams, self.streams = self.streams, {}
        for stream in streams.values():
            stream.finish(error or LostError("the tunnel was closed."))
        self._waiting.clear()
        self.outbounds.clear()
        self._role.connection_over(error)

    # -- events -----------------------------------------------------------------------------------

    def _act(self, buffer: memoryview, event: Event) -> None:
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
                self._role.request_received(stream_id, headers)
            case ResponseReceived(stream_id, headers):
                self._role.response_received(stream_id, headers)
            case ConnectionTerminated(code, _, reason):
                words = f" ({reason})" if reason else ""
                self.abandon(LostError(f"the peer ended the tunnel with code {code}{words}."))
            case PingAcknowledged():
                pass  # any byte is a sign of life; `buffer_updated` has noted it

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
            self._role.body_ended(stream_id)

    def _stream_reset(self, stream_id: int, code: int) -> None:
        self.outbounds.pop(stream_id, None)
        stream = self.streams.pop(stream_id, None)
        if stream is not None:
            stream.finish(reset_error(code))
        self._role.stream_reset(stream_id, code)

    def _body(self, stream_id: int, data: bytes, credit: int) -> None:
        """An ordinary body; or that of a refused CONNECT, which nobody reads."""
        if stream_id in self.streams:
            self.connection.acknowledge(stream_id, credit)
        else:
            self._role.body_received(stream_id, data, credit)

    # -- writing ----------------------------------------------------------------------------------

    def flush(self) -> None:
        """Send the control frames that wait; while events are acted on, once for all of them."""
        if not self._reading and self._transport is not None:
            data = self.connection.data_to_send()
            if data:
                self._transport.write(data)
                if self._transport.get_write_buffer_size() > MAX_UNREAD:
                    self.abandon(LimitError(f"the peer leaves {MAX_UNREAD} octets unread."))

    def write_frame(self, data: bytes | bytearray | memoryview) -> None:
        """Send a DATA frame after the control frames that wait. TLS has copied `data` on return."""
        if self._transport is None:
            return
        control = self.connection.data_to_send()
        if control:
            self._transport.write(control)
        self._transport.write(data)

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

    @property
    def closing(self) -> bool:
        """The connection is over or about to be: nothing new can begin."""
        return self._transport is None or self._transport.is_closing()

    @property
    def transport(self) -> asyncio.Transport | None:
        """The TLS transport; None when the connection is over."""
        return self._transport

    # -- ends -------------------------------------------------------------------------------------

    def close(self) -> None:
        """End the connection after what is written (GOAWAY, then TLS close)."""
        if self._transport is not None and not self._transport.is_closing():
            if self._error is None:
                self.connection.close()
            self.flush()
            self._transport.close()

    def abandon(self, error: KfwdError) -> None:
        """End the connection because of `error`; its streams end with it."""
        if self._error is None:
            self._error = error
        if self._transport is not None:
            data = self.connection.data_to_send()
            if data:
                self._transport.write(data)
            self._transport.abort()

    def _tick(self) -> None:
        if self.over:
            return
        match self._keepalive.due(self._loop.time()):
            case "ping":
                self.connection.ping(os.urandom(8))
                self.flush()
            case "lost":
                self.abandon(LostError("the peer has not answered for too long."))
                return
            case None:
                pass
        self._timer = self._loop.call_at(self._keepalive.next(), self._tick)
