"""The local ports of one forward: bound, accepted from, and given back."""

from __future__ import annotations

import asyncio
import os
import socket
from collections.abc import Callable
from typing import Any

from kfwd_nb.client.forwarded_port import ForwardedPort
from kfwd_nb.client.local import holder
from kfwd_nb.client.local.acceptor import Acceptor
from kfwd_nb.client.local.listener import listen
from kfwd_nb.ports import Target

Taken = Callable[[ForwardedPort, socket.socket, Any], None]
"""Is given the port, the accepted socket and its peer's address."""


class Listeners:
    """Listens for a forward, and says so to those who want the same ports (`client.local.holder`).

    Attributes:
        sockets: that listen.
    """

    def __init__(self, target: Target, namespace: str) -> None:
        self.sockets: list[socket.socket] = []
        self._target = target
        self._namespace = namespace
        self._acceptors: list[Acceptor] = []
        self._said: list[int] = []

    async def open(
        self, address: str, local: int, remote: int, name: str, taken: Taken, *, first: int
    ) -> ForwardedPort:
        """Listen on one more port.

        Args:
            address: as in `listener.listen`, like `local`, `remote` and `first`.
            local: 0 for any free one.
            remote: the target's port.
            name: of the target's port.
            taken: is told of each connection.
            first: with `local` 0, the one that is taken if it is free.

        Raises:
            ListenError: it cannot be had.
        """
        # On a thread: a name is looked up, and who holds a port is searched for in all processes.
        sockets = await asyncio.to_thread(listen, address, local, remote, first=first)
        self.sockets += sockets
        names = [sock.getsockname() for sock in sockets]
        addresses = tuple(each[0] for each in names)
        port = ForwardedPort(addresses, names[0][1], remote, name=name)
        said = holder.say(port.local, self._target, self._namespace)
        self._said += [said] if said is not None else []
        self._acceptors += [
            Acceptor(sock, lambda accepted, peer: taken(port, accepted, peer)) for sock in sockets
        ]
        return port

    async def close(self) -> None:
        """Give all back."""
        while self._acceptors:
            await self._acceptors.pop().close()
        while self.sockets:
            self.sockets.pop().close()
        while self._said:
            os.close(self._said.pop())
