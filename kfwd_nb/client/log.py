"""The events of a forward: the last ones are kept, and all are handed to who reads along."""

from __future__ import annotations

import asyncio
import threading
import time
import weakref
from collections import deque
from collections.abc import Iterable
from concurrent.futures import Future, wait

from kfwd_nb.client.events import Event
from kfwd_nb.errors import UsageError

MAX_OWN = 200
"""Events of the forward itself, and of its target's pods, that a log keeps."""

MAX_OF_CONNECTIONS = 400
"""Events of its connections that a log keeps: a busy forward has thousands, and they shall not push
out when the cluster was lost."""

MAX_BEHIND = 1_000
"""Events that wait for a reader; of those that are not read in time the oldest are dropped."""

SIGNALS = 0.5
"""Seconds after which a reader that blocks looks for signals; on Windows none interrupts it."""

ONCE = ("dialect", "listening")
"""Kinds that a forward has one of, when it starts; a log keeps them for good."""


class EventLog:
    """Written on the forward's loop, read from any thread.

    Attributes:
        last: the number of the latest event.
    """

    def __init__(self) -> None:
        self.last = 0
        self._lock = threading.Lock()
        self._start: list[Event] = []
        self._own: deque[Event] = deque(maxlen=MAX_OWN)
        self._of_connections: deque[Event] = deque(maxlen=MAX_OF_CONNECTIONS)
        self._over = False
        self._readers: weakref.WeakSet[EventStream] = weakref.WeakSet()

    def record(self, event: Event) -> None:
        """Keep an event, and give it its number and its time; `stopped` is the last one."""
        if event.time is None:
            event.time = time.time()
        with self._lock:
            if self._over:
                return
            self.last += 1
            event.number = self.last
            self._kept_with(event).append(event)
            self._over = event.kind == "stopped"
            for reader in self._readers:
                reader.put(event)

    def _kept_with(self, event: Event) -> list[Event] | deque[Event]:
        if event.kind in ONCE:
            return self._start
        return self._own if event.connection is None else self._of_connections

    def events(self) -> list[Event]:
        """What is kept, in the order in which it happened."""
        kept = [*self._start, *self._own, *self._of_connections]
        return sorted(kept, key=lambda each: each.number)

    def follow(self, *, past: bool, only_await: bool) -> EventStream:
        """All that is recorded from now on; with `past`, after what is kept."""
        with self._lock:
            kept = self.events() if past or self._over else []
            stream = EventStream(kept if past else kept[-1:], only_await=only_await)
            self._readers.add(stream)
            return stream


class EventStream:
    """Events, for one reader on any loop (`async for`) or thread (`for`).

    It ends with `stopped`. A reader that is `MAX_BEHIND` events behind loses the oldest, and gets
    one event `missed` in their place. Who has read enough just drops it.

    Args:
        past: events to begin with.
        only_await: who blocks would keep the forward itself from running.
    """

    def __init__(self, past: Iterable[Event] = (), *, only_await: bool = False) -> None:
        self._lock = threading.Lock()
        self._events: deque[Event] = deque()
        self._dropped = 0
        self._over = False
        self._only_await = only_await
        self._waiter: Future[None] | None = None
        for event in past:
            self.put(event)

    def put(self, event: Event) -> None:
        """From any thread; it never blocks."""
        with self._lock:
            if len(self._events) >= MAX_BEHIND:
                self._events.popleft()
                self._dropped += 1
            self._events.append(event)
            self._over = event.kind == "stopped"
            waiter, self._waiter = self._waiter, None
        if waiter is not None and waiter.set_running_or_notify_cancel():
            waiter.set_result(None)

    def rest(self) -> list[Event]:
        """Those that have happened and are not read yet; it never blocks."""
        return list(iter(self._take, None))

    def _take(self) -> Event | None:
        with self._lock:
            if self._dropped:
                dropped, self._dropped = self._dropped, 0
                return Event("missed", {"events": dropped}, time=time.time())
            return self._events.popleft() if self._events else None

    def _news(self) -> Future[None] | None:
        """Done when there may be something to take; None at the end."""
        with self._lock:
            if self._waiter is not None and not self._waiter.done():
                raise RuntimeError("somebody else waits for the next event already")
            waiter: Future[None] = Future()
            if self._events or self._dropped:
                waiter.set_result(None)
            elif self._over:
                return None
            else:
                self._waiter = waiter
            return waiter

    def __aiter__(self) -> EventStream:
        return self

    async def __anext__(self) -> Event:
        while (event := self._take()) is None:
            waiter = self._news()
            if waiter is None:
                raise StopAsyncIteration
            _awaited.add(waiter)
            try:
                await asyncio.wrap_future(waiter)
            finally:
                _awaited.discard(waiter)
        return event

    def __iter__(self) -> EventStream:
        if self._only_await:
            raise UsageError(
                "a blocking loop over events would stop the forward, which runs on this very loop.",
                hint='use `async for`, or forward with loop="thread".',
            )
        return self

    def __next__(self) -> Event:
        while (event := self._take()) is None:
            waiter = self._news()
            if waiter is None:
                raise StopIteration
            try:
                while not wait((waiter,), SIGNALS).done:
                    pass
            finally:
                waiter.cancel()  # an interrupt: nobody waits any more
        return event


_awaited: set[Future[None]] = set()
"""Holds the tasks that await an event: a loop has only weak references to its tasks."""
