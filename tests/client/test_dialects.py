"""The three wires to one and the same relay: which is chosen, and that all do the same."""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
import sys

import pytest
from peers.plain import connect, echo, read_all
from peers.relay import CLOSED, CREATOR, GETTER, a_pod, until, write_kubeconfig

from kfwd_nb.client import forward
from kfwd_nb.client.dialing import pool
from kfwd_nb.client.dialing.podsource import PodSource
from kfwd_nb.errors import (
    ForbiddenError,
    KfwdError,
    NotFoundError,
    RefusedError,
    UnavailableError,
    UsageError,
)

pytestmark = pytest.mark.chain

DIALECTS = ("connect", "websocket", "spdy")
UPGRADED = ("websocket", "spdy")
REAL = {"gitVersion": "v1.36.0"}
"""What a server says that is no kfwd relay."""


def pairs_of(fwd) -> int:
    """Pairs that its upgraded connections carry now."""
    pools = fwd._forwarding.dialer.dialect._pools.values()
    return sum(connection.pairs for each in pools for connection in list(each._all))


def upgraded_of(fwd) -> int:
    return int(fwd._forwarding.dialer.dialect._budget.used)


# -- which one ------------------------------------------------------------------------------------


def test_a_relay_is_spoken_to_by_connect(relay, kubeconfig):
    with forward("web", ":7") as fwd:
        assert (fwd.dialect, fwd.dialect_reason) == ("connect", "the server is a kfwd relay")
        assert not relay.handler.upgrades


@pytest.mark.parametrize("dialect", DIALECTS)
def test_one_that_was_asked_for(relay, kubeconfig, dialect):
    with forward("web", ":7", dialect=dialect) as fwd, connect(fwd.local_port) as sock:
        assert echo(sock, b"x" * 300_000) == b"x" * 300_000
        assert (fwd.dialect, fwd.dialect_reason) == (dialect, "asked for")
        (one,) = fwd.connections()
        assert (one.dialect, one.pod, one.node) == (dialect, "default/web", "node-1")
        protocols = {protocol for protocol, _ in relay.handler.upgrades}
        assert (
            protocols == {"connect": set(), "websocket": {dialect}, "spdy": {"spdy/3.1"}}[dialect]
        )


def test_an_api_server_is_spoken_to_by_websocket(relay, kubeconfig):
    relay.handler.version = REAL
    with forward("web", ":7") as fwd, connect(fwd.local_port) as sock:
        assert fwd.dialect == "websocket"
        assert fwd.dialect_reason
        assert echo(sock, b"x") == b"x"


@pytest.mark.parametrize(
    "refusal",
    [
        UsageError('query parameter "port" is required'),  # servers before 1.30
        NotFoundError("no such thing"),
        UnavailableError("a proxy says no"),
        KfwdError("an internal error"),
    ],
)
def test_and_by_spdy_where_it_refuses_that(relay, kubeconfig, refusal):
    relay.handler.version = REAL
    relay.handler.refusing["websocket"] = refusal
    with forward("web", ":7") as fwd, connect(fwd.local_port) as sock:
        assert fwd.dialect == "spdy"
        assert refusal.what.rstrip(".") in fwd.dialect_reason
        assert echo(sock, b"x") == b"x"


def test_create_alone_is_enough_by_spdy(relay, authority, tmp_path):
    relay.handler.version = REAL
    server = f"https://127.0.0.1:{relay.port}"
    path = write_kubeconfig(tmp_path / "creator", server, authority.ca, CREATOR)
    with forward("web", ":7", kubeconfig=path) as fwd, connect(fwd.local_port) as sock:
        assert fwd.dialect == "spdy"
        assert "403" in fwd.dialect_reason
        assert echo(sock, b"x") == b"x"


def test_get_alone_is_enough_by_none(relay, authority, tmp_path):
    relay.handler.version = REAL
    server = f"https://127.0.0.1:{relay.port}"
    path = write_kubeconfig(tmp_path / "getter", server, authority.ca, GETTER)
    with pytest.raises(ForbiddenError):
        forward("web", ":7", kubeconfig=path)


def test_none_is_spoken(relay, kubeconfig):
    relay.handler.version = REAL
    for protocol in ("websocket", "spdy/3.1"):
        relay.handler.refusing[protocol] = UnavailableError(f"no {protocol} here")
    with pytest.raises(KfwdError, match=r"no spdy/3\.1 here"):
        forward("web", ":7")
    server = relay._server
    until(lambda: not server.connections)


def test_a_dialect_that_there_is_not(relay, kubeconfig):
    with pytest.raises(UsageError, match='dialect "morse" is unknown'):
        forward("web", ":7", dialect="morse")


