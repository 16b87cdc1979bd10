"""Drives one HTTP/1.1 connection (RFC 9112) over `h11`, either role, until it is handed over."""

from __future__ import annotations

import asyncio

import h11

from kfwd_nb.errors import LostError, RemoteProtocolError
from kfwd_nb.transport.close_timer import CloseTimer

MAX_HEAD = 1 << 16
"""Octets of a message's head. Go's server takes 1 MiB, nginx 32 KiB."""

HELD = 1 << 16
"""Octets that may wait to be asked for before the peer is paused."""


class Http1Driver(asyncio.Protocol):
    """One connection, whose owner asks for events and sends some.

    Attributes:
        http: the connection's state. Its owner reads it, and sends by `send` only.
        over: the connection is gone.
    """

    def __init__(self, *, client: bool) -> None:
        role = h11.CLIENT if client else h11.SERVER
        self.http = h11.Connection(role, max_incomplete_event_size=MAX_HEAD)
        self.over = False
        self._transport: asyncio.Transport | None = None
        self._error: Exception | None = None
        self._received = bytearray()
        self._ended = False
        self._told_end = False
        self._reading = True
        self._waiter: asyncio.Future[None] | None = None
        self._drained: asyncio.Future[None] | None = None
        self._close_timer: CloseTimer | None = None

    # -- asyncio.Protocol -------------------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Whatever is written counts as sent when the kernel has it."""
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        transport.set_write_buffer_limits(high=0)

    def data_received(self, data: bytes) -> None:
        """Keep it until it is asked for."""
        self._received += data
        if len(self._received) > HELD and self._transport is not None:
            self._reading = False
            self._transport.pause_reading()
        self._wake()

    def eof_received(self) -> None:
        """The peer's direction is over, and with it the connection: half-close is not for HTTP.

        What is written already it may still read.
        """
        self._ended = True
        if self._transport is not None and self._close_timer is None:
            self._close_timer = CloseTimer(self._transport)
        self._wake()

    def connection_lost(self, exc: Exception | None) -> None:
        """Wake whoever waits."""
        self.over = self._ended = True
        self._error = exc
        if self._close_timer is not None:
            self._close_timer.cancel()
        self._wake()
        self.resume_writing()

    def pause_writing(self) -> None:
        """The kernel does not take it all."""
        self._drained = asyncio.get_running_loop().create_future()

    def resume_writing(self) -> None:
        """It has taken it."""
        if self._drained is not None and not self._drained.done():
            self._drained.set_result(None)
        self._drained = None

    # -- what the owner asks for ------------------------------------------------------------------

    async def event(self) -> h11.Event | type[h11.PAUSED]:
        """The next part of the peer's message.

        Raises:
            RemoteProtocolError: what came is no HTTP/1.1.
            LostError: the connection broke, or was closed too early.
        """
        while True:
            try:
                event = self.http.next_event()
            except h11.RemoteProtocolError as error:
                if self._told_end:
                    raise LostError("the connection was closed before all had come.") from None
                raise RemoteProtocolError(f"no HTTP/1.1: {error}.") from None
            if event is not h11.NEED_DATA:
                assert not isinstance(event, type) or event is h11.PAUSED
                return event
            if self.http.they_are_waiting_for_100_continue:  # curl, before a large body
                await self.send(h11.InformationalResponse(status_code=100, headers=[]))
            if self._told_end:
                raise LostError("the connection was closed.")
            data = await self._more()
            self._told_end = not data
            self.http.receive_data(data)

    async def _more(self) -> bytes:
        """What has come; empty at the end."""
        while not self._received and not self._ended:
            self._read_on()
            self._waiter = asyncio.get_running_loop().create_future()
            try:
                await self._waiter
            finally:
                self._waiter = None
        if self._error is not None and not self._received:
            raise LostError(f"the connection broke: {self._error}")
        data = bytes(self._received)
        self._received.clear()
        self._read_on()
        return data

    def _read_on(self) -> None:
        if not self._reading and self._transport is not None:
            self._reading = True
            self._transport.resume_reading()

    async def send(self, *events: h11.Event) -> None:
        """Send parts of our message; returns when the kernel has them.

        Raises:
            LostError: the connection is gone.
        """
        data = b"".join(self.http.send(event) or b"" for event in events)
        if self._transport is not None and data:
            self._transport.write(data)
        if self._drained is not None:
            await asyncio.shield(self._drained)
        if self.over:
            raise LostError("the connection was closed.")

    def hand_over(self, protocol: asyncio.BaseProtocol) -> asyncio.Transport:
        """Give the connection to `protocol`, and first what was read too far."""
        transport = self._transport
        assert transport is not None
        early = self.http.trailing_data[0] + bytes(self._received)
        transport.set_write_buffer_limits()
        transport.set_protocol(protocol)
        protocol.connection_made(transport)
        if not self._reading:
            transport.resume_reading()
        feed(protocol, early)
        if self.over:  # else the transport will tell
            asyncio.get_running_loop().call_soon(protocol.connection_lost, self._error)
        return transport

    def pause(self) -> None:
        """Let the peer wait until the connection is handed over."""
        if self._reading and self._transport is not None:
            self._reading = False
            self._transport.pause_reading()

    @property
    def transport(self) -> asyncio.Transport | None:
        """What carries the connection; None before it is made."""
        return self._transport

    def abort(self) -> None:
        """Close at once."""
        if self._transport is not None:
            self._transport.abort()

    def _wake(self) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)


def feed(protocol: asyncio.BaseProtocol, data: bytes) -> None:
    """Call `protocol` as a transport would that has read `data`."""
    if isinstance(protocol, asyncio.BufferedProtocol):
        rest = memoryview(data)
        while rest:
            buffer = memoryview(protocol.get_buffer(len(rest)))
            count = min(len(rest), len(buffer))
            buffer[:count] = rest[:count]
            protocol.buffer_updated(count)
            rest = rest[count:]
    elif data:
        assert isinstance(protocol, asyncio.Protocol)
        protocol.data_received(data)


def fields_of(event: h11.Request | h11.InformationalResponse | h11.Response) -> dict[str, str]:
    """Header fields by lowercase name; repeated ones joined by commas (RFC 9110 §5.3)."""
    fields: dict[str, str] = {}
    for raw_name, raw_value in event.headers:
        name, value = raw_name.decode("latin-1"), raw_value.decode("latin-1")
        fields[name] = f"{fields[name]}, {value}" if name in fields else value
    return fields
