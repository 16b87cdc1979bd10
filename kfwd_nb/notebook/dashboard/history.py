"""Throughput of the last minutes, a sample a second at the most. Pure: time comes in."""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping

MAX_SAMPLES = 300
"""Samples that are kept, the last ones: five minutes of traffic without a pause."""

INTERVAL = 1.0
"""Seconds between two samples, at the least."""

Sample = tuple[float, float, float]
"""Seconds since the epoch; bytes a second from all pods, and to them, since the look before."""


class History:
    """Sums over all forwards. While nothing passes there are no samples: a gap means zero."""

    def __init__(self) -> None:
        self._samples: deque[Sample] = deque(maxlen=MAX_SAMPLES)
        self._counted: dict[str, tuple[int, int]] = {}
        self._at = 0.0

    @property
    def samples(self) -> list[Sample]:
        """The oldest first."""
        return list(self._samples)

    def take(self, totals: Mapping[str, tuple[int, int]], now: float, wall: float) -> Sample | None:
        """Look at the counters; a sample, if it is time for one and it says something new.

        Args:
            totals: for each forward, by a key that no other ever has: bytes that came in and went
                out since it began.
            now: seconds on a clock that never goes back.
            wall: seconds since the epoch, for the sample.
        """
        elapsed = now - self._at
        if self._at and elapsed < INTERVAL:
            return None
        inward = outward = 0
        for each, (came, went) in totals.items():
            had = self._counted.get(each, (0, 0))
            inward, outward = inward + came - had[0], outward + went - had[1]
        first, self._at, self._counted = not self._at, now, dict(totals)
        was_idle = not self._samples or self._samples[-1][1:] == (0.0, 0.0)
        if first or (was_idle and not (inward or outward)):
            return None
        sample = (wall, inward / elapsed, outward / elapsed)
        self._samples.append(sample)
        return sample
