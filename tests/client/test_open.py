"""`Forward.open`: connected sockets without a local port."""

from __future__ import annotations

import asyncio
import socket
import threading

import pytest
from peers.plain import echo, read_all
from peers.relay import CLOSED, NEVER, a_pod, until

from kfwd_nb.client import forward, forwards
from kfwd_nb.errors import (
    KfwdError,
    LostError,
    NotFoundError,
    RefusedError,
    UsageError,
    WaitError,
)
from kfwd_nb.transport.socket_pair import socket_pair

pytestmark = pytest.mark.chain

DIALECTS = ["connect", "websocket", "spdy"]


@pytest.mark.parametrize("dialect", DIALECTS)
def test_an_ordinary_socket(relay, kubeconfig, dialect):
    with forward("web", dialect=dialect) as fwd:
        assert (fwd.ports, fwd.ready) == ((), True)
        with fwd.open("echo") as sock:
            assert isinstance(sock, socket.socket)
            assert sock.gettimeout() is None
            assert echo(sock, b"hello") == b"hello"
            (row,) = fwd.connections()
            assert (row.peer, row.local, row.remote, row.pod) == ("in-process", 0, 7, "default/web")
            with sock.dup() as twin:
                assert echo(twin, b"again") == b"again"
        until(lambda: fwd.totals.open == 0)
        (row,) = fwd.connections()
        assert (row.bytes_in, row.bytes_out, row.failed) == (10, 10, False)


def test_it_ends_in_each_direction_by_itself(relay, kubeconfig):
    with forward("web", ":7") as fwd, fwd.open() as sock:
        sock.sendall(data := bytes(range(256)) * 4000)
        sock.shutdown(socket.SHUT_WR)
        assert read_all(sock) == data


def test_nobody_listens_for_a_forward_without_ports(relay, kubeconfig):
    with forward("web") as fwd:
        assert fwd._forwarding.listeners.sockets == []
        assert "without a local port" in repr(fwd)
        assert fwd.log()[-1].text == "ready, without a local port"
        assert forward("web") is fwd
        with pytest.raises(UsageError, match="has no local port"):
            fwd.url()
        with pytest.raises(UsageError, match="has 0 ports"):
            _ = fwd.local_port
        with pytest.raises(UsageError, match="has 0 ports"):
            fwd.open()
        assert forward("web", balance=True).name == "web-open"


def test_a_service_has_ports_of_its_own(relay, kubeconfig):
    with forward("svc/api") as fwd:
        for port in (7, "echo"):
            with fwd.open(port) as sock:
                assert echo(sock, b"x") == b"x"
        assert {each.remote for each in fwd.connections()} == {7}
        with pytest.raises(NotFoundError, match="does not have a service port 80") as caught:
            fwd.open(80)
        assert caught.value.hint == "its ports are 7 (echo)."


def test_a_port_that_nobody_listens_on(relay, kubeconfig):
    with forward("web") as fwd:
        with pytest.raises(RefusedError, match=f"nobody listens on port {CLOSED}"):
            fwd.open(CLOSED)
        (row,) = fwd.connections()
        assert row.failed


@pytest.mark.parametrize("dialect", ["websocket", "spdy"])
def test_a_reset_says_why(relay, kubeconfig, dialect):
    with forward("web", dialect=dialect) as fwd, fwd.open(CLOSED) as sock:
        with pytest.raises(ConnectionResetError, match=f"nobody listens on port {CLOSED}"):
            sock.recv(1)


def test_a_relay_that_goes_is_a_reset_and_no_end(relay, kubeconfig):
    with forward("web") as fwd, fwd.open(7) as sock:
        assert echo(sock, b"x") == b"x"
        relay.stop()
        with pytest.raises(ConnectionResetError) as caught:
            sock.makefile("rb").read()
        assert caught.value.strerror == fwd.connections()[0].reason


def test_a_pod_that_does_not_answer_in_time(relay, kubeconfig):
    with forward("web") as fwd:
        with pytest.raises(TimeoutError, match=f"no connection to web port {NEVER} in 0.1 s") as e:
            fwd.open(NEVER, timeout=0.1)
        assert isinstance(e.value, WaitError)
        until(lambda: fwd.totals.open == 0)
        (row,) = fwd.connections()
        assert (row.state, row.failed) == ("closed", False)


def test_it_waits_for_a_pod(relay, kubeconfig):
    with forward("deploy/api") as fwd:
        relay.do(relay.handler.remove, "api-1")
        fwd.wait_until(lambda fwd: "gone" in [each.kind for each in fwd.log()], 20)
        with pytest.raises(WaitError, match="1 connection waits for a pod"):
            fwd.open(7, timeout=0.2)
        relay.do(relay.handler.add, a_pod("api-2", app="api"))
        with fwd.open("echo", timeout=20) as sock:
            assert echo(sock, b"x") == b"x"


def test_stop_while_it_is_dialed(relay, kubeconfig):
    fwd, errors = forward("web"), []

    def dial() -> None:
        try:
            fwd.open(NEVER)
        except KfwdError as error:
            errors.append(error)

    dialing = threading.Thread(target=dial)
    dialing.start()
    until(lambda: relay.handler.connects)
    fwd.stop()
    dialing.join(20)
    assert [type(each) for each in errors] == [LostError]
    assert fwd.totals.open == 0
    with pytest.raises(LostError, match="web was stopped"):
        fwd.open(7)
    assert forwards() == []


async def test_awaited_with_the_streams_of_asyncio(relay, kubeconfig):
    async with forward("web") as fwd:
        sock = await fwd.open_async(7)
        reader, writer = await asyncio.open_connection(sock=sock)
        writer.write(b"hello")
        writer.write_eof()
        assert await reader.read() == b"hello"
        writer.close()
        await writer.wait_closed()


def test_a_pair_is_each_others_peer():
    one, other = socket_pair()
    with one, other:
        assert one.getsockname() == other.getpeername()
        assert echo_of(one, other) == b"x"
        assert echo_of(other, one) == b"x"


def echo_of(one: socket.socket, other: socket.socket) -> bytes:
    one.sendall(b"x")
    return other.recv(9)