def test_auto_is_no_other_forward_than_none(relay, kubeconfig):
    first = forward("web", ":7")
    assert forward("web", ":7", dialect="auto") is first
    assert forward("web", ":7", dialect="spdy", name=first.name) is not first


# -- what all of them do --------------------------------------------------------------------------


@pytest.mark.parametrize("dialect", DIALECTS)
def test_a_refused_port_ends_its_own_connection_only(relay, kubeconfig, dialect):
    with forward("web", ":7", f":{CLOSED}", dialect=dialect) as fwd:
        with connect(fwd.ports[0].local) as good:
            assert echo(good, b"before") == b"before"
            for _ in range(3):
                with pytest.raises(ConnectionResetError), connect(fwd.ports[1].local) as bad:
                    bad.sendall(b"hello?")
                    bad.recv(1)
            assert echo(good, b"after") == b"after"
        failed = until(lambda: [each for each in fwd.connections() if each.failed][2:])
        assert "nobody listens on port 81" in failed[0].reason
        assert fwd.ready
        assert fwd.totals.failed == 3


@pytest.mark.parametrize("dialect", DIALECTS)
def test_the_reply_comes_after_half_close(relay, kubeconfig, dialect):
    with forward("web", ":7", dialect=dialect) as fwd, connect(fwd.local_port) as sock:
        sock.sendall(b"last words")
        sock.shutdown(socket.SHUT_WR)
        assert read_all(sock) == b"last words"
        (one,) = until(lambda: [each for each in fwd.connections() if each.closed])
        assert one.reason == "both sides done, the local program first."
        assert not one.failed


@pytest.mark.parametrize("dialect", DIALECTS)
def test_close_ends_the_pods_side_too(relay, kubeconfig, dialect):
    with forward("web", ":7", dialect=dialect) as fwd:
        for _ in range(5):
            with connect(fwd.local_port) as sock:
                assert echo(sock, b"x") == b"x"
        until(lambda: fwd.totals.open == 0)
        assert fwd.totals.failed == 0
        until(lambda: all(each._over for each in relay.node.streams))


@pytest.mark.parametrize("dialect", DIALECTS)
def test_a_hundred_connections_at_once(relay, kubeconfig, dialect):
    with forward("web", ":7", dialect=dialect) as fwd:
        socks = [connect(fwd.local_port) for _ in range(100)]
        for number, sock in enumerate(socks):
            word = b"%06d" % number
            assert echo(sock, word) == word
        assert fwd.totals.open == 100
        for sock in socks:
            sock.close()
        until(lambda: fwd.totals.open == 0)
        assert fwd.totals.failed == 0
        if dialect != "connect":
            until(lambda: upgraded_of(fwd) <= pool.MAX_IDLE + 1)


@pytest.mark.parametrize("dialect", DIALECTS)
def test_stop_leaves_nothing(relay, kubeconfig, dialect):
    fwd = forward("web", ":7", dialect=dialect)
    socks = [connect(fwd.local_port) for _ in range(10)]
    for sock in socks:
        echo(sock, b"x")
    fwd.stop()
    for sock in socks:
        with pytest.raises(ConnectionResetError):
            sock.recv(1)
        sock.close()
    server = relay._server
    until(lambda: not server.connections)
    assert {each.reason for each in fwd.connections()} == {"the forward was stopped."}


# -- the pool, on real connections ----------------------------------------------------------------


@pytest.mark.parametrize("dialect", UPGRADED)
def test_one_is_ready_at_the_start_and_connections_are_used_again(relay, kubeconfig, dialect):
    with forward("web", ":7", dialect=dialect) as fwd:
        at_start = len(relay.handler.upgrades)
        assert 1 <= at_start <= 2
        for _ in range(30):
            with connect(fwd.local_port) as sock:
                assert echo(sock, b"x") == b"x"
            until(lambda: pairs_of(fwd) == 0)
        assert len(relay.handler.upgrades) <= 3


@pytest.mark.parametrize("dialect", UPGRADED)
def test_who_comes_when_all_connections_are_taken_waits_in_line(
    relay, kubeconfig, dialect, monkeypatch
):
    monkeypatch.setattr(pool.Budget.__init__, "__defaults__", (2,))
    with forward("web", ":7", dialect=dialect) as fwd:
        held = [connect(fwd.local_port) for _ in range(2)]
        for sock in held:
            assert echo(sock, b"x") == b"x"
        with connect(fwd.local_port) as late:
            late.sendall(b"y")
            until(lambda: fwd.totals.opened == 3)
            held[0].close()
            assert late.recv(1) == b"y"
        held[1].close()


