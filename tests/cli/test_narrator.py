"""What is said of a forward: in kubectl's lines, in more words, and in JSON."""

from __future__ import annotations

import json
from typing import Any

import pytest

from kfwd_nb.cli.narrator import Narrator, in_words, json_line
from kfwd_nb.client import Connection
from kfwd_nb.client.events import Event, closed, goes_to, opened

pytestmark = pytest.mark.pure

LISTENING = Event(
    "listening",
    {
        "target": "pod/web",
        "namespace": "default",
        "context": "kind",
        "server": "https://127.0.0.1:6443",
        "dialect": "spdy",
        "dialectReason": "the server refused WebSocket (403)",
        "ports": [
            {"addresses": ["127.0.0.1", "::1"], "local": 8080, "remote": 80},
            {"addresses": ["127.0.0.1"], "local": 40001, "remote": 7},
        ],
    },
)


def connection(number: int, *, closed: bool = False, reason: str = "", **facts: Any) -> Connection:
    facts = {"opened": 1.0, "closed": 2.5 if closed else None} | facts
    peer, failed = "127.0.0.1:50000", bool(reason)
    return Connection(number, peer, 8080, 80, reason=reason, failed=failed, **facts)


def tell(narrator: Narrator, *connections: Connection) -> None:
    for each in connections:
        narrator.tell(opened(each))
        if each.pod:
            narrator.tell(goes_to(each))
        if each.closed:
            narrator.tell(closed(each))


def test_each_address_of_each_port_has_a_line(capsys: pytest.CaptureFixture[str]) -> None:
    Narrator().tell(LISTENING)
    out, err = capsys.readouterr()
    assert err == ""
    assert out.splitlines() == [
        "Forwarding from 127.0.0.1:8080 -> 80",
        "Forwarding from [::1]:8080 -> 80",
        "Forwarding from 127.0.0.1:40001 -> 7",
    ]


def test_the_time_is_the_connections_own() -> None:
    one = connection(1, closed=True)
    times = [json.loads(json_line(each))["time"] for each in (opened(one), closed(one))]
    assert times == ["1970-01-01T00:00:01.000Z", "1970-01-01T00:00:02.500Z"]


def test_a_failed_connection_is_told_with_its_reason(capsys: pytest.CaptureFixture[str]) -> None:
    tell(Narrator(), connection(1, closed=True, reason="nobody \x07listens."))
    out, err = capsys.readouterr()
    assert out == "Handling connection for 8080\n"
    assert err == "error: an error occurred forwarding 8080 -> 80: nobody \\x07listens.\n"


def test_the_dialect_is_told_once(capsys: pytest.CaptureFixture[str]) -> None:
    for narrator in (Narrator(verbose=True), Narrator(as_json=True)):
        narrator.tell(Event("dialect", {"dialect": "spdy", "reason": "asked for"}))
        assert capsys.readouterr() == ("", ""), "it is in `listening`"


def test_json_is_one_object_a_line(capsys: pytest.CaptureFixture[str]) -> None:
    narrator = Narrator(as_json=True)
    narrator.tell(LISTENING)
    failed = connection(1, closed=True, reason="r\u00e9fus\n\x1b[31m", bytes_in=7)
    tell(narrator, failed)
    out, err = capsys.readouterr()
    assert err == ""
    assert out.isascii()
    assert "\x1b" not in out
    first, opened, closed = map(json.loads, out.splitlines())
    assert {**LISTENING.facts, "event": "listening"}.items() <= first.items()
    assert first["time"].endswith("Z")
    assert (opened["event"], opened["connection"], opened["local"]) == ("opened", 1, 8080)
    assert closed["reason"] == failed.reason
    assert (closed["failed"], closed["bytesIn"], closed["seconds"]) == (True, 7, 1.5)


def test_more_words_go_to_standard_error(capsys: pytest.CaptureFixture[str]) -> None:
    narrator = Narrator(verbose=True)
    narrator.tell(LISTENING)
    tell(narrator, connection(1, pod="default/a", node="node-1", closed=True))
    out, err = capsys.readouterr()
    assert out.count("\n") == 4
    assert "dialect spdy: the server refused WebSocket (403)\n" in err
    assert "connection 1 goes to default/a on node-1, port 80, by connect\n" in err
    assert "connection 1 closed after 1.5 s, 0 bytes in, 0 out" in err


@pytest.mark.parametrize(
    "event",
    [
        Event("waiting", {"connection": 1}),
        Event("gone", {"pod": "default/a", "node": "node-1"}),
        Event("came", {"pod": "default/b", "node": ""}),
        Event("missed", {"events": 3}),
        Event("trouble", {"reason": "the connection to the API server was lost."}),
        Event("recovered", {}),
        Event("stopped", {"reason": ""}),
    ],
)
def test_every_event_has_words_and_json(event: Event) -> None:
    assert all(in_words(event))
    assert json.loads(json_line(event))["event"] == event.kind
