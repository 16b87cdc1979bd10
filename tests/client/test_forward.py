"""`forward()` against a relay: what listens, what passes, and the end of it all."""

from __future__ import annotations

import asyncio
import socket
import struct
import sys
import threading
import time

import pytest
from peers.plain import connect, echo, read_all
from peers.relay import CLOSED, NEVER, a_pod, until

from kfwd_nb.client import Totals, books, forward, forwards
from kfwd_nb.client.reasons import Reason
from kfwd_nb.client.switch_interval import WHILE_FORWARDING
from kfwd_nb.errors import ListenError, LostError, UsageError

pytestmark = pytest.mark.chain

RESET_ON_CLOSE = struct.pack("ii", 1, 0)


def the_closed(fwd, count: int = 1):
    """The connections that are over, once there are so many."""
    until(lambda: sum(each.state == "closed" for each in fwd.connections()) >= count)
    return [each for each in fwd.connections() if each.state == "closed"]


# -- listening ------------------------------------------------------------------------------------


def test_localhost_is_both_families_on_the_same_port(relay, kubeconfig):
    with forward("web", ":7") as fwd:
        (port,) = fwd.ports
        assert port.addresses == ("127.0.0.1", "::1")
        assert (port.address, port.remote, port.protocol) == ("127.0.0.1", 7, "TCP")
        for address in port.addresses:
            with socket.create_connection((address, port.local), timeout=20) as sock:
                assert echo(sock, b"hello") == b"hello"


@pytest.mark.parametrize("spec", [":7", ":echo"])
@pytest.mark.parametrize("target", ["web", "svc/api"])
def test_a_port_has_the_name_that_the_cluster_gives_it(relay, kubeconfig, target, spec):
    with forward(target, spec) as fwd:
        assert fwd.ports[0].name == "echo"


@pytest.mark.parametrize(
    ("target", "spec", "dialed"),
    [
        ("web", "0:7", "web.default.pod:7"),
        ("pod/web", ":echo", "web.default.pod:7"),
        ("svc/api", ":7", "api-1.default.pod:7"),
        ("svc/api", ":echo", "api-1.default.pod:7"),
        ("deploy/api", ":7", "api-1.default.pod:7"),
    ],
)
def test_targets_and_ports(relay, kubeconfig, target, spec, dialed):
    with forward(target, spec) as fwd, connect(fwd.local_port) as sock:
        assert echo(sock, b"x") == b"x"
    assert relay.handler.connects == [dialed]


def test_a_port_of_ones_own_choice_and_several_of_them(relay, kubeconfig):
    with socket.create_server(("127.0.0.1", 0)) as free:
        chosen = free.getsockname()[1]
    with forward("web", f"{chosen}:7", ":echo") as fwd:
        assert [port.remote for port in fwd.ports] == [7, 7]
        assert fwd.ports[0].local == chosen
        with pytest.raises(UsageError, match="has 2 ports"):
            _ = fwd.local_port
        assert fwd.url(remote=7) == f"http://127.0.0.1:{chosen}/"
        assert fwd.url("https", "/a", remote=7) == f"https://127.0.0.1:{chosen}/a"
        for port in fwd.ports:
            with connect(port.local) as sock:
                assert echo(sock, b"x") == b"x"


def test_an_address_of_ones_own_choice(relay, kubeconfig):
    with forward("web", ":7", address="::1") as fwd:
        assert fwd.ports[0].addresses == ("::1",)
        assert fwd.url() == f"http://[::1]:{fwd.local_port}/"
        with pytest.raises(ConnectionRefusedError):
            socket.create_connection(("127.0.0.1", fwd.local_port))


def test_what_a_forward_says_of_itself(relay, kubeconfig):
    with forward("web", ":7") as fwd:
        assert (fwd.name, str(fwd.target), fwd.namespace, fwd.context) == (
            "web",
            "pod/web",
            "default",
            "tests",
        )
        assert fwd.server == f"https://127.0.0.1:{relay.port}"
        assert (fwd.state, fwd.ready, fwd.reason) == ("listening", True, "")
        assert (fwd.dialect, fwd.isolation, fwd.embedded) == ("connect", "netns", False)
        assert f"127.0.0.1:{fwd.local_port} -> 7" in repr(fwd)
    assert (fwd.state, fwd.ready) == ("stopped", False)
    assert "stopped" in repr(fwd)


# -- the same line again --------------------------------------------------------------------------


def test_the_same_line_gives_the_same_forward_and_its_connections_live(relay, kubeconfig):
    first = forward("web", ":7")
    with connect(first.local_port) as sock:
        assert echo(sock, b"x") == b"x"
        assert forward("web", ":7") is first
        assert forward("pod/web", "0:7") is first
        assert forward("web", ":7", name="web") is first
        assert echo(sock, b"y") == b"y"
    assert forwards() == [first]


