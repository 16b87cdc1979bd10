"""The last events of a forward, as they happened."""

from __future__ import annotations

import time
from collections import deque
from dataclasses import replace
from itertools import count

from kfwd_nb.client.events import Event

MAX_OWN = 200
"""Events of the forward itself, and of its target's pods, that a log keeps."""

MAX_OF_CONNECTIONS = 400
"""Events of its connections that a log keeps: a busy forward has thousands, and they shall not push
out what dialect was chosen, and when the cluster was lost."""


class EventLog:
    """Written on the forward's loop, read from any thread."""

    def __init__(self) -> None:
        self._numbers = count(1)
        self._own: deque[Event] = deque(maxlen=MAX_OWN)
        self._of_connections: deque[Event] = deque(maxlen=MAX_OF_CONNECTIONS)

    def record(self, event: Event) -> None:
        """Keep an event, with its number and its time."""
        when = time.time() if event.time is None else event.time
        event = replace(event, number=next(self._numbers), time=when)
        kept = self._own if event.connection is None else self._of_connections
        kept.append(event)

    def events(self) -> list[Event]:
        """What is kept, in the order in which it happened."""
        return sorted([*self._own, *self._of_connections], key=lambda each: each.number)
