"""The events of all forwards as one log, without what the table of connections shows anyway."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from kfwd_nb.errors import printable
from kfwd_nb.notebook.dashboard.state import key_of

if TYPE_CHECKING:
    from kfwd_nb.client import Event, Forward

MAX_EVENTS = 300
"""Events that a browser gets, the last ones of all forwards."""

MAX_READ = 1000
"""Forwards of which it is known how far their logs were read, those that were looked at last."""

BAD = ("trouble", "missed")
GOOD = ("recovered", "came", "listening")

Line = dict[str, Any]


class Log:
    """Gathers what is new in the logs of forwards, at each look."""

    def __init__(self) -> None:
        self._lines: deque[Line] = deque(maxlen=MAX_EVENTS)
        self._read: dict[str, int] = {}

    @property
    def lines(self) -> list[Line]:
        """The oldest first."""
        return list(self._lines)

    def read(self, forwards: Iterable[Forward]) -> list[Line]:
        """What is new since the last time, in the order in which it happened."""
        new: list[Line] = []
        for forward in forwards:
            key = key_of(forward)
            last = self._read.pop(key, 0)
            events = [each for each in forward.log() if each.number > last]
            self._read[key] = events[-1].number if events else last
            new += [line(forward, each) for each in events if worth_telling(each)]
        while len(self._read) > MAX_READ:
            del self._read[next(iter(self._read))]
        new = sorted(new, key=lambda each: each["time"])[-MAX_EVENTS:]
        self._lines += new
        return new


def worth_telling(event: Event) -> bool:
    """It is about the forward or its pods, or a connection that failed or had to wait."""
    if event.connection is None:
        return True
    return event.kind == "waiting" or (event.kind == "closed" and bool(event.facts["failed"]))


def line(forward: Forward, event: Event) -> Line:
    """An event as the browser gets it."""
    bad = event.kind in BAD or event.kind == "closed"
    return {
        "key": f"{key_of(forward)}/{event.number}",
        "forward": key_of(forward),
        "name": printable(forward.name),
        "time": event.time,
        "kind": event.kind,
        "tone": "bad" if bad else "good" if event.kind in GOOD else "",
        "text": printable(event.text),
    }
