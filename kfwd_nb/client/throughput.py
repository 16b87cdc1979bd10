"""Bytes a second of a forward, now and over the last minutes. Pure: time is an argument.

They are counted where they pass, not by those who look: all tables and dashboards of a forward read
the same figures, also of the time before they were shown.
"""

from __future__ import annotations

from collections import deque

SLOTS = 4
"""Parts of a second that are counted one by one."""

WINDOW = 1
"""Seconds that a rate looks back; so long after the last byte, and a part, it reads 0."""

KEPT = 120
"""Seconds that are remembered, and the one that runs."""

Passed = tuple[int, int]
"""Bytes that came from the pod, and that went to it."""


class Throughput:
    """What has passed lately. One thread adds, any thread reads.

    All times are seconds since the epoch. A clock that is set back by more than a `WINDOW` begins
    it anew.
    """

    def __init__(self) -> None:
        # Only those in which something has passed: which one, and both directions.
        self._slots: deque[tuple[int, int, int]] = deque(maxlen=(KEPT + 1) * SLOTS)

    def add(self, now: float, inward: int, outward: int) -> None:
        """So many bytes pass."""
        slots, place = self._slots, int(now * SLOTS)
        if slots:
            last, came, went = slots[-1]
            if last - WINDOW * SLOTS <= place <= last:
                slots[-1] = (last, came + inward, went + outward)
                return
            if place < last:
                slots.clear()
        slots.append((place, inward, outward))

    def rate(self, now: float) -> tuple[float, float]:
        """Bytes a second, from the pod and to it, over the last whole parts that make a `WINDOW`.

        The part that runs counts where it is all there is: what has just begun is not idle.
        """
        running = int(now * SLOTS)
        recent = [each for each in list(self._slots) if 0 <= running - each[0] <= WINDOW * SLOTS]
        whole = [each for each in recent if each[0] < running] or recent
        return sum(each[1] for each in whole) / WINDOW, sum(each[2] for each in whole) / WINDOW

    def seconds(self, first: int, last: int) -> list[Passed]:
        """Bytes from the pod and to it in each second from `first` on, up to and without `last`."""
        passed = [(0, 0)] * (last - first)
        for place, inward, outward in list(self._slots):
            second = place // SLOTS - first
            if 0 <= second < len(passed):
                came, went = passed[second]
                passed[second] = (came + inward, went + outward)
        return passed
