"""Bytes a second, now and over the last minutes."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kfwd_nb.client.throughput import KEPT, SLOTS, Throughput

pytestmark = pytest.mark.pure

NOON = 1_700_000_000.0


def test_nothing_has_passed_at_first() -> None:
    passed = Throughput()
    assert passed.rate(NOON) == (0, 0)
    assert passed.seconds(100, 103) == [(0, 0)] * 3


def test_steady() -> None:
    passed = Throughput()
    for n in range(20):
        passed.add(NOON + n * 0.25, 250, 25)
    assert passed.rate(NOON + 5) == (1000, 100)


def test_a_little_at_once_is_not_made_much() -> None:
    """What passes in a millisecond was not that for a second."""
    passed = Throughput()
    passed.add(NOON, 184, 70)
    assert [passed.rate(NOON + part / 4)[0] for part in range(7)] == [184, 184, 184, 184, 184, 0, 0]


def test_each_second_has_what_passed_in_it() -> None:
    passed = Throughput()
    passed.add(100.0, 10, 0)
    passed.add(100.99, 5, 1)
    passed.add(102.0, 7, 0)
    assert passed.seconds(99, 104) == [(0, 0), (15, 1), (0, 0), (7, 0), (0, 0)]


@given(st.lists(st.tuples(st.floats(0, KEPT - 1), st.integers(0, 99), st.integers(0, 99))))
def test_nothing_is_lost_within_the_time_that_is_kept(moves: list[tuple[float, int, int]]) -> None:
    passed = Throughput()
    for after, inward, outward in sorted(moves):
        passed.add(NOON + after, inward, outward)
    seconds = passed.seconds(int(NOON), int(NOON) + KEPT)
    assert sum(each[0] for each in seconds) == sum(each[1] for each in moves)
    assert sum(each[1] for each in seconds) == sum(each[2] for each in moves)


def test_it_is_bounded() -> None:
    passed = Throughput()
    for n in range(4 * KEPT * SLOTS):
        passed.add(n / SLOTS, 1, 1)
    assert len(passed._slots) == (KEPT + 1) * SLOTS


def test_a_clock_that_is_set_back_a_little_loses_nothing() -> None:
    passed = Throughput()
    passed.add(NOON, 1000, 0)
    passed.add(NOON - 0.6, 5, 0)
    assert passed.seconds(int(NOON), int(NOON) + 1) == [(1005, 0)]


def test_a_clock_that_is_set_back_far_begins_anew() -> None:
    passed = Throughput()
    passed.add(NOON, 1000, 0)
    passed.add(NOON - 100, 5, 0)
    assert passed.rate(NOON - 99) == (5, 0)
    assert passed.rate(NOON) == (0, 0)
