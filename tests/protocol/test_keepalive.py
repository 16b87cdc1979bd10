"""When an idle connection is asked, and when it is given up: a table of times."""

from __future__ import annotations

import pytest

from kfwd_nb.protocol.keepalive import LOST_AFTER, PING_AFTER, Keepalive

pytestmark = pytest.mark.pure

HEARD = "heard"


@pytest.mark.parametrize(
    "story",
    [
        [(0, None), (9.9, None), (10, "ping"), (10.1, None), (14.9, None), (15, "lost")],
        [(10, "ping"), (12, HEARD), (12, None), (21.9, None), (22, "ping"), (27, "lost")],
        [(9, HEARD), (18, HEARD), (27, HEARD), (36.9, None), (37, "ping")],
        [(10, "ping"), (14.5, HEARD), (15, None), (24.4, None), (24.5, "ping")],
        # The machine slept, or we were stopped: the peer is asked, and has its whole time.
        [(3600, "ping"), (3604.9, None), (3605, "lost")],
        [(10, "ping"), (3600, HEARD), (3600, None), (3610, "ping")],
    ],
)
def test_ping_after_10_lost_5_after_that(story):
    keepalive = Keepalive(0, ping_after=10, lost_after=5)
    for now, what in story:
        if what is HEARD:
            keepalive.heard(now)
        else:
            assert keepalive.due(now) == what, now


def test_next_is_the_first_time_at_which_something_is_due():
    keepalive = Keepalive(100, ping_after=10, lost_after=5)
    assert keepalive.next() == 110
    assert keepalive.due(110) == "ping"
    assert keepalive.next() == 115
    keepalive.heard(111)
    assert keepalive.next() == 121
    assert keepalive.due(keepalive.next()) == "ping"
    assert keepalive.due(keepalive.next()) == "lost"


def test_a_silent_peer_is_noticed_before_load_balancers_drop_an_idle_connection():
    keepalive = Keepalive(0)
    assert keepalive.due(PING_AFTER) == "ping"
    assert keepalive.due(PING_AFTER + LOST_AFTER) == "lost"
    assert PING_AFTER + LOST_AFTER < 50
