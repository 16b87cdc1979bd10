"""Each fault on demand, by what a real forward meets, in each isolation."""

from __future__ import annotations

import socket
import time
from collections.abc import Callable, Iterator
from typing import Any

import psutil
import psycopg
import pytest
from peers.plain import connect, read_all

from kfwd_nb import MiniCluster, forward
from kfwd_nb.client import Forward
from kfwd_nb.cluster.faults import Fault
from kfwd_nb.cluster.workload import has_postgres
from kfwd_nb.errors import ClusterError, NotFoundError, UnavailableError
from kfwd_nb.kube.api.client import list_objects
from kfwd_nb.kube.kubeconfig import load
from kfwd_nb.kube.objects import Node, Pod
from kfwd_nb.ports import Target

pytestmark = pytest.mark.chain

WEB = Target("pod", "web")
API = Target("deploy", "api")
BRIEF = 0.5
"""Seconds in which nothing may come."""


@pytest.fixture(scope="module", params=["netns", "userns", "loopback"])
def running(request: pytest.FixtureRequest) -> Iterator[MiniCluster]:
    with MiniCluster(isolation=request.param) as cluster:
        yield cluster


@pytest.fixture
def broken(running: MiniCluster) -> Iterator[MiniCluster]:
    """A cluster to break, whole again after the test."""
    yield running
    running.faults.clear()
    until(lambda: all(pod.ready for pod in pods(running)))


@pytest.fixture
def web(broken: MiniCluster) -> Iterator[Forward]:
    with forward("web", ":80", ":7") as fwd:
        yield fwd


def until(condition: Callable[[], object], timeout: float = 20) -> None:
    end = time.monotonic() + timeout
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.05)


def pods(cluster: MiniCluster) -> list[Pod]:
    return list_objects(load(cluster.kubeconfig), Pod)


def node_of(cluster: MiniCluster, name: str) -> str:
    return next(pod.spec.node_name for pod in pods(cluster) if pod.metadata.name == name)


def port_of(fwd: Forward, remote: int) -> int:
    return int(fwd.url(remote=remote).rstrip("/").rpartition(":")[2])


def page(fwd: Forward, timeout: float = 20) -> bytes:
    with connect(port_of(fwd, 80)) as sock:
        sock.settimeout(timeout)
        sock.sendall(b"GET / HTTP/1.0\r\n\r\n")
        return read_all(sock)


def greets(fwd: Forward) -> bool:
    """It may take a moment until somebody listens again."""
    try:
        return b"Hello from pod web" in page(fwd)
    except ConnectionResetError:
        return False


def echo(fwd: Forward) -> socket.socket:
    """A connection that has worked."""
    sock = connect(port_of(fwd, 7))
    assert echoed(sock, b"before") == b"before"
    return sock


def echoed(sock: socket.socket, data: bytes) -> bytes:
    sock.sendall(data)
    return sock.recv(100)


def reasons(fwd: Forward) -> str:
    return " ".join(str(each.reason) for each in fwd.connections())


def test_a_killed_pod_is_started_again(broken: MiniCluster, web: Forward) -> None:
    with echo(web) as sock:
        broken.faults.kill(WEB)
        assert sock.recv(1) == b""
    until(lambda: greets(web))
    pod = next(each for each in pods(broken) if each.metadata.name == "web")
    assert pod.status.container_statuses[0].restart_count >= 1
    assert broken.faults.active == ()


def test_a_killed_database_keeps_what_was_committed(broken: MiniCluster) -> None:
    if not has_postgres():
        pytest.skip("needs PostgreSQL")
    with forward("db", ":5432") as db:
        address = f"host=127.0.0.1 port={db.local_port} user=postgres dbname=postgres"
        with psycopg.connect(address) as connection:
            connection.execute("create table kept as select 7 as it")
        broken.faults.kill(Target("pod", "db"))

        def kept() -> bool:
            try:
                with psycopg.connect(address, connect_timeout=5) as connection:
                    return connection.execute("select it from kept").fetchone() == (7,)
            except psycopg.OperationalError:
                return False

        until(kept)


