"""Bytes a second over the last moment. Pure: time comes in as an argument."""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING

from kfwd_nb.notebook.table import Rate

if TYPE_CHECKING:
    from kfwd_nb.client import Totals

WINDOW = 1.0
"""Seconds that a rate looks back; this long after the last byte it reads 0."""

MAX_SAMPLES = 16
"""Samples that are kept, more than a window of updates makes."""


class RateMeter:
    """Turns totals, read now and then, into rates."""

    def __init__(self) -> None:
        self._samples: deque[tuple[float, int, int]] = deque(maxlen=MAX_SAMPLES)

    def read(self, totals: Totals, now: float) -> Rate:
        """Take a sample and give the rate over the window.

        Args:
            totals: of the forward, now.
            now: seconds on a clock that never goes back.
        """
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
