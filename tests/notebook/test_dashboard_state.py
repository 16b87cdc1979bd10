"""Rows, differences, throughput and events of the dashboard: no widget, no browser."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from notebook import fake_client

from kfwd_nb.client import events
from kfwd_nb.client.log import EventLog
from kfwd_nb.errors import NotFoundError, UsageError
from kfwd_nb.notebook.dashboard import actions, state
from kfwd_nb.notebook.dashboard.events import Log
from kfwd_nb.notebook.dashboard.history import MAX_SAMPLES, History
from kfwd_nb.notebook.units import Rate

pytestmark = pytest.mark.pure

NOON = 1_700_000_000.0


def made(*targets: str) -> list[Any]:
    forwards = [fake_client.make(each) for each in targets]
    for number, each in enumerate(forwards):
        each.started = NOON + number
    return forwards


def applied(old: state.State, change: dict[str, Any]) -> state.State:
    """What `dashboard.js` does with a difference."""
    forwards = dict(old.forwards) | {row["key"]: row for row in change.get("forwards", [])}
    if "order" in change:
        forwards = {key: forwards[key] for key in change["order"]}
    connections = dict(old.connections) | {row["key"]: row for row in change.get("connections", [])}
    for key in change.get("gone", []):
        del connections[key]
    return state.State(forwards, connections, change.get("hidden", old.hidden))


def test_a_row_has_what_there_is_to_know():
    (web,) = made("svc/web")
    web.connect(opened=NOON, bytes_in=3000, bytes_out=20)
    found = state.read([web], {state.key_of(web): Rate(1500.0, 10.0)})
    (row,) = found.forwards.values()
    assert (row["target"], row["state"], row["open"], row["in"], row["rateIn"]) == (
        *("svc/web", "listening", 1),
        *(3000, 1500.0),
    )
    assert row["addresses"][0]["text"] == f"localhost:{web.local_port}"
    (connection,) = found.connections.values()
    assert (connection["forward"], connection["closed"], connection["in"]) == (
        row["key"],
        None,
        3000,
    )
    json.dumps(found.whole())


def test_control_characters_of_a_cluster_are_made_visible():
    (web,) = made("web")
    web.reason = "gone\x1b[2J"
    web.connect(opened=NOON, pod="a\x07b", reason="\x1b]0;title\x07", closed=NOON + 1)
    said = json.dumps(state.read([web], {}).whole(), ensure_ascii=False)
    assert "\x1b" not in said
    assert "\\u001b" not in said
    assert "\\\\x1b" in said


def test_thousands_of_connections_are_bounded_and_the_newest_are_kept():
    (web,) = made("web")
    for number in range(10_000):
        web.connect(opened=NOON + number)
    found = state.read([web], {})
    assert len(found.connections) == state.MAX_ROWS
    assert found.hidden == 10_000 - state.MAX_ROWS
    assert min(row["number"] for row in found.connections.values()) == 10_001 - state.MAX_ROWS
    assert len(json.dumps(found.whole())) < 500 * state.MAX_ROWS


DOINGS = st.sampled_from(["open", "close", "move", "stop"])


@given(st.lists(st.tuples(st.sampled_from("ab"), DOINGS)))
def test_whoever_applies_every_difference_has_what_there_is(steps):
    forwards = dict(zip("ab", made("web", "svc/api"), strict=True))
    had = browser = state.State()
    for name, what in steps:
        forward = forwards[name]
        if what == "open":
            forward.connect(opened=NOON + forward.revision)
        elif what == "stop":
            forward.stop()
        elif forward.held and what == "move":
            forward.move(inward=7)
        elif forward.held:
            forward.held[-1].closed = NOON
        if forward.revision % 5 == 4:
            forward.held = forward.held[1:]  # forgotten
        order = [each for each in forwards.values() if each.state != "stopped"]
        now = state.read(order, {})
        change = json.loads(json.dumps(state.difference(had, now)))
        browser, had = applied(browser, change), now
        assert browser == now
        assert list(browser.forwards) == list(now.forwards)
        assert state.difference(had, now) == {}


def test_a_forward_that_was_started_anew_takes_its_formers_place():
    web, again, api = made("web", "web", "svc/api")
    web.stop()
    api.stop()
    assert state.standing([again, web, api]) == [again, api]
    again.stop()
    assert state.standing([again, web, api]) == [again, api], "and does not give it back"


# -- throughput -----------------------------------------------------------------------------------


def taken(history: History, totals: dict[str, tuple[int, int]], now: float) -> Any:
    return history.take(totals, now - NOON + 1, now)


def test_a_clock_that_is_set_back_stops_nothing():
    history = History()
    history.take({"a": (0, 0)}, 1, NOON)
    assert history.take({"a": (1000, 0)}, 2, NOON - 100) == (NOON - 100, 1000, 0)
    assert history.take({"a": (3000, 0)}, 3, NOON - 99) == (NOON - 99, 2000, 0)


def test_samples_are_rates_between_two_looks():
    history = History()
    assert taken(history, {"a": (0, 0)}, NOON) is None
    assert taken(history, {"a": (5000, 0)}, NOON + 0.5) is None, "too early"
    assert taken(history, {"a": (8000, 400)}, NOON + 1) == (NOON + 1, 8000, 400)
    assert taken(history, {"a": (8000, 400), "b": (300, 0)}, NOON + 2) == (NOON + 2, 300, 0)


def test_a_look_that_comes_late_makes_no_peak():
    history = History()
    taken(history, {"a": (0, 0)}, NOON)
    assert taken(history, {"a": (10_000, 500)}, NOON + 10) == (NOON + 10, 1000, 50)


def test_silence_is_one_sample_of_zero_and_then_nothing():
    history = History()
    taken(history, {"a": (0, 0)}, NOON)
    taken(history, {"a": (1000, 0)}, NOON + 1)
    assert taken(history, {"a": (1000, 0)}, NOON + 2) == (NOON + 2, 0.0, 0.0)
    assert [taken(history, {"a": (1000, 0)}, NOON + second) for second in range(3, 9)] == [None] * 6


def test_a_forward_that_is_forgotten_takes_nothing_away():
    history = History()
    taken(history, {"a": (0, 0), "b": (0, 0)}, NOON)
    taken(history, {"a": (1000, 0), "b": (1000, 0)}, NOON + 1)
    assert taken(history, {"b": (1500, 0)}, NOON + 2) == (NOON + 2, 500, 0)


def test_history_is_bounded():
    history = History()
    for second in range(2 * MAX_SAMPLES):
        taken(history, {"a": (1000 * second, 0)}, NOON + second)
    assert len(history.samples) == MAX_SAMPLES
    assert history.samples[-1][0] == NOON + 2 * MAX_SAMPLES - 1


# -- events ---------------------------------------------------------------------------------------


def test_events_are_told_once_and_what_the_table_shows_is_left_out():
    (web,) = made("web")
    kept = EventLog()
    web.log = kept.events
    connection = web.connect(opened=NOON)
    kept.record(events.opened(connection))
    kept.record(events.trouble("the relay is lost"))
    connection.failed, connection.closed, connection.reason = True, 2 * NOON, "refused \x1b[1m"
    kept.record(events.closed(connection))
    log = Log()
    told = log.read([web])
    assert [each["kind"] for each in told] == ["trouble", "closed"]
    assert all(each["tone"] == "bad" for each in told)
    assert "\\x1b[1m" in told[1]["text"]
    assert log.read([web]) == []
    assert log.read([]) == []
    kept.record(events.trouble(""))
    assert [each["kind"] for each in log.read([web])] == ["recovered"], "known again"
    assert [each["kind"] for each in log.lines] == ["trouble", "closed", "recovered"]


# -- actions --------------------------------------------------------------------------------------


def unasked(*_: object) -> Any:
    raise AssertionError


@pytest.mark.parametrize(
    ("what", "asked", "words"),
    [
        ("start", {}, "choose what to forward to"),
        ("start", {"target": "web"}, "choose a port of web"),
        ("start", {"target": ["web"], "port": "80"}, "target is no text"),
        ("start", {"target": "w" * 2000, "port": "80"}, "target is no text"),
        ("start", {"target": "web", "port": "80:80:80"}, "80:80:80"),
        ("launch", {}, "cannot 'launch'"),
    ],
)
def test_what_cannot_be_meant_is_said_in_words(what, asked, words):
    with pytest.raises(UsageError, match=words):
        actions.perform(what, asked, unasked, unasked)


def test_a_row_that_is_forgotten_is_said_to_be():
    web, api = made("web", "svc/api")
    assert actions.find([web, api], state.key_of(api)) is api
    with pytest.raises(NotFoundError, match="not there any more"):
        actions.find([web], state.key_of(api))