def test_a_replaced_pod_has_a_successor(broken: MiniCluster) -> None:
    with forward("deploy/api", ":8080") as api:
        gone = broken.faults.replace(API).metadata.name
        with connect(api.local_port) as sock:
            sock.sendall(b"GET / HTTP/1.0\r\n\r\n")
            answer = read_all(sock).decode()
        assert "200 OK" in answer
        until(lambda: gone not in [each.metadata.name for each in pods(broken)])
        until(lambda: sum(each.metadata.name.startswith("api-") for each in pods(broken)) == 3)


def test_a_pod_without_an_owner_is_not_deleted(broken: MiniCluster) -> None:
    with pytest.raises(UnavailableError, match="belongs to no Deployment"):
        broken.faults.replace(WEB)
    assert any(each.metadata.name == "web" for each in pods(broken))


def test_a_stopped_agent_answers_when_it_goes_on(broken: MiniCluster, web: Forward) -> None:
    node = node_of(broken, "web")
    with echo(web) as sock:
        fault = broken.faults.stop(node)
        assert broken.faults.active == (fault,)
        sock.settimeout(BRIEF)
        with pytest.raises(TimeoutError):
            echoed(sock, b"held")
        assert broken.faults.mend(f"node/{node}", ["stop"]) == (fault,)
        sock.settimeout(20)
        assert sock.recv(100) == b"held"


def test_a_cut_link_is_mended(broken: MiniCluster, web: Forward) -> None:
    node = node_of(broken, "web")
    with echo(web) as sock:
        broken.faults.cut(node)
        broken.faults.cut(node)
        assert len(broken.faults.active) == 1
        with pytest.raises(ConnectionResetError):
            assert sock.recv(1) == b""
    access = load(broken.kubeconfig)

    def ready() -> bool:
        return next(n.ready for n in list_objects(access, Node) if n.metadata.name == node)

    until(lambda: not ready())
    broken.faults.mend(f"node/{node}", ["cut"])
    assert b"Hello" in page(web)
    until(ready)


def kill_agent(cluster: MiniCluster, node: str) -> None:
    """End a node's agent, and wait until there is another."""
    killed = cluster.faults._process(node)
    killed.kill()
    until(lambda: again(cluster, node, killed))


def again(cluster: MiniCluster, node: str, killed: psutil.Process) -> bool:
    try:
        return cluster.faults._agent(cluster.faults._node(node)) != killed
    except UnavailableError:
        return False


def test_a_cut_link_of_an_agent_that_was_started_anew(broken: MiniCluster, web: Forward) -> None:
    """What it says is true now; what was true before the cut is not."""
    node = node_of(broken, "web")
    broken.faults.cut(node)
    kill_agent(broken, node)
    broken.faults.mend(f"node/{node}", ["cut"])
    assert broken.faults.active == ()
    until(lambda: greets(web))


def test_a_refused_port_harms_no_other(broken: MiniCluster, web: Forward) -> None:
    with echo(web) as sock:
        broken.faults.break_port("refuse", WEB, 80)
        with pytest.raises(ConnectionResetError):
            page(web)
        assert "nobody listens on port 80" in reasons(web)
        assert echoed(sock, b"after") == b"after"
    broken.faults.mend("default/web:80", ["refuse"])
    assert b"Hello" in page(web)


def test_a_services_port_is_that_of_its_pod(broken: MiniCluster) -> None:
    service = Target("svc", "api")
    fault = broken.faults.break_port("refuse", service, 80)
    pod = broken.faults.pod_of(service)
    assert fault.where == f"default/{pod.metadata.name}:8080"
    with pytest.raises(NotFoundError, match="service port 81"):
        broken.faults.break_port("refuse", service, 81)


def test_a_port_that_resets(broken: MiniCluster, web: Forward) -> None:
    broken.faults.break_port("reset", WEB, 80)
    with connect(port_of(web, 80)) as idle:
        with pytest.raises(ConnectionResetError):
            page(web)
        idle.settimeout(BRIEF)
        with pytest.raises(TimeoutError):
            idle.recv(1)
        idle.settimeout(20)
        with pytest.raises(ConnectionResetError):
            idle.sendall(b"one")
            assert idle.recv(1) == b""
    with echo(web) as sock:
        assert echoed(sock, b"after") == b"after"


