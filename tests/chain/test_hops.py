"""The hop view against a chain in which something is made to stand still."""

from __future__ import annotations

import signal
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import psutil
import pytest
from peers.plain import connect, echo
from peers.processes import processes

from kfwd_nb import forward
from kfwd_nb.client.forward import Forward
from kfwd_nb.client.hops.view import BOXES, PLACES, UNSEEN, HopView
from kfwd_nb.client.local.program import OURSELVES
from kfwd_nb.transport.http2.driver import Http2Driver

pytestmark = pytest.mark.chain

PATIENCE = 30.0


def seen(fwd: Forward, condition: Callable[[HopView], object]) -> HopView:
    """The first view of which it is true."""
    deadline = time.monotonic() + PATIENCE
    while not condition(view := fwd.hops()):
        assert time.monotonic() < deadline, view
    return view


@contextmanager
def stopped(cluster, part: str) -> Iterator[None]:
    found = [each for name, each in processes(cluster).items() if part in name]
    assert found
    for process in found:
        process.send_signal(signal.SIGSTOP)
    try:
        yield
    finally:
        for process in found:
            process.send_signal(signal.SIGCONT)


def test_every_octet_is_somewhere(cluster):
    """What a program does not read is found at the hops, to the octet."""
    size = 4_200_000
    with forward("web", ":80", kubeconfig=cluster.kubeconfig) as fwd:
        with connect(fwd.local_port) as sock:
            sock.sendall(b"GET /bytes/%d HTTP/1.1\r\nHost: pod\r\n\r\n" % size)
            view = seen(fwd, lambda view: view.stands)
            (flow,) = view.flows
            assert sum(octets or 0 for octets in flow.down) > size  # and a head
            assert "the local program does not read" in flow.stands
            assert view.fault("local program") == "does not read"
            assert (flow.peer, flow.program) == (f"127.0.0.1:{sock.getsockname()[1]}", OURSELVES)
            assert flow.node
            got = 0
            head = sock.recv(1 << 16)
            start = head.index(b"\r\n\r\n") + 4
            total = start + size
            got = len(head)
            while got < total:
                got += len(sock.recv(1 << 20))
            assert sum(octets or 0 for octets in flow.down) == total
            empty = seen(fwd, lambda view: not any(view.flows[0].down))
            assert not empty.stands


def test_a_local_program_that_is_another_process_is_named(cluster):
    with forward("web", ":7", kubeconfig=cluster.kubeconfig) as fwd:
        words = ["socat", "-u", f"TCP:127.0.0.1:{fwd.local_port}", "STDOUT"]
        program = subprocess.Popen(words, stdout=subprocess.PIPE)
        try:
            view = seen(fwd, lambda view: view.flows)
            assert view.flows[0].program == "socat"
        finally:
            program.kill()
            program.communicate()


def test_a_connection_of_this_process_has_no_local_port(cluster):
    with forward("web", kubeconfig=cluster.kubeconfig) as fwd, fwd.open(7) as sock:
        assert echo(sock, b"inside") == b"inside"
        (flow,) = fwd.hops().flows
        assert (flow.peer, flow.program) == ("in-process", OURSELVES)


def test_a_slow_reader_does_not_stand_still(cluster):
    """Whoever reads, however slowly, is not said to stand."""
    with forward("web", ":80", kubeconfig=cluster.kubeconfig) as fwd:
        with connect(fwd.local_port) as sock:
            sock.sendall(b"GET /bytes/5000000 HTTP/1.1\r\nHost: pod\r\n\r\n")
            seen(fwd, lambda view: view.stands)
            over = threading.Event()

            def read() -> None:
                while not over.wait(0.02):
                    sock.recv(10_000)

            sock.recv(10_000)
            reading = threading.Thread(target=read)
            reading.start()
            try:
                for _ in range(3):
                    view = fwd.hops()
                    assert any(view.flows[0].down)
                    assert not view.stands, view
            finally:
                over.set()
                reading.join()


def test_looking_on_is_not_in_the_trace(cluster, monkeypatch):
    pings: list[bytes] = []
    ping = Http2Driver.ping

    async def noticed(driver: Http2Driver, payload: bytes, patience: float) -> float | None:
        pings.append(payload)
        return await ping(driver, payload, patience)

    monkeypatch.setattr(Http2Driver, "ping", noticed)
    with forward("web", ":7", kubeconfig=cluster.kubeconfig) as fwd:
        with fwd.trace() as trace, connect(fwd.local_port) as sock:
            assert echo(sock, b"x") == b"x"
            fwd.hops()
            assert echo(sock, b"y") == b"y"
        asked = [each for each in trace if ":path" in dict(each.fields)]
        assert asked == []
        assert pings
        told = {dict(each.fields).get("data") for each in trace}
        assert not told & {each.hex() for each in pings}
        assert len({each.stream for each in trace if each.type == "DATA"}) == 1