def test_other_options_under_the_same_name_replace_it(relay, kubeconfig):
    first = forward("web", ":7", name="mine")
    second = forward("svc/api", ":7", name="mine")
    assert second.replaced == f"mine (pod/web 127.0.0.1:{first.local_port} -> 7)"
    assert (first.state, first.reason) == ("stopped", "a forward to svc/api took its place")
    assert forwards() == [second]
    with pytest.raises(ConnectionRefusedError):
        connect(first.local_port)


def test_another_use_of_the_same_local_port_for_the_same_target_replaces_it(relay, kubeconfig):
    first = forward("web", ":7")
    second = forward("web", f"{first.local_port}:echo")
    assert first.state == "stopped"
    assert second.local_port == first.local_port


def test_different_forwards_live_side_by_side_under_names_of_their_own(relay, kubeconfig):
    found = [forward("web", ":7"), forward("web", ":echo"), forward("svc/api", ":7")]
    assert forwards() == found
    assert len({each.name for each in found}) == 3
    found[1].stop()
    assert forwards() == [found[0], found[2]]


def test_a_forward_that_was_stopped_is_started_anew(relay, kubeconfig):
    first = forward("web", ":7")
    first.stop()
    second = forward("web", ":7")
    assert second is not first
    assert second.ready


# -- connections ----------------------------------------------------------------------------------


def test_the_story_of_a_connection(relay, kubeconfig):
    with forward("web", ":7") as fwd:
        before = time.time()
        with connect(fwd.local_port) as sock:
            assert echo(sock, b"x" * 1000) == b"x" * 1000
            (one,) = fwd.connections()
            assert (one.number, one.state, one.closed, one.reason) == (1, "open", None, "")
            assert one.peer == "{}:{}".format(*sock.getsockname())
            assert (one.local, one.remote) == (fwd.local_port, 7)
            assert (one.pod, one.node, one.dialect) == ("default/web", "node-1", "connect")
            assert before - 1 <= one.opened <= time.time() + 1
            assert one.first_byte is not None
            assert one.first_byte >= 0
            assert fwd.totals == Totals(opened=1, open=1, bytes_in=1000, bytes_out=1000)
            sock.sendall(b"last words")
            sock.shutdown(socket.SHUT_WR)
            assert read_all(sock) == b"last words"
        (one,) = the_closed(fwd)
        assert (one.bytes_in, one.bytes_out, one.failed) == (1010, 1010, False)
        assert one.reason == "both sides done, the local program first."
        assert fwd.totals == Totals(opened=1, open=0, bytes_in=1010, bytes_out=1010)


def test_a_half_closed_connection_says_who_has_ended(relay, kubeconfig):
    with forward("web", f":{NEVER}", ":7") as fwd, connect(fwd.ports[1].local) as sock:
        assert echo(sock, b"x") == b"x"
        sock.shutdown(socket.SHUT_WR)
        assert read_all(sock) == b""
        assert the_closed(fwd)[0].reason == "both sides done, the local program first."


def test_copies_of_connections_do_not_change_and_the_revision_does(relay, kubeconfig):
    with forward("web", ":7") as fwd:
        quiet = fwd.revision
        assert fwd.revision == quiet
        with connect(fwd.local_port) as sock:
            echo(sock, b"x")
            (copy,) = fwd.connections()
            seen = fwd.revision
            assert seen > quiet
            echo(sock, b"y")
            assert copy.bytes_in == 1
            assert fwd.revision > seen
        the_closed(fwd)
        seen = fwd.revision
        assert fwd.revision == seen


def test_a_large_transfer_both_ways(relay, kubeconfig):
    data = bytes(range(256)) * (1 << 15)
    with forward("web", ":7") as fwd, connect(fwd.local_port) as sock:
        sender = threading.Thread(
            target=lambda: (sock.sendall(data), sock.shutdown(socket.SHUT_WR))
        )
        sender.start()
        assert read_all(sock) == data
        sender.join()
        assert fwd.totals.bytes_in == fwd.totals.bytes_out == len(data)


def test_a_port_that_nobody_listens_on_resets_the_connection_and_the_forward_lives(
    relay, kubeconfig
):
    with forward("web", f":{CLOSED}", ":7") as fwd:
        with pytest.raises(ConnectionResetError), connect(fwd.ports[0].local) as sock:
            sock.recv(1)
        (one,) = the_closed(fwd)
        assert one.failed
        assert one.reason == f"nobody listens on port {CLOSED} of the pod."
        assert fwd.totals.failed == 1
        assert fwd.ready
        with connect(fwd.ports[1].local) as sock:
            assert echo(sock, b"x") == b"x"


