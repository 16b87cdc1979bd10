"""Throughput of the last minutes, as the browser draws it: a sample a second. Pure.

While nothing passes there are no samples: a gap means zero.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from kfwd_nb.client.throughput import Throughput

Sample = tuple[int, int, int]
"""The end of a second, in seconds since the epoch; the bytes of that second from the pods, and to
them."""


def samples(throughputs: Iterable[Throughput], first: int, last: int) -> list[Sample]:
    """The sums of several forwards, of the seconds from `first` on, up to and without `last`.

    A second without bytes has a sample only where it ends the traffic before it.
    """
    seconds = zip(*(each.seconds(first - 1, last) for each in throughputs), strict=True)
    sums = [(sum(each[0] for each in one), sum(each[1] for each in one)) for one in seconds]
    return [
        (first + place, *sums[place])
        for place in range(1, len(sums))
        if any(sums[place]) or any(sums[place - 1])
    ]
