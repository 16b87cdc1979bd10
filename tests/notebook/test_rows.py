"""Which connections of a forward get a row, and what is said of the others."""

from __future__ import annotations

from collections import Counter
from typing import Any

import pytest

from kfwd_nb.client.connection import Totals
from kfwd_nb.client.reasons import OTHER, Reason
from kfwd_nb.notebook.drawing.rows import MAX_CLOSED, MAX_OPEN, MAX_REASONS, choose, rest
from kfwd_nb.notebook.drawing.table import build
from kfwd_nb.notebook.drawing.units import MAX_TEXT

pytestmark = pytest.mark.pure

NOON = 1_700_000_000.0


def test_the_last_failure_is_said(fake: Any) -> None:
    forward = fake.make()
    assert build([forward], NOON).forwards[0].failure == ""
    for reason in ("first", "second"):
        forward.connect(closed=NOON, state="closed", reason=reason, failed=True)
    forward.connect()
    (row,) = build([forward], NOON).forwards
    assert row.failure == "last failure: connection 2: second"
    assert [each.state for each in row.rows] == ["opening", "failed", "failed"]


def test_a_connection_shows_its_life(fake: Any) -> None:
    forward = fake.make()
    forward.connect(opened=NOON - 5, first_byte=0.012)
    forward.move(2048, 10)
    forward.connect(opened=NOON - 3, closed=NOON - 1, state="closed", reason="refused", failed=True)
    newest, oldest = build([forward], NOON).forwards[0].rows
    assert (oldest.number, oldest.pod, oldest.node, oldest.state) == (
        1,
        "default/web",
        "node-1",
        "opening",
    )
    assert (str(oldest.bytes_in), str(oldest.bytes_out)) == ("2.0 KiB", "10 B")
    assert (oldest.age, oldest.first_byte) == ("5.0 s", "12 ms")
    assert (newest.age, newest.reason, newest.failed) == ("2.0 s", "refused", True)


def test_a_closed_one_stays_until_others_have_closed_after_it(fake: Any) -> None:
    forward = fake.make()
    forward.connect(closed=NOON, state="closed", reason="the one to see")
    for _ in range(1000):
        forward.connect()
    shown = build([forward], NOON).forwards[0].rows
    assert [each.number for each in shown] == [*range(1001, 1001 - MAX_OPEN, -1), 1]
    assert shown[-1].reason == "the one to see"
    for number in range(MAX_CLOSED):
        forward.held[number + 1].closed = NOON + 1 + number
    shown = build([forward], NOON).forwards[0].rows
    assert [each.number for each in shown if each.closed] == list(range(MAX_CLOSED + 1, 1, -1))


def test_the_last_that_closed_is_shown_however_old_it_is(fake: Any) -> None:
    forward = fake.make()
    for number in range(30):
        forward.connect(closed=NOON + 100 - number)
    shown = [each.number for each in choose(forward.held)]
    assert shown == list(range(MAX_CLOSED, 0, -1))


def test_all_others_are_summed_up(fake: Any) -> None:
    forward = fake.make(
        forgotten=Totals(opened=2000, failed=3, bytes_in=1000, bytes_out=50),
        forgotten_reasons=Counter(
            {
                Reason("both sides done.", failed=False): 1204,
                Reason("the local program closed.", failed=False): 793,
                Reason("nobody listens on port 81.", failed=True): 3,
            }
        ),
    )
    for _ in range(MAX_OPEN + 3):
        forward.connect()
        forward.move(1, 1)
    for reason in ("both sides done.", "as yet unheard"):
        forward.connect(closed=NOON, reason=reason)
    (row,) = build([forward], NOON).forwards
    assert len(row.rows) == MAX_OPEN + 2
    assert row.rest == (
        "and 2,003 more: 3 open, in 1003 B, out 53 B",
        "3 failed: nobody listens on port 81",
        "1,204 closed: both sides done",
        "793 closed: the local program closed",
    )
    assert row.connections == "15 open, 2,017 in all, 3 failed"


def test_reasons_are_shown_by_name_as_far_as_there_is_room() -> None:
    reasons = {Reason(f"reason {n}", failed=False): 100 - n for n in range(MAX_REASONS + 2)}
    reasons[Reason(OTHER, failed=False)] = 5
    first, *lines = rest(Totals(opened=1000), reasons, [])
    assert first == "and 1,000 more: 0 open, in 0 B, out 0 B"
    assert lines == [
        *(f"{100 - n} closed: reason {n}" for n in range(MAX_REASONS)),
        f"{100 - MAX_REASONS + 99 - MAX_REASONS + 5} closed for yet other reasons",
    ]


def test_one_that_is_shown_and_was_counted_among_others_is_not_counted_twice(fake: Any) -> None:
    forward = fake.make()
    shown = forward.connect(closed=NOON, reason="rare")
    lines = rest(Totals(opened=3), {Reason(OTHER, failed=False): 3}, [shown])
    assert lines[1:] == ("2 closed: other reasons",)


def test_nothing_is_summed_up_where_all_are_shown(fake: Any) -> None:
    forward = fake.make()
    forward.connect()
    assert build([forward], NOON).forwards[0].rest == ()


def test_what_a_cluster_says_is_cut(fake: Any) -> None:
    forward = fake.make()
    forward.connect(closed=NOON, failed=True, reason="x" * 10_000, pod="y" * 10_000)
    (row,) = build([forward], NOON).forwards
    assert len(row.rows[0].reason) == len(row.rows[0].pod) == len(row.failure) == MAX_TEXT
