"""A minute of traffic as a small picture: paths for an SVG, blocks for text. Pure.

In and out share one scale, and stand apart by place and form, not by colour: in is a filled area
above the line, out an empty one below it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from kfwd_nb.notebook.drawing.units import bytes_text

if TYPE_CHECKING:
    from kfwd_nb.client.throughput import Passed

SECONDS = 60
"""Whole ones that are drawn; the one that runs is not among them."""

STEP = 2
"""Units of the picture's width for a second."""

HALF = 12
"""Units of its height on each side of the line."""

LEAST = 1.0
"""Units that anything but nothing takes, so that little beside much is seen."""

SECONDS_A_BLOCK = 2
"""Seconds for each character of the text."""

BLOCKS = "▁▂▃▄▅▆▇█"
"""The first one is for nothing."""


@dataclass(frozen=True, slots=True)
class Direction:
    """One direction: `path` for an SVG, `blocks` for text, and the most that passed in a second."""

    path: str
    blocks: str
    most: str


@dataclass(frozen=True, slots=True)
class Spark:
    """Both directions.

    Attributes:
        label: the picture in words.
        span: which time it shows.
        width, height: of the picture, in its own units.
        middle: where the line is, from above.
        quiet: nothing has passed.
    """

    inward: Direction
    outward: Direction
    label: str
    span: str
    width: int
    height: int
    middle: int
    quiet: bool


def spark(passed: Sequence[Passed], until: str) -> Spark:
    """Draw what has passed in each second, up to `until`, a time of day."""
    came, went = [each[0] for each in passed], [each[1] for each in passed]
    most = max((*came, *went), default=0)
    inward = _direction(came, most, up=True)
    outward = _direction(went, most, up=False)
    seconds = len(passed)
    span = f"{seconds} s before {until}"
    said = f"in (above) at most {inward.most}, out (below) at most {outward.most}"
    return Spark(
        inward=inward,
        outward=outward,
        label=f"{span}: {said if most > 0 else 'nothing passed'}",
        span=span,
        width=seconds * STEP,
        height=2 * HALF,
        middle=HALF,
        quiet=most <= 0,
    )


def _direction(values: Sequence[float], most: float, *, up: bool) -> Direction:
    own = max(values, default=0.0)
    coarse = [
        max(values[first : first + SECONDS_A_BLOCK])
        for first in range(0, len(values), SECONDS_A_BLOCK)
    ]
    return Direction(path(values, most, up=up), blocks(coarse, most), f"{bytes_text(own)}/s")


def path(values: Sequence[float], most: float, *, up: bool) -> str:
    """A stepped area as an SVG path, from the line up or down; empty where all is 0."""
    if most <= 0 or not any(values):
        return ""
    drawn, last = [f"M0 {HALF}"], 0.0
    for place, value in enumerate(values):
        height = max(LEAST, round(value / most * (HALF - 1), 1)) if value > 0 else 0.0
        if height != last:
            level = HALF - height if up else HALF + height
            drawn.append(f"H{place * STEP}V{level:g}")
            last = height
    return "".join([*drawn, f"H{len(values) * STEP}V{HALF}"])


def blocks(values: Sequence[float], most: float) -> str:
    """One character for each value."""
    top = len(BLOCKS) - 1
    return "".join(
        BLOCKS[max(1, round(value / most * top))] if value > 0 and most > 0 else BLOCKS[0]
        for value in values
    )
