"""The tally of why connections ended."""

from __future__ import annotations

import pytest

from kfwd_nb.client.connection import Connection
from kfwd_nb.client.reasons import MAX_REASONS, OTHER, Reason, Reasons

pytestmark = pytest.mark.pure


def over(reason: str, *, failed: bool = False) -> Connection:
    return Connection(1, "127.0.0.1:5", 80, 80, 0.0, reason=reason, failed=failed)


def test_each_reason_is_counted() -> None:
    reasons = Reasons()
    for connection in (over("done"), over("done"), over("done", failed=True)):
        reasons.add(connection)
    assert reasons.counts() == {Reason("done", failed=False): 2, Reason("done", failed=True): 1}


def test_what_peers_say_does_not_make_it_grow() -> None:
    reasons = Reasons()
    for number in range(10_000):
        reasons.add(over(f"request {number}", failed=number % 2 == 0))
    reasons.add(over("request 0", failed=True))
    counts = reasons.counts()
    assert len(counts) == MAX_REASONS + 2
    assert sum(counts.values()) == 10_001
    assert counts[Reason("request 0", failed=True)] == 2
    assert counts[Reason(OTHER, failed=True)] == 5_000 - MAX_REASONS // 2
