"""Raw v4 channels over a WebSocket: ports of a pod as byte streams, both roles.

There is no half-close on this wire: a client's `write_eof` is not told, and a server's takes effect
when all ports of the connection have ended.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Mapping, Sequence
from urllib.parse import quote

from kfwd_nb.errors import KfwdError, LostError, UsageError
from kfwd_nb.protocol.channels import (
    BASE64,
    BINARY,
    ChannelCodec,
    ChannelData,
    chosen_subprotocol,
    ports_of,
)
from kfwd_nb.protocol.websocket import Piece, accept_fields, offered_subprotocols
from kfwd_nb.transport.endpoint import Endpoint
from kfwd_nb.transport.http import Request, Switch
from kfwd_nb.transport.websocket.channel_stream import ChannelStream
from kfwd_nb.transport.websocket.driver import WebSocketDriver
from kfwd_nb.transport.websocket.tunnel import open_websocket

HELD = 4 << 20
"""Octets that a paused port may hold before the others on its connection have to wait, too: the
wire has no flow control."""

WRITE_HIGH_WATER = 1 << 18
"""Octets that may wait for the peer before the writers are told."""

ErrorText = Callable[[KfwdError, int], str]
"""What goes out on the error channel of a port."""

log = logging.getLogger(__name__)


class Channels(WebSocketDriver):
    """One connection.

    Attributes:
        streams: one for each port, in the order of the request.
        closed: done when the connection is over, with the error if the peer did not close it.
    """

    def __init__(
        self,
        ports: Sequence[int],
        *,
        client: bool,
        encoded: bool,
        error_text: ErrorText = lambda error, _: error.what,
    ) -> None:
        super().__init__(client=client)
        self._server = not client
        self._codec = ChannelCodec(list(ports), client=client, encoded=encoded)
        self._error_text = error_text
        self._full = False
        self._reading = True
        self.streams = [ChannelStream(self, place, port) for place, port in enumerate(ports)]
        self.closed: asyncio.Future[KfwdError | None] = asyncio.get_running_loop().create_future()

    # -- WebSocketDriver --------------------------------------------------------------------------

    def opened(self) -> None:
        """A server says which channel is whose."""
        assert self.transport is not None
        self.transport.set_write_buffer_limits(high=WRITE_HIGH_WATER)
        if self._server:
            for message in self._codec.greeting():
                self._send(message)

    def received(self, pieces: list[Piece]) -> None:
        """Give each its own.

        Raises:
            RemoteProtocolError, LimitError: the message makes no sense.
        """
        for piece in pieces:
            for event in self._codec.receive(bytes(piece.data), last=piece.last):
                stream = self.streams[event.place]
                if isinstance(event, ChannelData):
                    stream.deliver(event.data)
                elif not self._server:
                    stream.error_came(event.text)
        self.hold()

    def ended(self, error: KfwdError | None) -> None:
        """The end of every port."""
        for stream in self.streams:
            stream.connection_ended(error)
        self._tell_closed(error)

    def pause_writing(self) -> None:
        """The peer does not keep up."""
        self._full = True

    def resume_writing(self) -> None:
        """It has caught up."""
        self._full = False
        for stream in self.streams:
            stream.drained()

    # -- called by the streams --------------------------------------------------------------------

    def write(self, place: int, buffer: memoryview, start: int, end: int) -> bool:
        """Send bytes of a port; False when the peer does not keep up."""
        self._send(self._codec.data_message(place, buffer, start, end))
        return not self._full

    def given_up(self, place: int, port: int, error: KfwdError | None) -> None:
        """A port is over by our wish."""
        if error is not None and self._server:
            text = self._error_text(error, port)
            self._send(self._codec.error_message(place, text))
        self.stream_over()

    def local_ended(self) -> None:
        """A server closes when it has nothing more to say on any port."""
        if self._server and all(each.local_ended for each in self.streams):
            self._close_now()

    def stream_over(self) -> None:
        """Close when all ports are over; what another one holds does not stop this one."""
        if all(each.over for each in self.streams):
            self._close_now()
        self.release()

    def hold(self) -> None:
        """Let the peer wait while a port holds too much."""
        if self._reading and self._must_wait() and self.transport is not None and not self.over:
            self._reading = False
            self.transport.pause_reading()

    def release(self) -> None:
        """Read again, if no port holds too much."""
        if not self._reading and not self._must_wait() and self.transport is not None:
            self._reading = True
            self.transport.resume_reading()

    # -- inside -----------------------------------------------------------------------------------

    def _must_wait(self) -> bool:
        limit = HELD if len(self.streams) > 1 else 0
        return any(each.paused and each.holds >= limit for each in self.streams if not each.over)

    def _send(self, message: bytes | memoryview) -> None:
        self.send(message, text=self._codec.text)

    def _close_now(self) -> None:
        self.close()
        for stream in self.streams:
            stream.connection_ended(None)
        self._tell_closed(None)

    def _tell_closed(self, error: KfwdError | None) -> None:
        if not self.closed.done():
            self.closed.set_result(error)


class ChannelsServer(Channels):
    """The server's role.

    Args:
        ports: that the client asks for.
        encoded: the base64 variant.
        serve: couples a stream with its port, and waits for nothing; a `KfwdError` that it raises
            goes out on the error channel.
        error_text: in which words.
    """

    def __init__(
        self,
        ports: Sequence[int],
        *,
        encoded: bool,
        serve: Callable[[ChannelStream], None],
        error_text: ErrorText,
    ) -> None:
        super().__init__(ports, client=False, encoded=encoded, error_text=error_text)
        self._serve = serve

    def opened(self) -> None:
        """Greet, and begin to serve."""
        super().opened()
        for stream in self.streams:
            self._serve_one(stream)

    def _serve_one(self, stream: ChannelStream) -> None:
        try:
            self._serve(stream)
        except KfwdError as error:
            stream.close(error)
        except Exception:
            log.exception("port %d of a pod", stream.port)
            stream.close(LostError("an internal error; see the log."))


def channels_switch(
    request: Request,
    serve: Callable[[ChannelStream], None],
    error_text: ErrorText = lambda error, _: error.what,
) -> Switch:
    """Agree to serve the ports that a raw v4 client asks for.

    Args:
        request: the client's opening; its query names the ports.
        serve: as in `ChannelsServer`.
        error_text: what goes out on the error channel of a port.

    Raises:
        UsageError: no port, no proper opening, or no subprotocol of those that are spoken here.
        LimitError: too many ports.
    """
    subprotocol = chosen_subprotocol(offered_subprotocols(request.headers))
    if subprotocol is None:
        raise UsageError("none of the WebSocket subprotocols that are offered is spoken here.")
    ports = ports_of(request.path)
    headers = accept_fields(request.method, request.headers, subprotocol)
    encoded = subprotocol == BASE64
    server = ChannelsServer(ports, encoded=encoded, serve=serve, error_text=error_text)
    return Switch(headers, server)


async def open_channels(
    endpoint: Endpoint,
    path: str,
    headers: Mapping[str, str],
    ports: Sequence[int],
    *,
    subprotocol: str = BINARY,
    parameter: str = "ports",
) -> Channels:
    """Open ports of a pod as raw v4 clients do.

    Args:
        endpoint: where the server is.
        path: of the pod's portforward subresource, without a query or with another one.
        headers: more fields of the request.
        ports: of the pod.
        subprotocol: `BINARY`, `BASE64`, or "" to offer none.
        parameter: `ports` for an API server, `port` for a kubelet.

    Raises:
        UpgradeError: the server refuses, or agrees to something else.
        UnavailableError: nobody answers there.
        LostError: the connection broke, or there was no answer in time.
    """
    query = "&".join(f"{quote(parameter)}={port}" for port in ports)
    whole = f"{path}{'&' if '?' in path else '?'}{query}"
    opened = await open_websocket(endpoint, whole, headers, [subprotocol] if subprotocol else [])
    channels = Channels(ports, client=True, encoded=subprotocol == BASE64)
    opened.begin_driver(channels)
    return channels
