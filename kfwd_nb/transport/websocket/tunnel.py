"""A byte stream inside the binary messages of a WebSocket (Kubernetes' SPDY tunnel), both roles.

A message is no frame of what is inside: a Go peer writes header words and payload as messages of
their own. The protocol inside sees an `asyncio.Transport` like any other.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from kfwd_nb.errors import KfwdError, RemoteProtocolError
from kfwd_nb.protocol.websocket import ClientHandshake, Piece, accept_fields
from kfwd_nb.transport.endpoint import Endpoint
from kfwd_nb.transport.http import Request, Switch
from kfwd_nb.transport.http1.client import Upgraded, UpgradeError, upgrade
from kfwd_nb.transport.websocket.driver import WebSocketDriver


class OpenedWebSocket:
    """A client's WebSocket after the handshake. It is the caller's: `begin` or `abort` it.

    Attributes:
        headers: of the 101, by lowercase name.
        subprotocol: what was agreed on; "" for none.
    """

    def __init__(self, upgraded: Upgraded, subprotocol: str) -> None:
        self.headers = upgraded.headers
        self.subprotocol = subprotocol
        self._upgraded = upgraded

    def begin(self, protocol: asyncio.BaseProtocol) -> asyncio.Transport:
        """Give the byte stream to `protocol`; what came after the 101 is fed to it at once."""
        tunnel = WebSocketTunnel(protocol, client=True)
        self._upgraded.begin(tunnel)
        return tunnel.inner

    def begin_driver(self, driver: WebSocketDriver) -> None:
        """Give the messages to a client's `driver`."""
        self._upgraded.begin(driver)

    def abort(self) -> None:
        """Close at once."""
        self._upgraded.abort()


async def open_websocket(
    endpoint: Endpoint, path: str, headers: Mapping[str, str], subprotocols: Sequence[str]
) -> OpenedWebSocket:
    """Open a WebSocket (RFC 6455 §4.1).

    Args:
        endpoint: where the server is.
        path: with its query.
        headers: more fields of the request, `authorization` for one.
        subprotocols: to offer, the best first; with any, the server must agree to one of them.

    Raises:
        UpgradeError: the server answered something else, or agreed to something else.
        UnavailableError: nobody answers there.
        LostError: the connection broke, or there was no answer in time.
    """
    handshake = ClientHandshake(subprotocols)
    upgraded = await upgrade(endpoint, path, {**headers, **handshake.fields()}, method="GET")
    try:
        return OpenedWebSocket(upgraded, handshake.finish(upgraded.headers))
    except RemoteProtocolError as error:
        upgraded.abort()
        raise UpgradeError(101, error) from None


def websocket_switch(
    request: Request,
    subprotocol: str,
    protocol_factory: Callable[[], asyncio.BaseProtocol],
) -> Switch:
    """Agree to a WebSocket whose binary messages carry a byte stream for a protocol of ours.

    Args:
        request: the client's opening.
        subprotocol: of those that it offers; "" for none.
        protocol_factory: called when the opening is a proper one.

    Raises:
        UsageError: it is not.
    """
    headers = accept_fields(request.method, request.headers, subprotocol)
    return Switch(headers, WebSocketTunnel(protocol_factory(), client=False))


class WebSocketTunnel(WebSocketDriver):
    """The driver whose messages carry a byte stream.

    Attributes:
        inner: the transport that the protocol inside sees.
    """

    def __init__(self, protocol: asyncio.BaseProtocol, *, client: bool) -> None:
        super().__init__(client=client)
        self.inner = _InnerTransport(self, protocol)

    def opened(self) -> None:
        """Introduce the protocol inside to its transport."""
        self.inner.begin()

    def received(self, pieces: list[Piece]) -> None:
        """Pass the bytes on.

        Raises:
            RemoteProtocolError: a text message has come.
        """
        data: list[bytes | memoryview] = []
        for piece in pieces:
            if piece.text:
                self.inner.deliver(data)
                raise RemoteProtocolError("a text message came where bytes are tunnelled.")
            data.append(piece.data)
        self.inner.deliver(data)

    def ended(self, error: KfwdError | None) -> None:
        """It is an end for the protocol inside, too."""
        self.inner.lose(error)

    def pause_writing(self) -> None:
        """The peer does not keep up."""
        self.inner.protocol.pause_writing()

    def resume_writing(self) -> None:
        """It has caught up."""
        self.inner.protocol.resume_writing()


