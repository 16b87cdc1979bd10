"""Tables that follow their forwards: updated in place, from a thread of their own.

The thread goes on while a cell blocks the kernel. It looks four times a second and says something
only when there is news, so that an idle forward sends no message at all: a hub would take each one
for a sign of life. The thread lives as long as there is a table to follow.
"""

from __future__ import annotations

import atexit
import logging
import os
import sys
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Protocol
from weakref import WeakKeyDictionary

from kfwd_nb.notebook.drawing.table import Table, build

if TYPE_CHECKING:
    from kfwd_nb.client import Forward
    from kfwd_nb.notebook.drawing.render import Bundle

INTERVAL = 0.25
"""Seconds between two updates of a table, at the least."""

SHARE = 0.04
"""Of a core, which all that is shown may cost: what takes long to draw is drawn less often."""

MAX_PAUSE = 2.0
"""Seconds between two updates at the most, whatever they cost."""

MAX_TABLES = 16
"""Tables followed at once; the oldest stands still when one more is shown."""

MAX_STOPPED = 8
"""Stopped forwards that a table of all forwards goes on showing, the latest."""

log = logging.getLogger(__name__)

Source = Callable[[], Sequence["Forward"]]
"""The forwards that a table shows, asked again for each update."""


class Followed(Protocol):
    """What the follower looks after.

    Attributes:
        owner: see `LiveTable`.
        over: it is not looked after any more.
    """

    owner: tuple[str, str]
    over: bool

    def refresh(self) -> bool:
        """Show what is new; False if nothing is."""

    def settle(self) -> None:
        """A cell ends: a saved notebook has to show what there is now."""

    def freeze(self) -> None:
        """It all ends: leave what there is now in a form that needs no kernel."""

    def close(self) -> None:
        """It is not looked after any more: let go of what it holds."""


class LiveTable:
    """One shown table.

    Args:
        source: what it shows.
        show: shows a bundle, in the place of the one before.
        note: a line above the table, while something in it runs or can come.
        endless: follow on although every forward is stopped, because others may come.
        owner: the cell and the run of it that showed the table, if the frontend names its cells.
        settle: says once more, at the end of another cell, what was shown last.
    """

    def __init__(
        self,
        source: Source,
        show: Callable[[Bundle], None],
        *,
        note: str = "",
        endless: bool = False,
        owner: tuple[str, str] = ("", ""),
        settle: Callable[[], None] = lambda: None,
    ) -> None:
        self.owner = owner
        self.over = False
        self._source = source
        self._show = show
        self._note = note
        self._endless = endless
        self._settle = settle
        self._seen: object = None
        self._table: Table | None = None
        self._lock = threading.Lock()

    def refresh(self) -> bool:
        """Show the table again if there is news; False if there was none."""
        with self._lock:
            return not self.over and self._refresh(time.time())

    def settle(self) -> None:
        """At the end of a cell: make sure that a saved notebook shows what there is now."""
        self.refresh()
        with self._lock:
            self._settle()

    def freeze(self) -> None:
        """Leave what there is now; it needs no kernel."""
        self.refresh()

    def close(self) -> None:
        """Show nothing any more."""
        self.over = True

    def _refresh(self, now: float) -> bool:
        forwards = self._source()
        seen, moves = look(forwards, now)
        if seen == self._seen and not moves:
            return False
        over = not self._endless and all(map(_is_over, forwards))
        stopped = not self._endless and all(each.state == "stopped" for each in forwards)
        table = build(forwards, now, "" if stopped else self._note)
        news = table != self._table
        if news:
            from kfwd_nb.notebook.drawing.render import table_bundle

            self._show(table_bundle(table))
            self._table = table
        self._seen = seen  # not before it is shown: what fails is tried again
        self.over = over
        return news


def look(forwards: Sequence[Forward], now: float) -> tuple[object, bool]:
    """What is to be seen of forwards, to compare with a later look; and if bytes pass.

    While they do, there is news without a difference: how fast. That they have ceased is one.
    """
    moving = [any(each.throughput.rate(now)) for each in forwards]
    seen = [
        (id(each), each.revision, each.state, moves)
        for each, moves in zip(forwards, moving, strict=True)
    ]
    return seen, any(moving)


def _is_over(forward: Forward) -> bool:
    """True when its last connection is over, too, which takes a moment longer than its state."""
    return forward.state == "stopped" and not forward.totals.open


