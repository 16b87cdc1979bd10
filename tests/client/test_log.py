"""The log of a forward: what has happened to it, where it happens."""

from __future__ import annotations

import time

import pytest
from peers.plain import connect, echo
from peers.relay import CLOSED, a_pod, until

from kfwd_nb.client import Connection, forward
from kfwd_nb.client.events import Event, closed, opened, trouble
from kfwd_nb.client.log import MAX_OF_CONNECTIONS, MAX_OWN, EventLog


def kinds(fwd) -> list[str]:
    return [each.kind for each in fwd.log()]


def texts(fwd, *kinds: str) -> list[str]:
    return [each.text for each in fwd.log() if each.kind in kinds]


@pytest.mark.pure
def test_connections_do_not_push_out_what_happened_to_the_forward():
    log = EventLog()
    log.record(trouble("lost"))
    for number in range(MAX_OF_CONNECTIONS):
        one = Connection(number, "127.0.0.1:50000", 8080, 80, 1.0)
        log.record(opened(one))
        log.record(closed(one))
    log.record(trouble(""))
    kept = log.events()
    assert len(kept) == MAX_OF_CONNECTIONS + 2
    assert (kept[0].kind, kept[0].number) == ("trouble", 1)
    assert (kept[-1].kind, kept[-1].number) == ("recovered", 2 * MAX_OF_CONNECTIONS + 2)
    assert [each.number for each in kept] == sorted(each.number for each in kept)


@pytest.mark.pure
def test_the_log_of_the_forward_itself_is_bounded_too():
    log = EventLog()
    for number in range(MAX_OWN + 5):
        log.record(trouble(f"no. {number}"))
    assert len(log.events()) == MAX_OWN
    assert log.events()[0].text == "no. 5"


@pytest.mark.pure
def test_an_event_has_the_time_of_its_connection_or_its_own():
    log, before = EventLog(), time.time()
    log.record(opened(Connection(1, "127.0.0.1:50000", 8080, 80, 1.0)))
    log.record(Event("recovered", {}))
    first, second = log.events()
    assert first.time == 1.0
    assert before <= second.time <= time.time()


@pytest.mark.chain
def test_the_life_of_a_forward(relay, kubeconfig):
    with forward("web", ":7") as fwd:
        with connect(fwd.local_port) as sock:
            assert echo(sock, b"hello") == b"hello"
        until(lambda: fwd.totals.open == 0)
    assert kinds(fwd) == ["dialect", "listening", "opened", "pod", "closed", "stopped"]
    assert [each.number for each in fwd.log()] == [1, 2, 3, 4, 5, 6]
    said = [each.text for each in fwd.log()]
    local, peer = fwd.local_port, fwd.connections()[0].peer
    assert said[:4] == [
        "dialect connect: the server is a kfwd relay",
        f"listens: 127.0.0.1:{local} -> 7, [::1]:{local} -> 7",
        f"connection 1 from {peer}",
        "connection 1 goes to default/web on node-1, port 7, by connect",
    ]
    assert said[4].endswith("5 bytes in, 5 out: both sides done, the local program first.")
    assert fwd.log()[4].facts["bytesIn"] == 5
    assert fwd.log()[2].connection.state == "opening", "as it was then"


@pytest.mark.chain
def test_a_refused_port(relay, kubeconfig):
    with forward("web", f":{CLOSED}") as fwd:
        with pytest.raises(ConnectionResetError), connect(fwd.local_port) as sock:
            sock.recv(1)
        until(lambda: "closed" in kinds(fwd))
        (event,) = [each for each in fwd.log() if each.kind == "closed"]
        assert event.facts["failed"]
        assert event.text.endswith(f": nobody listens on port {CLOSED} of the pod.")


@pytest.mark.chain
def test_a_replaced_pod_and_connections_that_wait_meanwhile(relay, kubeconfig):
    with forward("deploy/api", ":7") as fwd:
        relay.do(relay.handler.remove, "api-1")
        until(lambda: "gone" in kinds(fwd))
        with connect(fwd.local_port) as one, connect(fwd.local_port) as two:
            until(lambda: kinds(fwd).count("waiting") == 2)
            until(lambda: fwd.reason.startswith("2 connections wait"))
            relay.do(relay.handler.add, a_pod("api-2", app="api"))
            assert echo(one, b"1") + echo(two, b"2") == b"12"
            until(lambda: "recovered" in kinds(fwd))
    assert texts(fwd, "gone", "came") == [
        "pod default/api-1 on node-1 is gone",
        "pod default/api-2 on node-1 is ready",
    ]
    none = 'deploy/api has no pods in namespace "default"'
    assert texts(fwd, "trouble") == [f"1 connection waits for a pod: {none}."], "said once"
    assert {each.split(" goes to ")[1] for each in texts(fwd, "pod")} == {
        "default/api-2 on node-1, port 7, by connect"
    }


@pytest.mark.chain
def test_a_relay_that_was_lost_and_is_there_again(relay, kubeconfig):
    with forward("web", ":7") as fwd:
        relay.stop()
        until(lambda: "trouble" in kinds(fwd))
        relay.start()
        until(lambda: "recovered" in kinds(fwd))
        (trouble,) = texts(fwd, "trouble")
        assert trouble.startswith("the connection to the API server was lost")
        assert kinds(fwd).index("trouble") < kinds(fwd).index("recovered")
