"""Connector `netns`: a socket of the pod's own network namespace, connected on our event loop."""

from __future__ import annotations

import asyncio
import errno
import socket

from kfwd_nb.agent.connectors import Connector, Place, connect, failure, refused, system_words
from kfwd_nb.agent.netns import NamespaceThread
from kfwd_nb.agent.runtime import Sandbox
from kfwd_nb.errors import UnavailableError
from kfwd_nb.transport.stream import ByteStream

ADDRESSES = ((socket.AF_INET, "127.0.0.1"), (socket.AF_INET6, "::1"))
"""Tried in this order: a server may listen on one of them only."""

NO_IPV6 = frozenset({errno.EAFNOSUPPORT, errno.EADDRNOTAVAIL, errno.ENETUNREACH})
"""What the system answers for ::1 where it has no IPv6: so nobody listens there either."""


SPARES = 8
"""Sockets that are made at once for the next connections to the same pod."""

SPARE_SECONDS = 5.0
"""Seconds that they are kept; they keep the pod's namespace for as long."""


class NetnsConnector(Connector):
    """See the module.

    Sockets are made after a connection, for the next ones: asking the thread for one would be a
    good part of the time that opening takes, and is a good part of its work even then.
    """

    how = "by a socket of the pod's network namespace"

    def __init__(self, namespaces: NamespaceThread) -> None:
        self._namespaces = namespaces
        self._spares: list[socket.socket] = []
        self._spares_of: Sandbox | None = None
        self._making: asyncio.Task[None] | None = None
        self._timer: asyncio.TimerHandle | None = None

    async def open(self, pod: Place, port: int) -> ByteStream:
        """See `Connector.open`."""
        netns = pod.sandbox.netns
        if netns is None:
            raise UnavailableError(
                f"pod {pod.name} has no network namespace (any more) to open a socket in.",
                where="node agent",
            )
        tried = []
        for family, address in ADDRESSES:
            try:
                sock = self._take_spare(pod.sandbox) if family == socket.AF_INET else None
                if sock is None:
                    sock = await self._namespaces.socket(netns, family)
                stream = await connect(sock, address, port)
            except OSError as error:
                nobody = {errno.ECONNREFUSED} | (NO_IPV6 if family == socket.AF_INET6 else set())
                if error.errno not in nobody:
                    raise failure(pod, port, address, error) from None
                tried.append(f"{address}: {system_words(error)}")
            else:
                self._make_spares(pod.sandbox)
                return stream
        raise refused(pod, port, "; ".join(tried))

    def close(self) -> None:
        """See `Connector.close`."""
        if self._making is not None:
            self._making.cancel()
        self._drop_spares()

    def _take_spare(self, sandbox: Sandbox) -> socket.socket | None:
        return self._spares.pop() if self._spares and self._spares_of is sandbox else None

    def _make_spares(self, sandbox: Sandbox) -> None:
        if self._spares and self._spares_of is sandbox:
            return
        if self._making is None or self._making.done():
            loop = asyncio.get_running_loop()
            self._making = loop.create_task(self._fill(sandbox))

    async def _fill(self, sandbox: Sandbox) -> None:
        if sandbox.netns is None:
            return
        try:
            spares = await self._namespaces.sockets(sandbox.netns, socket.AF_INET, SPARES)
        except OSError:
            return  # it is ending; the next connection will say so
        self._drop_spares()
        self._spares, self._spares_of = spares, sandbox
        loop = asyncio.get_running_loop()
        self._timer = loop.call_later(SPARE_SECONDS, self._drop_spares)

    def _drop_spares(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
        while self._spares:
            self._spares.pop().close()
        self._spares_of = None
