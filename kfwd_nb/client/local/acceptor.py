"""Takes connections off a listener, on the event loop that runs."""

from __future__ import annotations

import asyncio
import socket
import sys
from collections.abc import Callable
from typing import Any

ACCEPT_PAUSE = 0.1
"""Seconds to wait when no descriptor is left for an accepted connection."""

Taken = Callable[[socket.socket, Any], None]
"""Is given the socket, and its peer's address."""


class Acceptor:
    """Accepts until it is closed, one connection a turn of the loop; the listener is its owner's.

    The listener stays with the selector from one connection to the next, which `loop.sock_accept`
    would take it out of and put it back into.
    """

    def __init__(self, listener: socket.socket, taken: Taken) -> None:
        self._listener = listener
        self._taken = taken
        self._loop = asyncio.get_running_loop()
        self._timer: asyncio.TimerHandle | None = None
        self._task: asyncio.Task[None] | None = None
        if sys.platform == "win32":  # its loop watches no descriptors
            self._task = self._loop.create_task(self._accept())
        else:
            self._watch()

    async def close(self) -> None:
        """Accept no more; the listener may be closed then, and its number be given anew."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait((self._task,))
            return
        if self._timer is not None:
            self._timer.cancel()
        self._loop.remove_reader(self._listener)

    def _watch(self) -> None:
        self._loop.add_reader(self._listener, self._ready)

    def _ready(self) -> None:
        try:
            sock, peer = self._listener.accept()
        except BlockingIOError:
            return
        except OSError:  # no descriptor is left, or the peer was gone before we came
            self._loop.remove_reader(self._listener)
            self._timer = self._loop.call_later(ACCEPT_PAUSE, self._watch)
            return
        self._taken(sock, peer)

    async def _accept(self) -> None:
        while True:
            try:
                sock, peer = await self._loop.sock_accept(self._listener)
            except OSError:
                await asyncio.sleep(ACCEPT_PAUSE)
                continue
            self._taken(sock, peer)
