"""The connections of one forward that are on their way to the pod: a task for each until it is."""

from __future__ import annotations

import asyncio
import socket
import time
from collections.abc import Coroutine
from typing import Any

from kfwd_nb.client.books import Books
from kfwd_nb.client.connection import Connection
from kfwd_nb.client.dialing.dialer import Dialer
from kfwd_nb.client.forwarded_port import ForwardedPort
from kfwd_nb.client.opening import IN_PROCESS, opened
from kfwd_nb.client.pod_socket import PodSocket
from kfwd_nb.client.session import Session
from kfwd_nb.errors import LimitError
from kfwd_nb.ports import bracketed


class Sessions:
    """Begins connections, and ends those that are not through yet.

    Args:
        books: where each is entered.
        dialer: opens the way.
    """

    def __init__(self, books: Books, dialer: Dialer) -> None:
        self._books = books
        self._dialer = dialer
        self._tasks: set[asyncio.Task[None]] = set()

    def accepted(
        self, port: ForwardedPort, remote: int | str, sock: socket.socket, address: Any
    ) -> None:
        """A local program has connected to a port."""
        peer = f"{bracketed(address[0])}:{address[1]}"
        self._spawn(self._serve(sock, self._session(peer, port.local, port.remote), remote))

    async def open(self, port: int | str) -> PodSocket:
        """Open a connection of this process, to a port by number or name.

        Raises:
            KfwdError: see `opening.opened`.
        """
        session = self._session(IN_PROCESS, 0, await self._dialer.find_port(port))
        return await opened(session, lambda sock: self._spawn(self._serve(sock, session, port)))

    async def close(self) -> None:
        """End those that are on their way."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def _session(self, peer: str, local: int, remote: int) -> Session:
        connection = Connection(self._books.number(), peer, local, remote, time.time())
        return Session(connection, self._books)

    async def _serve(self, sock: socket.socket, session: Session, remote: int | str) -> None:
        try:
            self._books.enter(session)
        except LimitError as limit:
            session.refuse(sock, limit)
            return
        await session.run(sock, self._dialer, remote)

    def _spawn(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task