@pytest.mark.parametrize("dialect", UPGRADED)
def test_and_is_refused_by_name_if_none_comes_free(relay, kubeconfig, dialect, monkeypatch):
    monkeypatch.setattr(pool.Budget.__init__, "__defaults__", (1,))
    monkeypatch.setattr(pool, "LINE_TIMEOUT", 0.05)
    with forward("web", ":7", dialect=dialect) as fwd:
        with connect(fwd.local_port) as held:
            assert echo(held, b"x") == b"x"
            with pytest.raises(ConnectionResetError), connect(fwd.local_port) as late:
                late.recv(1)
            assert echo(held, b"y") == b"y"
        (failed,) = until(lambda: [each for each in fwd.connections() if each.failed])
        assert "all 1 connections to the API server" in failed.reason


@pytest.mark.parametrize("dialect", UPGRADED)
def test_a_server_that_has_closed_what_was_idle(relay, kubeconfig, dialect):
    """Its connections are noticed to be dead, or tried again: no connection fails."""
    with forward("web", ":7", dialect=dialect) as fwd:
        for _ in range(10):
            relay.stop()
            relay.start()
            with connect(fwd.local_port) as sock:
                assert echo(sock, b"x") == b"x"
            until(lambda: fwd.totals.open == 0)
        assert fwd.totals.failed == 0


@pytest.mark.parametrize("dialect", UPGRADED)
def test_connections_to_a_pod_that_is_gone_are_closed(relay, kubeconfig, dialect):
    with forward("deploy/api", ":7", dialect=dialect) as fwd:
        with connect(fwd.local_port) as sock:
            echo(sock, b"x")
        until(lambda: upgraded_of(fwd) > 0 and pairs_of(fwd) == 0)
        relay.do(relay.handler.store.delete, _pod(relay, "api-1"))
        until(lambda: upgraded_of(fwd) == 0)


def _pod(relay, name):
    from kfwd_nb.kube.objects import Pod

    return relay.handler.store.require(Pod, "default", name)


@pytest.mark.skipif(sys.platform != "linux", reason="looks into /proc")
@pytest.mark.parametrize("dialect", DIALECTS)
def test_a_fork_keeps_nothing_open(relay, kubeconfig, dialect):
    """No socket that has to do with the forward: neither its listener's port nor the relay's."""
    fwd = forward("web", ":7", dialect=dialect)
    with connect(fwd.local_port) as sock:
        echo(sock, b"x")
        ports = {fwd.local_port, relay.port}
        child = os.fork()
        if child == 0:
            os.close(sock.fileno())
            os._exit(len(_sockets_of(ports)) - 1)  # one is the test's own relay, listening
        _, status = os.waitpid(child, 0)
        assert len(_sockets_of(ports)) > 3
        assert os.waitstatus_to_exitcode(status) == 0
        assert echo(sock, b"y") == b"y"
    fwd.stop()


def _sockets_of(ports: set[int]) -> list[str]:
    """This process's TCP sockets with one of the ports at either end."""
    found = []
    for each in os.listdir("/proc/self/fd"):
        with contextlib.suppress(OSError):
            found.append(os.readlink(f"/proc/self/fd/{each}"))
    with open("/proc/self/net/tcp") as one, open("/proc/self/net/tcp6") as other:
        lines = [line.split() for table in (one, other) for line in table.readlines()[1:]]
    return [
        " ".join(line[1:3])
        for line in lines
        if f"socket:[{line[9]}]" in found
        and ports & {int(end.rpartition(":")[2], 16) for end in line[1:3]}
    ]


# -- pods that go and come ------------------------------------------------------------------------


@pytest.mark.parametrize("dialect", DIALECTS)
def test_the_successor_of_a_pod_takes_new_connections(relay, kubeconfig, dialect):
    with forward("deploy/api", ":7", dialect=dialect) as fwd:
        with connect(fwd.local_port) as sock:
            echo(sock, b"x")
        relay.do(relay.handler.add, a_pod("api-2", app="api"))
        relay.do(relay.handler.remove, "api-1")
        with connect(fwd.local_port) as sock:
            assert echo(sock, b"x") == b"x"
        assert fwd.connections()[-1].pod == "default/api-2"
        assert fwd.totals.failed == 0


