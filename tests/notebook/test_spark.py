"""The last minute as a picture, and as text."""

from __future__ import annotations

import pytest

from kfwd_nb.notebook.drawing.spark import BLOCKS, HALF, SECONDS, STEP, blocks, path, spark

pytestmark = pytest.mark.pure


@pytest.mark.parametrize(
    ("values", "most", "text"),
    [
        ((), 0, ""),
        ((0, 0), 0, "▁▁"),
        ((0, 1, 0), 1, "▁█▁"),
        ((1, 2, 3, 4, 5, 6, 7), 7, "▂▃▄▅▆▇█"),
        ((0.001, 1000), 1000, "▂█"),  # little is not nothing
        ((5, 5), 10, "▅▅"),
    ],
)
def test_blocks(values: tuple[float, ...], most: float, text: str) -> None:
    assert blocks(values, most) == text


@pytest.mark.parametrize(
    ("values", "most", "up", "drawn"),
    [
        ((), 0, True, ""),
        ((0, 0, 0), 0, True, ""),
        ((0, 0, 0), 9, True, ""),
        ((0, 9, 0), 9, True, "M0 12H2V1H4V12H6V12"),
        ((0, 9, 0), 9, False, "M0 12H2V23H4V12H6V12"),
        ((9, 9, 9), 9, True, "M0 12H0V1H6V12"),  # what does not change is one step
        ((0.001, 0), 9, True, "M0 12H0V11H2V12H4V12"),  # little is not nothing
    ],
)
def test_path(values: tuple[float, ...], most: float, up: bool, drawn: str) -> None:
    assert path(values, most, up=up) == drawn


def test_it_says_in_words_what_it_shows() -> None:
    drawn = spark([(0, 0)] * (SECONDS - 1) + [(12 * 2**20, 100)], "12:03:04")
    assert drawn.label == (
        "60 s before 12:03:04: in (above) at most 12.0 MiB/s, out (below) at most 100 B/s"
    )
    assert (drawn.width, drawn.height) == (SECONDS * STEP, 2 * HALF)
    assert drawn.inward.blocks == BLOCKS[0] * 29 + BLOCKS[-1]
    assert drawn.outward.blocks == BLOCKS[0] * 29 + BLOCKS[1], "one scale for both"
    assert not drawn.quiet


def test_nothing_is_said_to_be_nothing() -> None:
    drawn = spark([(0, 0)] * SECONDS, "12:03:04")
    assert drawn.quiet
    assert drawn.label == "60 s before 12:03:04: nothing passed"
    assert (drawn.inward.path, drawn.outward.path) == ("", "")


def test_its_size_is_bounded() -> None:
    wild = tuple(float(n * 7919 % 1000 + 1) for n in range(SECONDS))
    drawn = spark(list(zip(wild, wild[::-1], strict=True)), "12:03:04")
    assert len(drawn.inward.path) + len(drawn.outward.path) < 2000
