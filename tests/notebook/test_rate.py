"""Bytes a second, now and over the last minute."""

from __future__ import annotations

import pytest

from kfwd_nb.client.connection import Totals
from kfwd_nb.notebook.rate import HISTORY, History, RateMeter
from kfwd_nb.notebook.units import Rate

pytestmark = pytest.mark.pure


def totals(inward: int, outward: int = 0) -> Totals:
    return Totals(bytes_in=inward, bytes_out=outward)


def test_first_reading_is_idle() -> None:
    assert RateMeter().read(totals(1000), 5.0) == Rate()


def test_steady() -> None:
    meter = RateMeter()
    rates = [meter.read(totals(n * 250, n * 25), n * 0.25) for n in range(20)]
    assert rates[1:] == [Rate(1000.0, 100.0)] * 19


def test_zero_a_window_after_the_last_byte() -> None:
    meter = RateMeter()
    for n in range(5):
        meter.read(totals(n * 250), n * 0.25)
    falling = [meter.read(totals(1000), 1.0 + n * 0.25).inward for n in range(1, 5)]
    assert falling == [750.0, 500.0, 250.0, 0.0]


def test_after_a_long_silence_only_the_window_counts() -> None:
    meter = RateMeter()
    meter.read(totals(0), 0.0)
    assert meter.read(totals(500), 100.0) == Rate(500.0, 0.0)


class TestHistory:
    def test_it_is_empty_at_first(self) -> None:
        meter = RateMeter()
        meter.read(totals(5000), 7.0)
        assert meter.history(7.0) == History()

    def test_each_second_has_what_passed_in_it(self) -> None:
        meter = RateMeter()
        for n in range(13):
            meter.read(totals(n * 250, n * 25), n * 0.25)
        history = meter.history(3.0)
        assert history.inward == (0.0,) * (HISTORY - 3) + (1000.0,) * 3
        assert history.outward == (0.0,) * (HISTORY - 3) + (100.0,) * 3

    def test_the_second_that_runs_is_not_shown_yet(self) -> None:
        meter = RateMeter()
        meter.read(totals(0), 10.0)
        meter.read(totals(800), 10.5)
        assert not any(meter.history(10.9).inward)
        assert meter.history(11.0).inward[-1] == 800.0

    def test_what_crosses_a_second_is_split_and_nothing_is_lost(self) -> None:
        meter = RateMeter()
        meter.read(totals(0), 9.75)
        meter.read(totals(1000), 10.25)
        assert meter.history(11.0).inward[-2:] == (500.0, 500.0)

    def test_after_a_long_silence_it_is_the_last_second_that_has_them(self) -> None:
        meter = RateMeter()
        meter.read(totals(0), 0.0)
        meter.read(totals(600), 100.0)
        assert meter.history(101.0).inward[-2:] == (600.0, 0.0)

    def test_a_minute_later_it_is_empty_again(self) -> None:
        meter = RateMeter()
        meter.read(totals(0), 0.0)
        meter.read(totals(100), 0.5)
        assert meter.history(60.0).inward[0] == 100.0
        assert meter.history(61.0) == History()

    def test_it_is_bounded(self) -> None:
        meter = RateMeter()
        for n in range(4000):
            meter.read(totals(n), n * 0.25)
        assert len(meter._seconds) <= HISTORY + 2
