"""Waiting for something to happen to a forward, or to be true of it."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Coroutine
from typing import Any, Protocol, TypeVar, get_args

from kfwd_nb.client.connection import Totals
from kfwd_nb.client.events import Event, EventKind
from kfwd_nb.client.log import ONCE, EventStream
from kfwd_nb.errors import LostError, UsageError, WaitError
from kfwd_nb.kube.nearest import did_you_mean

LOOK = 0.05
"""Seconds between two looks at whether a condition is true."""


class Watched(Protocol):
    """What of a `Forward` is looked at here."""

    name: str

    @property
    def state(self) -> str:
        """Whether it listens."""

    @property
    def reason(self) -> str:
        """What is wrong with it, or why it was stopped."""

    @property
    def totals(self) -> Totals:
        """How many of its connections are open."""

    def events(self, *, past: bool = False) -> EventStream:
        """What happens to it."""

    def wait(self, timeout: float | None = None) -> bool:
        """Whether it is stopped, before the time is over."""


T = TypeVar("T")
F = TypeVar("F", bound=Watched)


def wait_for(
    forward: F, condition: EventKind | Callable[[F], T], timeout: float | None
) -> Coroutine[Any, Any, Event | T]:
    """See `Forward.wait_for`; events count from the call, not from when it is awaited."""
    if not callable(condition) and condition not in get_args(EventKind):
        raise UsageError(
            f'no event of a forward is called "{condition}".',
            hint=did_you_mean(str(condition), get_args(EventKind)),
        )
    return _in_time(forward, condition, forward.events(past=condition in ONCE), timeout)


async def _in_time(
    forward: F,
    condition: EventKind | Callable[[F], T],
    events: EventStream,
    timeout: float | None,  # noqa: ASYNC109 - the error's words name it
) -> Event | T:
    try:
        async with asyncio.timeout(timeout):
            if callable(condition):
                return await _truth(forward, condition)
            async for event in events:
                if event.kind == condition:
                    return event
            raise _stopped(forward, condition)
    except TimeoutError:
        raise _too_late(forward, condition, timeout) from None


async def _truth(forward: F, condition: Callable[[F], T]) -> T:
    while True:
        over = forward.wait(0)
        if found := condition(forward):
            return found
        if over:
            raise _stopped(forward, condition)
        await asyncio.sleep(LOOK)


def wait_until(forward: F, condition: Callable[[F], T], timeout: float | None) -> T:
    """`Forward.wait_until` for a predicate, which may block: it is looked at on this thread."""
    end = None if timeout is None else time.monotonic() + timeout
    while True:
        over = forward.wait(0)
        if found := condition(forward):
            return found
        if over:
            raise _stopped(forward, condition)
        left = LOOK if end is None else min(LOOK, end - time.monotonic())
        if left <= 0:
            raise _too_late(forward, condition, timeout)
        forward.wait(left)


def _stopped(forward: Watched, condition: object) -> LostError:
    why = f": {forward.reason}" if forward.reason else "."
    return LostError(f"waited for {_named(condition)}, but {forward.name} was stopped{why}")


def _too_late(forward: Watched, condition: object, timeout: float | None) -> WaitError:
    count = forward.totals.open
    now = f"{forward.state}, {count} connection{'' if count == 1 else 's'} open"
    reason = f"; {forward.reason}" if forward.reason else "."
    return WaitError(
        f"waited {timeout} s for {_named(condition)}; {forward.name} is {now}{reason}",
        hint="`.log()` has what happened to it.",
    )


def _named(condition: object) -> str:
    if isinstance(condition, str):
        return f'"{condition}"'
    name = getattr(condition, "__name__", "")
    return f"{name}()" if name.isidentifier() else "a condition"