def test_a_local_program_that_resets_its_connection(relay, kubeconfig):
    with forward("web", ":7") as fwd:
        sock = connect(fwd.local_port)
        echo(sock, b"x")
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET_ON_CLOSE)
        sock.close()
        (one,) = the_closed(fwd)
        assert not one.failed
        assert one.reason == "the local program closed before it had read all."


def test_a_local_program_that_is_gone_before_its_connection_is_dialed(relay, kubeconfig):
    with forward("web", ":7") as fwd:
        for _ in range(20):
            sock = connect(fwd.local_port)
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET_ON_CLOSE)
            sock.close()
        with connect(fwd.local_port) as sock:
            assert echo(sock, b"x") == b"x"
        until(lambda: fwd.totals.open == 0)


def test_only_the_last_closed_connections_are_remembered_but_all_are_counted(
    relay, kubeconfig, monkeypatch
):
    monkeypatch.setattr(books, "MAX_CLOSED", 5)
    with forward("web", ":7") as fwd:
        for number in range(1, 13):
            with connect(fwd.local_port) as sock:
                echo(sock, b"x")
            until(lambda number=number: fwd.totals.open == 0 and fwd.totals.opened == number)
        assert [each.number for each in fwd.connections()] == [8, 9, 10, 11, 12]
        assert fwd.reasons == {Reason("both sides done, the local program first.", False): 12}
        assert fwd.totals == Totals(opened=12, open=0, bytes_in=12, bytes_out=12)


def test_a_table_need_not_copy_thousands(relay, kubeconfig):
    with forward("web", ":7") as fwd:
        with connect(fwd.local_port) as sock:
            echo(sock, b"x")
        the_closed(fwd)
        with connect(fwd.local_port), connect(fwd.local_port), connect(fwd.local_port):
            until(lambda: fwd.totals.open == 3)
            for newest, numbers in ((None, [1, 2, 3, 4]), (2, [1, 3, 4]), (0, [1]), (9, None)):
                found = [each.number for each in fwd.connections(newest)]
                assert found == (numbers or [1, 2, 3, 4])


def test_connections_beyond_the_limit_are_refused_and_counted(relay, kubeconfig, monkeypatch):
    monkeypatch.setattr(books, "MAX_CONNECTIONS", 2)
    with forward("web", ":7") as fwd:
        with connect(fwd.local_port) as one, connect(fwd.local_port) as two:
            assert echo(one, b"1") + echo(two, b"2") == b"12"
            with connect(fwd.local_port) as three:
                assert three.recv(1) == b""
            (refused,) = the_closed(fwd)
            assert "more than 2 connections" in refused.reason
            assert refused.closed is not None
            assert fwd.totals.failed == 1
            assert echo(one, b"1") == b"1"
        until(lambda: fwd.totals.open == 0)
        with connect(fwd.local_port) as again:
            assert echo(again, b"x") == b"x"


def test_a_deployment_whose_pod_was_replaced_is_looked_up_again(relay, kubeconfig):
    with forward("deploy/api", ":7") as fwd:
        with connect(fwd.local_port) as sock:
            echo(sock, b"x")
        relay.do(relay.handler.remove, "api-1")
        relay.do(relay.handler.add, a_pod("api-2", app="api"))
        with connect(fwd.local_port) as sock:
            assert echo(sock, b"x") == b"x"
        assert fwd.connections()[-1].pod == "default/api-2"


# -- the end --------------------------------------------------------------------------------------


def test_stop_closes_everything_frees_the_port_and_may_be_called_again(relay, kubeconfig):
    fwd = forward("web", ":7")
    sock = connect(fwd.local_port)
    echo(sock, b"x")
    assert not fwd.wait(timeout=0)
    fwd.stop()
    assert fwd.wait(timeout=20)
    with pytest.raises(ConnectionResetError):
        sock.recv(1)
    sock.close()
    assert fwd.totals.open == 0
    (one,) = fwd.connections()
    assert one.reason == "the forward was stopped."
    socket.create_server(("127.0.0.1", fwd.local_port)).close()
    fwd.stop()
    assert forwards() == []


def test_stop_from_many_threads_at_once(relay, kubeconfig):
    fwd = forward("web", ":7")
    socks = [connect(fwd.local_port) for _ in range(5)]
    threads = [threading.Thread(target=fwd.stop) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(timeout=20)
        assert not thread.is_alive()
    assert fwd.wait(timeout=20)
    for sock in socks:
        sock.close()


def test_stop_while_a_connection_is_being_dialed(relay, kubeconfig):
    fwd = forward("web", f":{NEVER}")
    with connect(fwd.local_port) as sock:
        until(lambda: relay.handler.connects)
        assert fwd.connections()[0].state == "opening"
        fwd.stop()
        with pytest.raises(ConnectionResetError):
            sock.recv(1)


def test_stop_while_a_local_program_does_not_read(relay, kubeconfig):
    """Its pod's side is over already; what waits for it is given up."""
    fwd = forward("web", ":7")
    for listener in fwd._forwarding.listeners.sockets:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4096)
    with socket.socket() as sock:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        sock.settimeout(20)
        sock.connect(("127.0.0.1", fwd.local_port))
        sock.sendall(bytes(500_000))
        sock.shutdown(socket.SHUT_WR)
        until(lambda: fwd.totals.bytes_in == 500_000)
        stopping = threading.Thread(target=fwd.stop, daemon=True)
        stopping.start()
        stopping.join(timeout=5)
        hung = stopping.is_alive()
    stopping.join(timeout=20)
    assert not hung, "stop() waits for a local program that never reads"


