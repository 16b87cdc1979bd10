"""Rows, differences, throughput and events of the dashboard: no widget, no browser."""

from __future__ import annotations

import json
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from notebook import fake_client

from kfwd_nb.client import events
from kfwd_nb.client.log import EventLog
from kfwd_nb.client.throughput import Throughput
from kfwd_nb.errors import NotFoundError, UsageError
from kfwd_nb.notebook.dashboard import actions, state
from kfwd_nb.notebook.dashboard.events import Log
from kfwd_nb.notebook.dashboard.history import samples

pytestmark = pytest.mark.pure

NOON = 1_700_000_000.0


def made(*targets: str) -> list[Any]:
    forwards = [fake_client.make(each) for each in targets]
    for number, each in enumerate(forwards):
        each.started = NOON + number
    return forwards


def applied(old: state.State, change: dict[str, Any]) -> state.State:
    """What `page/store.js` does with a difference."""
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
    web.throughput.add(NOON - 0.5, 1500, 10)
    found = state.read([web], NOON)
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
    said = json.dumps(state.read([web], NOON).whole(), ensure_ascii=False)
    assert "\x1b" not in said
    assert "\\u001b" not in said
    assert "\\\\x1b" in said


def test_thousands_of_connections_are_bounded_and_the_newest_are_kept():
    (web,) = made("web")
    for number in range(10_000):
        web.connect(opened=NOON + number)
    found = state.read([web], NOON)
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
        now = state.read(order, NOON)
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


def test_samples_are_sums_of_seconds_and_silence_is_one_of_zero():
    web, api = Throughput(), Throughput()
    web.add(100.0, 5000, 0)
    web.add(100.9, 3000, 400)
    api.add(100.5, 0, 7)
    api.add(105.0, 1, 1)
    assert samples([web, api], 98, 107) == [
        (101, 8000, 407),
        (102, 0, 0),
        (106, 1, 1),
        (107, 0, 0),
    ]
    assert samples([], 98, 107) == []


@given(st.lists(st.tuples(st.integers(0, 40), st.integers(1, 9))), st.integers(1, 40))
def test_samples_are_the_same_however_often_they_are_asked(moves, middle):
    web = Throughput()
    for second, count in sorted(moves):
        web.add(1000.0 + second, count, 2 * count)
    parts = samples([web], 999, 1000 + middle) + samples([web], 1000 + middle, 1042)
    assert parts == samples([web], 999, 1042)
    assert sum(each[1] for each in parts) == sum(count for _, count in moves)


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
        ("start", {"target": "web", "port": "70000"}, "'70000'"),
        ("launch", {}, "cannot 'launch'"),
    ],
)
def test_what_cannot_be_meant_is_said_in_words(what, asked, words):
    with pytest.raises(UsageError, match=words):
        actions.perform(what, asked, unasked, unasked)


def test_a_forward_on_the_kernels_own_loop_is_started_again_by_its_cell_only():
    (web,) = made("web")
    web.parameters = SimpleNamespace(loop="kernel")
    with pytest.raises(UsageError, match="web runs on the kernel's own event loop"):
        actions.perform("restart", {"key": state.key_of(web)}, lambda _: web, unasked)
    assert web.state == "listening"


def test_a_row_that_is_forgotten_is_said_to_be():
    web, api = made("web", "svc/api")
    assert actions.find([web, api], state.key_of(api)) is api
    with pytest.raises(NotFoundError, match="not there any more"):
        actions.find([web], state.key_of(api))
