"""What is told to a person while something takes long."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

TELL_EVERY = 1.0
"""Seconds from the begin of a wait until it is first told, and from then until it is told again."""


@dataclass(frozen=True, slots=True)
class Waiting:
    """A wait that goes on.

    Attributes:
        what: what is waited for, as the end of a sentence: `deploy/api to run`.
        why: how it stands, in a clause; may be empty.
        since: when the wait began, seconds since the epoch.
        until: when it ends at the latest.
        limit: what sets that end, for a person who wants another; may be empty.
    """

    what: str
    why: str
    since: float
    until: float
    limit: str = ""


Waits = Callable[[Waiting], None]
"""Told every `TELL_EVERY` seconds that a wait goes on, on the loop that waits."""


def unheard(waiting: Waiting) -> None:
    """For those who do not ask."""