def test_round_trips_and_tls_of_each_hop(cluster):
    with (
        forward("web", ":7", kubeconfig=cluster.kubeconfig) as fwd,
        connect(fwd.local_port) as sock,
    ):
        assert echo(sock, b"hop") == b"hop"
        view = seen(fwd, lambda view: view.flows)
        inner, outer, pod = view.links
        for link in (inner, outer):
            assert (link.wire, link.measured, link.trouble) == ("HTTP/2", "PING", "")
            assert link.tls is not None
            assert link.tls.startswith("TLSv1.3")
            assert link.round_trip is not None
            assert link.round_trip > 0
        assert (pod.tls, pod.measured) == ("", "TCP")
        assert pod.round_trip is not None
        assert all(octets == 0 for octets in view.flows[0].up)


def test_a_pod_that_does_not_read(cluster):
    web = _workload(cluster, "web.py")
    with (
        forward("web", ":7", kubeconfig=cluster.kubeconfig) as fwd,
        connect(fwd.local_port) as sock,
    ):
        assert echo(sock, b"up") == b"up"
        for process in web:
            process.suspend()
        try:
            sock.setblocking(False)
            for _ in range(400):
                try:
                    sock.send(bytes(1 << 18))
                except BlockingIOError:
                    break
            view = seen(fwd, lambda view: view.stands)
            assert view.fault("pod") == "does not read"
            assert "the pod's program does not read" in view.flows[0].stands
            place = PLACES.index("node agent/pod")
            assert view.flows[0].up[place]
        finally:
            for process in web:
                process.resume()


@pytest.mark.parametrize(
    ("part", "before", "hop"),
    [("kfwd_nb.relay", "client", "relay"), ("kfwd_nb.agent", "relay", "node agent")],
)
def test_a_hop_that_stands_still(cluster, part, before, hop):
    with (
        forward("web", ":7", kubeconfig=cluster.kubeconfig) as fwd,
        connect(fwd.local_port) as sock,
    ):
        assert echo(sock, b"hop") == b"hop"
        with stopped(cluster, part):
            view = fwd.hops()
            trouble = {each.name: each.trouble for each in view.links if each.trouble}
            assert trouble.keys() == {f"{before}/{hop}"}
            assert "a PING is not answered" in trouble[f"{before}/{hop}"]
            assert "no answer" in trouble[f"{before}/{hop}"]
            flow = view.flows[0]
            assert flow.up[PLACES.index(before)] == 0
            assert flow.up[PLACES.index(hop)] is None
            assert {each: view.fault(each) for each in BOXES if view.fault(each)} == {
                hop: "does not answer"
            }
        seen(fwd, lambda view: not any(each.trouble for each in view.links))


@pytest.mark.parametrize("dialect", ["websocket", "spdy"])
def test_beyond_a_server_that_tells_nothing(cluster, dialect):
    with forward("web", ":7", kubeconfig=cluster.kubeconfig, dialect=dialect) as fwd:
        with connect(fwd.local_port) as sock:
            assert echo(sock, b"foreign") == b"foreign"
            view = fwd.hops()
            assert view.why
            assert view.links[0].tls
            assert view.links[0].round_trip is not None
            assert {link.wire for link in view.links[1:]} == {UNSEEN}
            assert view.flows[0].up[2:] == (None,) * 5
            assert view.flows[0].up[:2] == (0, 0)


def test_one_hears_of_its_own_streams_only(cluster):
    """The ids of streams on another tunnel mean nothing on this one."""
    with (
        forward("web", ":7", kubeconfig=cluster.kubeconfig, name="mine") as mine,
        forward("web", ":7", kubeconfig=cluster.kubeconfig, name="theirs") as theirs,
        connect(theirs.local_port) as sock,
    ):
        assert echo(sock, b"theirs") == b"theirs"
        assert mine.hops().flows == ()
        assert len(theirs.hops().flows) == 1


def test_a_trace_tells_of_the_hops_beyond(cluster):
    with forward("web", ":7", kubeconfig=cluster.kubeconfig) as fwd:
        with fwd.trace() as trace, connect(fwd.local_port) as sock:
            assert echo(sock, b"trace") == b"trace"
        steps = trace.play().steps
        told = [(each.place, each.way, each.kind) for each in steps if hasattr(each, "hop")]
        for each in [(1, "up", "asks"), (2, "up", "connects"), (2, "down", "accepts")]:
            assert each in told
        assert (2, "up", "passes") in told
        assert (2, "down", "passes") in told
        times = [each.until for each in steps]
        assert times == sorted(times)


def _workload(cluster, name: str) -> list[psutil.Process]:
    """The processes of the pods default/web that run that program."""
    from kfwd_nb.kube.api.client import list_objects
    from kfwd_nb.kube.kubeconfig import load
    from kfwd_nb.kube.objects import PID_ANNOTATION, Pod

    pods = list_objects(load(cluster.kubeconfig), Pod)
    (pod,) = [
        each for each in pods if (each.metadata.namespace, each.metadata.name) == ("default", "web")
    ]
    inside = psutil.Process(int(pod.metadata.annotations[PID_ANNOTATION])).children(recursive=True)
    return [each for each in inside if any(name in word for word in each.cmdline())]