def test_a_stalled_port_takes_nothing_until_it_is_mended(broken: MiniCluster, web: Forward) -> None:
    """It is held back without loss, bounded, and the other port goes on."""
    broken.faults.break_port("stall", WEB, 7)
    with connect(port_of(web, 7)) as sock:
        sock.settimeout(BRIEF)
        sent = 0
        with pytest.raises(TimeoutError):
            while sent < 256 << 20:
                sent += sock.send(b"x" * 65536)
        assert b"Hello" in page(web)
        broken.faults.mend("default/web:7", ["stall"])
        sock.settimeout(20)
        sock.shutdown(socket.SHUT_WR)
        assert len(read_all(sock)) == sent


def test_a_stalled_connection_may_end_before_the_fault(broken: MiniCluster, web: Forward) -> None:
    broken.faults.break_port("stall", WEB, 80)
    with pytest.raises(TimeoutError):
        page(web, BRIEF)
    assert broken.faults.clear() == (Fault("stall", "default/web:80"),)
    assert b"Hello" in page(web)


def test_one_fault_of_a_port_takes_the_place_of_another(broken: MiniCluster, web: Forward) -> None:
    broken.faults.break_port("stall", WEB, 80)
    broken.faults.break_port("refuse", WEB, 80)
    assert [each.kind for each in broken.faults.active] == ["refuse"]
    with pytest.raises(ConnectionResetError):
        page(web)


def test_a_port_fault_ends_although_its_agent_was_started_anew(
    broken: MiniCluster, web: Forward
) -> None:
    """The new agent has the fault, too; one that is not there cannot be told."""
    node = node_of(broken, "web")
    fault = broken.faults.break_port("refuse", WEB, 80)
    broken.faults._process(node).kill()
    until(lambda: not broken.faults._node(node).ready)
    assert broken.faults.clear() == ()
    with pytest.raises(UnavailableError, match="does not run now"):
        broken.faults.mend(fault.where, ["refuse"])
    assert broken.faults.active == (fault,)
    until(lambda: broken.faults._node(node).ready)
    with pytest.raises(ConnectionResetError):
        page(web)
    assert broken.faults.mend(fault.where, ["refuse"]) == (fault,)
    until(lambda: greets(web))


def test_a_stopped_agent_that_was_killed_is_not_stopped_any_more(
    broken: MiniCluster, web: Forward
) -> None:
    node = node_of(broken, "web")
    fault = broken.faults.stop(node)
    kill_agent(broken, node)
    assert broken.faults.mend(f"node/{node}", ["stop"]) == (fault,)
    until(lambda: greets(web))


def test_places_that_are_not_there(broken: MiniCluster) -> None:
    faults = broken.faults
    with pytest.raises(NotFoundError, match='Pod "wbe" not found') as error:
        faults.kill(Target("pod", "wbe"))
    assert error.value.hint == 'did you mean "web"?'
    with pytest.raises(NotFoundError, match='Namespace "stagin" not found'):
        faults.kill(WEB, "stagin")
    with pytest.raises(NotFoundError, match='Node "node-9" not found'):
        faults.stop("node-9")
    faults.cut("node-1")
    with pytest.raises(NotFoundError, match="no fault") as error:
        faults.mend("node/node-2", ["cut"])
    assert error.value.hint == 'did you mean "node/node-1"?'


def test_a_cluster_ends_with_its_faults() -> None:
    with MiniCluster() as cluster:
        family = psutil.Process(cluster._process.pid).children(recursive=True)
        cluster.faults.break_port("stall", Target("svc", "api"), 80)
        cluster.faults.stop("node-1")
        cluster.faults.cut("node-2")
    assert psutil.wait_procs(family, timeout=3)[1] == []
    with pytest.raises(ClusterError, match="does not run"):
        _ = cluster.faults


def test_a_killed_owner_leaves_no_stopped_agent(start_owner: Any, family: Any) -> None:
    owner, folder = start_owner(before="cluster.faults.stop('node-1')")
    members = family(owner.pid)
    owner.kill()
    owner.wait()
    members.wait_for_end()
    assert not folder.exists()
