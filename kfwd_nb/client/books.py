"""The books of a forward: which connections there are and were, their sums, and what happened.

Written on the forward's loop, read from any thread.
"""

from __future__ import annotations

import asyncio
import itertools
import time
from collections import deque
from dataclasses import replace
from typing import TYPE_CHECKING

from kfwd_nb.client import events
from kfwd_nb.client.connection import Connection, Totals
from kfwd_nb.client.log import EventLog
from kfwd_nb.client.reasons import Reasons
from kfwd_nb.client.throughput import Throughput
from kfwd_nb.errors import LimitError

if TYPE_CHECKING:
    from kfwd_nb.client.events import Event
    from kfwd_nb.client.session import Session

MAX_CLOSED = 200
"""Closed connections that a forward remembers for its table; older ones live on in `totals`."""

MAX_CONNECTIONS = 10_000
"""Connections that a forward holds at once; further ones are refused and counted as failed."""


class Books:
    """What a forward knows of its connections; the `client.session.Ledger` of their sessions.

    Attributes:
        revision: changes whenever something visible does.
        stopping: the forward itself is being stopped: its connections end, but none fails.
        open: the sessions of the connections that are open, by number.
        log: what has happened.
        reasons: how many connections ended for which reason.
        throughput: what has passed lately.
    """

    def __init__(self) -> None:
        self.revision = 0
        self.stopping = False
        self.open: dict[int, Session] = {}
        self.log = EventLog()
        self.reasons = Reasons()
        self.throughput = Throughput()
        self._closed: deque[Connection] = deque(maxlen=MAX_CLOSED)
        self._numbers = itertools.count(1)
        self._totals = Totals()
        self._bytes_in = 0
        self._bytes_out = 0
        self._emptied: asyncio.Future[None] | None = None

    def number(self) -> int:
        """For the next connection."""
        return next(self._numbers)

    @property
    def totals(self) -> Totals:
        """Sums over all connections that there ever were."""
        return replace(
            self._totals,
            open=len(self.open),
            bytes_in=self._bytes_in,
            bytes_out=self._bytes_out,
        )

    def connections(self, newest: int | None = None) -> list[Connection]:
        """See `Forward.connections`."""
        # The open ones first: one that closes in between is then in both, not in neither.
        still_open = list(self.open.items())
        if newest is not None:
            still_open = still_open[max(0, len(still_open) - newest) :]
        both = {number: replace(each.connection) for number, each in still_open}
        both |= {each.number: each for each in list(self._closed)}  # nothing changes them any more
        return [both[number] for number in sorted(both)]

    def enter(self, session: Session) -> None:
        """A connection has come.

        Raises:
            LimitError: there are `MAX_CONNECTIONS`; it is to be refused.
        """
        self._totals = replace(self._totals, opened=self._totals.opened + 1)
        self.record(events.opened(session.connection))
        if len(self.open) >= MAX_CONNECTIONS:
            raise LimitError(f"more than {MAX_CONNECTIONS} connections at once.")
        self.open[session.connection.number] = session

    async def emptied(self) -> None:
        """Wait until no connection is open."""
        if self.open:
            self._emptied = asyncio.get_running_loop().create_future()
            await self._emptied

    # -- client.session.Ledger --------------------------------------------------------------------

    def changed(self, *, bytes_in: int = 0, bytes_out: int = 0) -> None:
        """Note that something visible changed."""
        self.revision += 1
        if bytes_in or bytes_out:
            self._bytes_in += bytes_in
            self._bytes_out += bytes_out
            self.throughput.add(time.time(), bytes_in, bytes_out)

    def closed(self, connection: Connection) -> None:
        """Move a connection to those that are over."""
        self.open.pop(connection.number, None)
        self._closed.append(connection)
        self.reasons.add(connection)
        if self._emptied is not None and not self.open and not self._emptied.done():
            self._emptied.set_result(None)
        if connection.failed:
            self._totals = replace(self._totals, failed=self._totals.failed + 1)
        self.record(events.closed(connection))

    def record(self, event: Event) -> None:
        """Something has happened that the log shall have."""
        self.revision += 1
        self.log.record(event)
