"""Upgraded connections to one pod, one forwarded connection on each.

SPDY as Kubernetes speaks it has no flow control, so what shares a connection shares its stalls.
Here nothing shares: an idle connection is ready before it is needed, is taken by one forwarded
connection, and comes back when that is over. What is decided is decided at once; only opening a
connection, and waiting for one, takes time.
"""

from __future__ import annotations

import asyncio
import logging
import weakref
from collections import deque
from collections.abc import Awaitable, Callable

from kfwd_nb.errors import KfwdError, LimitError, LostError, UnavailableError
from kfwd_nb.transport.spdy.client import PortforwardConnection

MAX_UPGRADED = 500
"""Upgraded connections of a forward, to all pods together. Who comes when all are taken waits in
line for `LINE_TIMEOUT`, and is refused then."""

LINE_TIMEOUT = 30.0
"""Seconds that a forwarded connection waits for one of `MAX_UPGRADED` to be free."""

MAX_OPENING = 16
"""Connections that are opened at once: handshakes are work for the API server."""

MAX_IDLE = 8
"""Idle connections that are kept when a burst is over; one is there from the start."""

Opener = Callable[[], Awaitable[PortforwardConnection]]

log = logging.getLogger(__name__)


class Budget:
    """Counts the upgraded connections of a forward, over all its pools."""

    def __init__(self, limit: int = MAX_UPGRADED) -> None:
        self.limit = limit
        self.used = 0
        self._pools: weakref.WeakSet[Pool] = weakref.WeakSet()

    @property
    def spent(self) -> bool:
        """No further connection may be opened."""
        return self.used >= self.limit

    def join(self, pool: Pool) -> None:
        """The pool lives on this budget."""
        self._pools.add(pool)

    def take(self) -> None:
        """A connection is about to be opened."""
        self.used += 1

    def give_back(self) -> None:
        """A connection is gone; another may be opened, by whichever pool has a line."""
        self.used -= 1
        for pool in list(self._pools):
            pool.serve_line()

    def ask_for_room(self) -> None:
        """A pool has a line, and the budget is spent: a connection that idles elsewhere must go."""
        for pool in list(self._pools):
            if pool.close_one_idle():
                return