class _InnerTransport(asyncio.Transport):
    """What the protocol inside sees."""

    def __init__(self, tunnel: WebSocketTunnel, protocol: asyncio.BaseProtocol) -> None:
        super().__init__()
        self.protocol = protocol
        self._tunnel = tunnel
        self._held = b""  # of the last read, while the protocol pauses
        self._reading = True
        self._end: tuple[KfwdError | None] | None = None  # to be told after what is held
        self._closing = False
        self._lost = False

    def begin(self) -> None:
        """The connection is there."""
        self.protocol.connection_made(self)

    # -- reading ----------------------------------------------------------------------------------

    def deliver(self, pieces: list[bytes | memoryview]) -> None:
        """Bytes have come."""
        if self._closing:
            return
        if self._held or not self._reading:
            self._held += b"".join(pieces)
        else:
            _feed(self.protocol, pieces)

    def lose(self, error: KfwdError | None) -> None:
        """The peer has ended, or the connection has."""
        if self._held and not self._closing:
            self._end = (error,)
        else:
            self._closing = True
            asyncio.get_running_loop().call_soon(self._connection_lost, error)

    def _connection_lost(self, error: KfwdError | None) -> None:
        if not self._lost:
            self._lost = self._closing = True
            self._held = b""
            self.protocol.connection_lost(error)

    def pause_reading(self) -> None:
        """Call the protocol no more until `resume_reading`; what has come already is held."""
        if self._reading and not self._closing:
            self._reading = False
            if self._tunnel.transport is not None:
                self._tunnel.transport.pause_reading()

    def resume_reading(self) -> None:
        """Read again."""
        if not self._reading and not self._closing:
            self._reading = True
            asyncio.get_running_loop().call_soon(self._go_on)

    def _go_on(self) -> None:
        if self.is_reading():
            data, self._held = self._held, b""
            _feed(self.protocol, [data])
        if self.is_reading():  # still
            if self._end is not None:
                self.lose(self._end[0])
            elif self._tunnel.transport is not None:
                self._tunnel.transport.resume_reading()

    def is_reading(self) -> bool:
        """The protocol is called when bytes come."""
        return self._reading and not self._closing

    # -- writing ----------------------------------------------------------------------------------

    def write(self, data: bytes | bytearray | memoryview) -> None:
        """Send, as a message; `data` is free to be overwritten when this returns."""
        if data and not self._closing:
            self._tunnel.send(data)

    def set_write_buffer_limits(self, high: int | None = None, low: int | None = None) -> None:
        """Octets at which the protocol is paused, and resumed."""
        if self._tunnel.transport is not None:
            self._tunnel.transport.set_write_buffer_limits(high, low)

    def get_write_buffer_size(self) -> int:
        """Octets that wait for the kernel."""
        transport = self._tunnel.transport
        return 0 if transport is None else transport.get_write_buffer_size()

    def can_write_eof(self) -> bool:
        """A WebSocket knows no half-close."""
        return False

    # -- ends -------------------------------------------------------------------------------------

    def is_closing(self) -> bool:
        """It is closed, or will be once what waits is sent."""
        return self._closing

    def close(self) -> None:
        """Close with code 1000 once all is sent."""
        if not self._closing:
            self._tunnel.close()
            self._closing = True
            asyncio.get_running_loop().call_soon(self._connection_lost, None)

    def abort(self) -> None:
        """Close at once."""
        if not self._closing:
            self._tunnel.abort()
            self._closing = True
            asyncio.get_running_loop().call_soon(self._connection_lost, None)

    # -- what asyncio asks ------------------------------------------------------------------------

    def get_extra_info(self, name: str, default: Any = None) -> Any:
        """What the transport under the WebSocket knows."""
        transport = self._tunnel.transport
        return default if transport is None else transport.get_extra_info(name, default)

    def set_protocol(self, protocol: asyncio.BaseProtocol) -> None:
        """Hand the byte stream over to another protocol."""
        self.protocol = protocol

    def get_protocol(self) -> asyncio.BaseProtocol:
        """The protocol that is called now."""
        return self.protocol


def _feed(protocol: asyncio.BaseProtocol, pieces: list[bytes | memoryview]) -> None:
    """Call `protocol` as a transport would that has read all this at once.

    The pieces may lie in the very buffer that the protocol gives: they only move towards its
    beginning there, over heads of frames.
    """
    if not isinstance(protocol, asyncio.BufferedProtocol):
        assert isinstance(protocol, asyncio.Protocol)
        data = b"".join(pieces)
        if data:
            protocol.data_received(data)
        return
    buffer = memoryview(protocol.get_buffer(-1))
    filled = 0
    for piece in pieces:
        rest = memoryview(piece)
        while rest:
            count = min(len(rest), len(buffer) - filled)
            buffer[filled : filled + count] = rest[:count]
            rest = rest[count:]
            filled += count
            if filled == len(buffer):
                protocol.buffer_updated(filled)
                buffer = memoryview(protocol.get_buffer(-1))
                filled = 0
    if filled:
        protocol.buffer_updated(filled)
