"""When to ask whether the peer is still there, and when to give it up. No clock: time comes in."""

from __future__ import annotations

from typing import Literal

PING_AFTER = 15.0
"""Seconds without a byte from the peer after which it is asked. Load balancers drop idle
connections after 60 s (AWS NLB: 350 s, Azure: 240 s, HAProxy's common default: 50 s)."""

LOST_AFTER = 15.0
"""Seconds without a byte after the question, after which the peer counts as gone."""


class Keepalive:
    """Decides what an idle connection does.

    Args:
        now: seconds on any monotonic clock; the same clock as in every later call.
    """

    def __init__(
        self, now: float, *, ping_after: float = PING_AFTER, lost_after: float = LOST_AFTER
    ) -> None:
        self._ping_after = ping_after
        self._lost_after = lost_after
        self._heard = now
        self._asked: float | None = None

    def heard(self, now: float) -> None:
        """Bytes came from the peer: any byte is a sign of life."""
        self._heard = now
        self._asked = None

    def silence(self, now: float) -> float:
        """Seconds since the peer was last heard."""
        return now - self._heard

    def due(self, now: float) -> Literal["ping", "lost"] | None:
        """What is to be done now; `ping` is answered once for each question."""
        if self._asked is None:
            if now < self._heard + self._ping_after:
                return None
            self._asked = now
            return "ping"
        return "lost" if now >= self._asked + self._lost_after else None

    def next(self) -> float:
        """The time at which `due` is worth calling again."""
        if self._asked is None:
            return self._heard + self._ping_after
        return self._asked + self._lost_after