class Pool:
    """Gives out upgraded connections to one pod.

    Args:
        opener: opens one.
        budget: shared by the pools of a forward.
    """

    def __init__(self, opener: Opener, budget: Budget) -> None:
        self._opener = opener
        self._budget = budget
        self._idle: deque[PortforwardConnection] = deque()
        self._all: set[PortforwardConnection] = set()
        self._line: deque[asyncio.Future[PortforwardConnection]] = deque()
        self._opening: set[asyncio.Task[None]] = set()
        self._closed = False
        budget.join(self)

    @property
    def idle(self) -> int:
        """Connections that wait to be used."""
        return len(self._idle)

    async def take(self, *, fresh: bool = False) -> PortforwardConnection:
        """A connection for one pair; it comes back by itself when the pair is over.

        `fresh` ends those that idle: one of them was dead, and they are of the same age.

        Raises:
            LimitError: all of `MAX_UPGRADED` were in use for `LINE_TIMEOUT`.
            UnavailableError: the API server has not given one in that time.
            LostError: the pool was retired, or all is being ended (`close`).
            KfwdError: none can be opened; the kind says why.
        """
        if self._closed:
            raise LostError("the pool was closed.")
        while fresh and self._idle:
            self._idle.pop().close()
        while self._idle:
            connection = self._idle.pop()
            if connection.alive:
                self._grow()
                return connection
        ticket: asyncio.Future[PortforwardConnection]
        ticket = asyncio.get_running_loop().create_future()
        self._line.append(ticket)
        self._grow()
        try:
            async with asyncio.timeout(LINE_TIMEOUT):
                return await ticket
        except BaseException as error:
            self._leave(ticket)
            if isinstance(error, TimeoutError):
                raise self._too_late() from None
            raise

    def _too_late(self) -> KfwdError:
        if not self._budget.spent:
            return UnavailableError(
                f"the API server has opened no connection to the pod in {LINE_TIMEOUT:.0f} s.",
                where="relay",
            )
        return LimitError(
            f"all {self._budget.limit} connections to the API server that a forward may have "
            f"are in use, for {LINE_TIMEOUT:.0f} s now.",
            hint="each forwarded connection needs one; close some.",
        )

    async def warm(self) -> None:
        """Have one connection ready.

        Raises:
            KfwdError: none can be opened.
        """
        self._free(await self.take())

    def close(self, error: KfwdError | None = None) -> None:
        """End all connections, and open no more; what is in use ends with `error`, if any."""
        self._end(error or LostError("the pool was closed."))
        for task in self._opening:
            task.cancel()
        for connection in list(self._all):
            connection.close(error)

    def retire(self, why: str = "the pod is gone.") -> None:
        """End what is idle, and the rest when it is free; those in line hear why."""
        self._end(LostError(why))
        while self._idle:
            self._idle.pop().close()

    # -- what the budget asks ---------------------------------------------------------------------

    def serve_line(self) -> None:
        """Open what those need who wait."""
        if self._line:
            self._grow()

    def close_one_idle(self) -> bool:
        """Make room for another pool; False if nothing idles here."""
        if self._line or not self._idle:
            return False
        self._idle.popleft().close()
        return True

    # -- inside -----------------------------------------------------------------------------------

    def _end(self, error: KfwdError) -> None:
        self._closed = True
        while self._line:
            self._fail_one(error)

    def _leave(self, ticket: asyncio.Future[PortforwardConnection]) -> None:
        """Who waited does not want it any more."""
        if ticket in self._line:
            self._line.remove(ticket)
        elif not ticket.cancelled() and ticket.exception() is None:
            self._free(ticket.result())  # it came at the moment of giving up

    def _grow(self) -> None:
        """Open what lacks: one for each who waits, and a spare one."""
        lacking = len(self._line) + 1 - len(self._idle) - len(self._opening)
        for _ in range(lacking):
            if self._closed or len(self._opening) >= MAX_OPENING:
                return
            if self._budget.spent:
                if len(self._line) > len(self._opening):
                    self._budget.ask_for_room()
                return
            self._budget.take()
            task = asyncio.get_running_loop().create_task(self._open())
            self._opening.add(task)
            task.add_done_callback(self._opened)

    def _opened(self, task: asyncio.Task[None]) -> None:
        """A task is over that was to open one; a cancelled one may not even have begun."""
        self._opening.discard(task)
        if task.cancelled():
            self._budget.give_back()

    async def _open(self) -> None:
        try:
            connection = await self._opener()
        except KfwdError as error:
            self._failed(error)
            return
        except Exception as error:
            log.exception("an upgraded connection")
            self._failed(LostError(f"no connection could be opened: {error!r}."))
            return
        self._settled()
        self._all.add(connection)
        connection.released = lambda: self._free(connection)
        connection.closed.add_done_callback(lambda _: self._gone(connection))
        self._free(connection)

    def _failed(self, error: KfwdError) -> None:
        """The first in line hears why; for the others, if there are any, it is tried again."""
        self._settled()
        self._fail_one(error)
        self._budget.give_back()

    def _settled(self) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._opening.discard(task)

    def _fail_one(self, error: KfwdError) -> None:
        while self._line:
            ticket = self._line.popleft()
            if not ticket.done():
                ticket.set_exception(error)
                return

    def _free(self, connection: PortforwardConnection) -> None:
        """A connection carries nothing (any more)."""
        if connection.spoiled:
            connection.close(LostError("it is not used again."))  # at once: nobody needs the rest
        if not connection.alive:
            return
        while self._line:
            ticket = self._line.popleft()
            if not ticket.done():
                ticket.set_result(connection)
                self._grow()
                return
        if self._closed or len(self._idle) >= MAX_IDLE:
            connection.close()
        else:
            self._idle.append(connection)

    def _gone(self, connection: PortforwardConnection) -> None:
        self._all.discard(connection)
        if connection in self._idle:
            self._idle.remove(connection)
        self._budget.give_back()
