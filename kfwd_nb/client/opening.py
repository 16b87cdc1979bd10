"""Connections of this very process: the far end of a socket pair is served like an accepted one."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable

from kfwd_nb.client.pod_socket import PodSocket
from kfwd_nb.client.session import Session
from kfwd_nb.errors import LostError
from kfwd_nb.transport.socket_pair import socket_pair

IN_PROCESS = "in-process"
"""The `peer` of such a connection: it has no address that means anything to others."""


async def opened(
    session: Session, serve: Callable[[socket.socket], asyncio.Task[None]]
) -> PodSocket:
    """The near end, once the far one is coupled with the pod.

    Args:
        session: of the new connection.
        serve: begins to serve the far end by that session.

    Raises:
        LostError: the forward was stopped meanwhile.
        KfwdError: the connection has failed.
        OSError: this process may have no sockets.
    """
    ours, theirs = socket_pair()
    theirs.setblocking(False)
    sock = PodSocket(ours.family, ours.type, ours.proto, ours.detach())
    sock.connection = session.connection
    serving = serve(theirs)
    try:
        await asyncio.wait((serving,))
        if serving.cancelled():
            raise LostError("the forward was stopped.")
        if session.error is not None:
            raise session.error
    except BaseException:
        serving.cancel()
        sock.close()
        raise
    return sock