def test_the_switch_interval_is_lowered_while_any_forward_is_open(relay, kubeconfig):
    before = sys.getswitchinterval()
    first = forward("web", ":7")
    assert sys.getswitchinterval() == pytest.approx(WHILE_FORWARDING)
    second = forward("svc/api", ":7")
    first.stop()
    first.stop()
    assert sys.getswitchinterval() == pytest.approx(WHILE_FORWARDING)
    with pytest.raises(Exception, match="not found"):
        forward("nobody", ":7")
    second.stop()
    assert sys.getswitchinterval() == before


async def test_async_with_in_a_loop_that_runs(relay, kubeconfig):
    async with forward("web", ":7") as fwd:
        reader, writer = await asyncio.open_connection("127.0.0.1", fwd.local_port)
        writer.write(b"hello")
        assert await reader.readexactly(5) == b"hello"
        writer.close()
    assert fwd.state == "stopped"


async def test_stop_inside_a_loop_that_runs(relay, kubeconfig):
    fwd = forward("web", ":7")
    fwd.stop()
    assert fwd.state == "stopped"


def test_an_exception_in_the_body_ends_the_forward(relay, kubeconfig):
    with pytest.raises(ZeroDivisionError), forward("web", ":7") as fwd:
        _ = 1 / 0
    assert fwd.state == "stopped"


def test_a_blocking_cell_does_not_stop_the_bytes(relay, kubeconfig):
    """This thread is the cell: it never gives its loop, or any other, a turn."""
    with forward("web", ":7") as fwd, connect(fwd.local_port) as sock:
        for number in range(50):
            assert echo(sock, bytes([number])) == bytes([number])


def test_an_unknown_loop_is_refused_and_harms_nobody(relay, kubeconfig):
    running = forward("web", ":7")
    with pytest.raises(UsageError, match='loop="banana" is unknown'):
        forward("web", ":7", loop="banana", name="web")
    assert running.ready


def test_a_host_without_the_extension_shows_the_port(relay, kubeconfig):
    with forward("web", ":7") as fwd:
        bundle = fwd._repr_mimebundle_()
        assert f":{fwd.local_port} -> 7" in bundle["text/plain"]
        assert f":{fwd.local_port}" in bundle["text/html"]
        assert "listening" in bundle["text/plain"]


def test_a_url_of_a_forward_with_several_ports_wants_to_know_which(relay, kubeconfig):
    with forward("web", ":7", ":echo") as fwd:
        with pytest.raises(UsageError, match="has the ports 7, 7"):
            fwd.url()
        with pytest.raises(UsageError):
            fwd.url(remote=80)


def test_a_forward_that_was_stopped_has_no_url_and_says_how_to_start_another(relay, kubeconfig):
    fwd = forward("web", ":7", namespace="default")
    fwd.stop("nobody needs it")
    for ask in (fwd.url, fwd.browser_link, lambda: fwd.link, fwd.open):
        with pytest.raises(LostError, match=r"^web was stopped: nobody needs it\.") as caught:
            ask()
        assert "run the line that started it again" in str(caught.value.hint)
    without = forward("web")
    without.stop()
    with pytest.raises(LostError, match=r"^web was stopped\.") as caught:
        without.open(7)


def test_a_port_that_another_forward_of_ours_holds_names_it(relay, kubeconfig):
    with forward("web", ":7", name="first") as first:
        with pytest.raises(ListenError, match="your forward first") as caught:
            forward("svc/api", f"{first.local_port}:80")
        assert "--stop first" in (caught.value.hint or "")
        assert first.ready


def test_a_with_block_ends_only_what_it_has_started(relay, kubeconfig):
    mine = forward("web", ":7", name="mine")
    with forward("web", ":7") as borrowed:
        assert borrowed is mine
    assert mine.ready
    with mine:
        pass
    assert mine.state == "stopped"


def test_another_kubeconfig_is_another_forward(relay, kubeconfig, tmp_path):
    other = tmp_path / "other"
    other.write_text(kubeconfig.read_text())
    with forward("web", ":7") as one, forward("web", ":7", kubeconfig=other) as two:
        assert one is not two
        assert one.ready
        assert two.ready
