"""A listener whose one port speaks HTTP/2 and HTTP/1.1, chosen by ALPN."""

from __future__ import annotations

import asyncio
import socket
import ssl
from collections.abc import Coroutine
from typing import Any

from kfwd_nb.transport.http import Handler, identity_of
from kfwd_nb.transport.http1.server import Http1Server
from kfwd_nb.transport.http2.server import Http2Server
from kfwd_nb.transport.tls import H2
from kfwd_nb.transport.tls_transport import TlsTransport, handshake

BACKLOG = 4096
"""Connections that may wait to be accepted."""


ACCEPT_PAUSE = 0.1
"""Seconds to wait when no descriptor is left for an accepted connection."""


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
        self._listener: socket.socket | None = None
        self._tasks: set[asyncio.Task[None]] = set()

    def listen(self, context: ssl.SSLContext, host: str, port: int) -> None:
        """Bind and listen.

        Raises:
            OSError: the address cannot be had.
        """
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        self._listener = socket.create_server((host, port), family=family, backlog=BACKLOG)
        self._listener.setblocking(False)
        self.port = self._listener.getsockname()[1]
        self._spawn(self._accept(self._listener, context))

    async def close(self) -> None:
        """Stop listening and end every connection."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        if self._listener is not None:
            self._listener.close()
        ends = [connection.over for connection in self.connections]
        for connection in list(self.connections):
            connection.close()
        if ends:
            await asyncio.wait(ends, timeout=1.0)

    def _spawn(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _accept(self, listener: socket.socket, context: ssl.SSLContext) -> None:
        loop = asyncio.get_running_loop()
        while True:
            try:
                sock, _ = await loop.sock_accept(listener)
            except OSError:
                await asyncio.sleep(ACCEPT_PAUSE)
                continue
            self._spawn(self._welcome(sock, context))

    async def _welcome(self, sock: socket.socket, context: ssl.SSLContext) -> None:
        """Secure a connection, and give it to the HTTP version that its client chose."""
        try:
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            tls = await handshake(sock, context, server_side=True)
        except OSError:  # TLS errors and timeouts among them: there is nobody to tell
            sock.close()
            return
        identity = identity_of(tls.getpeercert())
        if tls.selected_alpn_protocol() == H2:
            http2 = Http2Server(self.handler, identity)
            self._keep(http2)
            TlsTransport(tls, http2.driver).begin()
        else:
            http1 = Http1Server(self.handler, identity)
            self._keep(http1)
            http1.begin(tls)

    def _keep(self, connection: Http2Server | Http1Server) -> None:
        self.connections.add(connection)
        connection.over.add_done_callback(lambda _: self.connections.discard(connection))


async def serve(
    handler: Handler, context: ssl.SSLContext, *, host: str = "127.0.0.1", port: int = 0
) -> Server:
    """Listen on `host` and `port` (0: any free one) and hand all requests to `handler`.

    Raises:
        OSError: the address cannot be had.
    """
    server = Server(handler)
    server.listen(context, host, port)
    return server