class Follower:
    """Refreshes all tables, from one thread."""

    def __init__(self) -> None:
        self._tables: list[Followed] = []
        self._ended: deque[Followed] = deque(maxlen=MAX_TABLES)
        self._lock = threading.Lock()
        self._thread: threading.Thread | None = None
        self._stop = threading.Event()
        self._told: WeakKeyDictionary[Followed, str] = WeakKeyDictionary()

    def follow(self, table: Followed) -> None:
        """Show the table, and refresh it from now on until it is over."""
        table.refresh()
        if table.over:
            return
        with self._lock:
            replaced = [each for each in self._tables if _replaced(each, table)]
            kept = [each for each in self._tables if each not in replaced]
            self._tables = [*kept, table][-MAX_TABLES:]
            pushed_out = [each for each in kept if each not in self._tables]
            if self._thread is None:
                self._stop = threading.Event()
                self._thread = threading.Thread(
                    target=self._run, args=(self._stop,), name="kfwd-tables", daemon=True
                )
                self._thread.start()
        for each in pushed_out:
            self._guard(each, each.freeze)
        for each in [*replaced, *pushed_out]:
            self._guard(each, each.close)

    def refresh(self) -> None:
        """Refresh all tables now: before a cell ends that has stopped forwards."""
        for table in self._tables:
            self._guard(table, table.refresh)

    def settle(self) -> None:
        """At the end of a cell: settle all tables, and for the last time those that are over."""
        with self._lock:
            tables = [*self._ended, *self._tables]
            self._ended.clear()
        for table in tables:
            self._guard(table, table.settle)

    def close(self) -> None:
        """Show what there is for the last time, in a form that lasts, and end the thread."""
        for table in self._tables:
            self._guard(table, table.freeze)
        self.abandon()

    def abandon(self) -> None:
        """Let go of the tables and of the thread."""
        with self._lock:  # else the thread puts back the tables that it looks at just now
            self._stop.set()
            self._tables = []
            self._ended.clear()
            self._thread = None

    def forked(self) -> None:
        """In the child of a fork: the thread is not there, and the cells are not ours."""
        self.__init__()  # type: ignore[misc]

    def _run(self, stop: threading.Event) -> None:
        pause = INTERVAL
        while not stop.wait(pause):
            began = time.thread_time()
            for table in self._tables:
                self._guard(table, table.refresh)
            with self._lock:
                self._ended += [each for each in self._tables if each.over]
                self._tables = [each for each in self._tables if not each.over]
                if not self._tables and self._thread is threading.current_thread():
                    self._thread = None
                    return
            pause = pause_after(time.thread_time() - began)

    def _guard(self, table: Followed, action: Callable[[], object]) -> None:
        """A table that fails does not take the others with it, and goes on at its next turn."""
        try:
            action()
        except Exception as error:
            if self._told.get(table) != repr(error):  # each time anew would be four times a second
                self._told[table] = repr(error)
                log.exception("a live table could not be updated")


def pause_after(cost: float) -> float:
    """Seconds until the next look, after one that cost so many of processor time."""
    return min(max(INTERVAL, cost / SHARE), MAX_PAUSE)


def _replaced(old: Followed, new: Followed) -> bool:
    """True if the cell of `old` ran again: nobody sees its earlier output any more."""
    return old.owner[0] != "" and old.owner[0] == new.owner[0] and old.owner[1] != new.owner[1]


class EveryForward:
    """The source of a table of all forwards: the running ones, and those it saw stop."""

    def __init__(self, running: Source) -> None:
        self._running = running
        self._seen: list[Forward] = []
        self._lock = threading.Lock()

    def __call__(self) -> Sequence[Forward]:
        """The running ones first. Any thread may ask."""
        with self._lock:
            return self._look()

    def _look(self) -> Sequence[Forward]:
        running = list(self._running())
        known = [each for each in self._seen if not any(each is other for other in running)]
        stopped = [each for each in known if each.state == "stopped"][-MAX_STOPPED:]
        self._seen = [*stopped, *running]
        return [*running, *stopped]


follower = Follower()
"""The one follower of this process."""


@atexit.register
def _at_exit() -> None:
    """Say what becomes of the forwards; the kernel's own thread still sends what is said here."""
    client = sys.modules.get("kfwd_nb.client")
    try:
        if client is not None:
            client.end("its kernel has ended")
    finally:
        follower.close()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=follower.forked)
