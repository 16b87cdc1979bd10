"""Connector `netns`: a socket of the pod's own network namespace, connected on our event loop."""

from __future__ import annotations

import errno
import socket

from kfwd_nb.agent.connectors import Connector, Place, connect, failure, refused, system_words
from kfwd_nb.agent.netns import NamespaceThread
from kfwd_nb.errors import UnavailableError
from kfwd_nb.transport.stream import ByteStream

ADDRESSES = ((socket.AF_INET, "127.0.0.1"), (socket.AF_INET6, "::1"))
"""Tried in this order: a server may listen on one of them only."""

NO_IPV6 = frozenset({errno.EAFNOSUPPORT, errno.EADDRNOTAVAIL, errno.ENETUNREACH})
"""What the system answers for ::1 where it has no IPv6: so nobody listens there either."""


class NetnsConnector(Connector):
    """See the module."""

    def __init__(self, namespaces: NamespaceThread) -> None:
        self._namespaces = namespaces

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
                sock = await self._namespaces.socket(netns, family)
                return await connect(sock, address, port)
            except OSError as error:
                nobody = {errno.ECONNREFUSED} | (NO_IPV6 if family == socket.AF_INET6 else set())
                if error.errno not in nobody:
                    raise failure(pod, port, address, error) from None
                tried.append(f"{address}: {system_words(error)}")
        raise refused(pod, port, "; ".join(tried))
