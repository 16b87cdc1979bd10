"""A listener whose one port speaks HTTP/2 and HTTP/1.1, chosen by ALPN."""

from __future__ import annotations

import asyncio
import ssl

from kfwd_nb.transport.http import Handler, identity_of
from kfwd_nb.transport.http1_server import Http1Server
from kfwd_nb.transport.http2_server import Http2Server
from kfwd_nb.transport.tls import H2

BACKLOG = 4096
"""Connections that may wait to be accepted."""


class _Chooser(asyncio.BufferedProtocol):
    """Stands until the handshake is done, then gives way to the HTTP version's own protocol."""

    def __init__(self, server: Server) -> None:
        self._server = server

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        tls = transport.get_extra_info("ssl_object")
        identity = identity_of(tls.getpeercert())
        speaks_h2 = tls.selected_alpn_protocol() == H2
        protocol: Http2Server | Http1Server
        if speaks_h2:
            protocol = Http2Server(self._server.handler, identity)
            transport.set_protocol(protocol.driver)
            protocol.driver.connection_made(transport)
        else:
            protocol = Http1Server(self._server.handler, identity)
            transport.set_protocol(protocol)
            protocol.connection_made(transport)
        self._server.connections.add(protocol)
        protocol.over.add_done_callback(lambda _: self._server.connections.discard(protocol))

    def get_buffer(self, sizehint: int) -> memoryview:
        raise AssertionError("nothing is read before connection_made")

    def buffer_updated(self, nbytes: int) -> None:
        raise AssertionError("nothing is read before connection_made")


class Server:
    """A running listener. Made by `serve`.

    Attributes:
        port: the port it listens on.
        connections: those that stand now.
    """

    def __init__(self, handler: Handler) -> None:
        self.handler = handler
        self.connections: set[Http2Server | Http1Server] = set()
        self.port = 0
        self._server: asyncio.Server | None = None

    async def listen(self, context: ssl.SSLContext, host: str, port: int) -> None:
        """Bind and listen.

        Raises:
            OSError: the address cannot be had.
        """
        loop = asyncio.get_running_loop()
        self._server = await loop.create_server(
            lambda: _Chooser(self), host, port, ssl=context, backlog=BACKLOG
        )
        self.port = self._server.sockets[0].getsockname()[1]

    async def close(self) -> None:
        """Stop listening and end every connection."""
        if self._server is not None:
            self._server.close()
        ends = [connection.over for connection in self.connections]
        for connection in list(self.connections):
            connection.close()
        if ends:
            await asyncio.wait(ends, timeout=1.0)


async def serve(
    handler: Handler, context: ssl.SSLContext, *, host: str = "127.0.0.1", port: int = 0
) -> Server:
    """Listen on `host` and `port` (0: any free one) and hand all requests to `handler`.

    Raises:
        OSError: the address cannot be had.
    """
    server = Server(handler)
    await server.listen(context, host, port)
    return server
