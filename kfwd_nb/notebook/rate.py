"""Bytes a second, over the last moment and over the last minute. Pure: time is an argument."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from math import floor
from typing import TYPE_CHECKING

from kfwd_nb.notebook.units import Rate

if TYPE_CHECKING:
    from kfwd_nb.client import Totals

WINDOW = 1.0
"""Seconds that a rate looks back; this long after the last byte it reads 0."""

MAX_SAMPLES = 16
"""Samples that are kept, more than a window of updates makes."""

HISTORY = 60
"""Seconds of history: whole ones, the one that runs is not among them."""


@dataclass(frozen=True, slots=True)
class History:
    """Bytes that passed in each of the last `HISTORY` seconds, the oldest first."""

    inward: tuple[float, ...] = (0.0,) * HISTORY
    outward: tuple[float, ...] = (0.0,) * HISTORY


class RateMeter:
    """Turns totals, read now and then, into rates."""

    def __init__(self) -> None:
        self._samples: deque[tuple[float, int, int]] = deque(maxlen=MAX_SAMPLES)
        self._seconds: dict[int, tuple[float, float]] = {}

    def read(self, totals: Totals, now: float) -> Rate:
        """Take a sample and give the rate over the window.

        Args:
            totals: of the forward, now.
            now: seconds on a clock that never goes back.
        """
        if self._samples:
            then, bytes_in, bytes_out = self._samples[-1]
            self._spread(then, now, totals.bytes_in - bytes_in, totals.bytes_out - bytes_out)
        self._samples.append((now, totals.bytes_in, totals.bytes_out))
        while len(self._samples) > 1 and self._samples[1][0] <= now - WINDOW:
            self._samples.popleft()
        then, bytes_in, bytes_out = self._samples[0]
        # Nothing passed between an old sample and the window, or there would be a newer one.
        passed = min(now - then, WINDOW)
        if passed <= 0:
            return Rate()
        return Rate(
            max(0, totals.bytes_in - bytes_in) / passed,
            max(0, totals.bytes_out - bytes_out) / passed,
        )

    def history(self, now: float) -> History:
        """What passed in each second, up to the last whole one."""
        end = floor(now)
        seconds = [self._seconds.get(each, (0.0, 0.0)) for each in range(end - HISTORY, end)]
        return History(tuple(each[0] for each in seconds), tuple(each[1] for each in seconds))

    def _spread(self, then: float, now: float, inward: int, outward: int) -> None:
        """Give each second its part of what has passed since the last sample."""
        if inward <= 0 and outward <= 0:
            return
        begin = max(then, now - WINDOW)  # what has passed is news, and so it is not older
        for second in range(floor(begin), floor(now) + 1):
            part = (min(now, second + 1) - max(begin, second)) / max(now - begin, 1e-9)
            before = self._seconds.get(second, (0.0, 0.0))
            self._seconds[second] = (
                before[0] + max(0, inward) * part,
                before[1] + max(0, outward) * part,
            )
        for second in [each for each in self._seconds if each < floor(now) - HISTORY]:
            del self._seconds[second]