@pytest.mark.parametrize("dialect", DIALECTS)
def test_connections_are_held_while_there_is_none(relay, kubeconfig, dialect):
    with forward("deploy/api", ":7", dialect=dialect) as fwd:
        relay.do(relay.handler.remove, "api-1")
        socks = [connect(fwd.local_port) for _ in range(3)]
        for sock in socks:
            sock.sendall(b"hello")
        until(lambda: [each.state for each in fwd.connections()] == ["waiting"] * 3)
        until(lambda: fwd.reason.startswith("3 connections wait for a pod: "))
        new = a_pod("api-2", app="api")
        new.status.conditions[0].status = "False"
        relay.do(relay.handler.add, new)
        until(lambda: "api-2" in fwd.reason)
        relay.do(relay.handler.make_ready, "api-2")
        for sock in socks:
            assert sock.recv(5) == b"hello"
            sock.close()
        assert fwd.reason == ""
        assert {each.pod for each in fwd.connections()} == {"default/api-2"}
        assert fwd.totals.failed == 0


@pytest.mark.parametrize("dialect", DIALECTS)
def test_they_are_refused_with_the_reason_when_none_comes(relay, kubeconfig, dialect, monkeypatch):
    from kfwd_nb.client.dialing import podsource

    monkeypatch.setattr(podsource, "HOLD", 0.05)
    with forward("deploy/api", ":7", dialect=dialect) as fwd:
        relay.do(relay.handler.remove, "api-1")
        with pytest.raises(ConnectionResetError), connect(fwd.local_port) as sock:
            sock.recv(1)
        (failed,) = until(lambda: [each for each in fwd.connections() if each.failed])
        assert "no pod came" in failed.reason
        assert "has no pods" in failed.reason
        assert fwd.ready


@pytest.mark.parametrize("dialect", DIALECTS)
def test_a_pod_that_comes_back_under_its_name_is_its_successor(relay, kubeconfig, dialect):
    with forward("web", ":7", dialect=dialect) as fwd:
        relay.do(relay.handler.remove, "web")
        with connect(fwd.local_port) as sock:
            sock.sendall(b"hello")
            until(lambda: [each.state for each in fwd.connections()] == ["waiting"])
            relay.do(relay.handler.add, a_pod("web"))
            assert sock.recv(5) == b"hello"
        assert fwd.totals.failed == 0


@pytest.mark.parametrize(
    "refusal",
    [
        RefusedError("nobody listens on port 7 of the pod."),
        UnavailableError("unable to forward port because pod is not running. Current status=X"),
    ],
    ids=lambda error: type(error).__name__,
)
@pytest.mark.parametrize("dialect", DIALECTS)
def test_a_pod_that_refuses_because_it_is_going_is_left_with_all_that_was_sent(
    relay, kubeconfig, dialect, refusal, monkeypatch
):
    """The watch has not told yet; the refusal, and one question, does."""

    async def sees_nothing(_) -> None:
        await asyncio.Event().wait()

    monkeypatch.setattr(PodSource, "_follow", sees_nothing)
    relay.do(relay.handler.add, a_pod("api-2", app="api"))
    with forward("deploy/api", ":7", dialect=dialect) as fwd:
        with connect(fwd.local_port) as sock:
            echo(sock, b"x")
        assert fwd.connections()[0].pod == "default/api-1"
        relay.node.refusing["api-1"] = refusal
        relay.do(relay.handler.terminate, "api-1")
        socks = [connect(fwd.local_port) for _ in range(20)]
        for number, sock in enumerate(socks):
            word = b"%06d" % number * 1000
            assert echo(sock, word) == word
            sock.close()
        assert {each.pod for each in fwd.connections()[1:]} == {"default/api-2"}
        assert fwd.totals.failed == 0


@pytest.mark.parametrize("dialect", DIALECTS)
def test_balance_spreads_connections_over_ready_pods(relay, kubeconfig, dialect):
    for name in ("api-2", "api-3"):
        relay.do(relay.handler.add, a_pod(name, app="api"))
    with forward("svc/api", ":7", dialect=dialect, balance=True) as fwd:
        for _ in range(9):
            with connect(fwd.local_port) as sock:
                assert echo(sock, b"x") == b"x"
        pods = [each.pod for each in fwd.connections()]
        assert {pods.count(f"default/api-{n}") for n in (1, 2, 3)} == {3}


@pytest.mark.parametrize("dialect", DIALECTS)
def test_without_it_all_go_to_one(relay, kubeconfig, dialect):
    for name in ("api-2", "api-3"):
        relay.do(relay.handler.add, a_pod(name, app="api"))
    with forward("svc/api", ":7", dialect=dialect) as fwd:
        for _ in range(6):
            with connect(fwd.local_port) as sock:
                assert echo(sock, b"x") == b"x"
        assert len({each.pod for each in fwd.connections()}) == 1
