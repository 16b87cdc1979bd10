"""Namespaces, processes and sockets are what they are said to be."""

from __future__ import annotations

import os
import signal
import socket
import threading
import urllib.request
from pathlib import Path

import psutil
import pytest
from peers.plain import connect, echo
from peers.processes import processes

from kfwd_nb import MiniCluster, forward
from kfwd_nb.kube.api.client import list_objects
from kfwd_nb.kube.kubeconfig import load
from kfwd_nb.kube.objects import PID_ANNOTATION, Pod

pytestmark = pytest.mark.chain


def pids(cluster) -> dict[str, int]:
    pods = list_objects(load(cluster.kubeconfig), Pod)
    return {
        f"{pod.metadata.namespace}/{pod.metadata.name}": int(
            pod.metadata.annotations[PID_ANNOTATION]
        )
        for pod in pods
    }


def test_isolation_is_never_simulated_for_root(cluster):
    assert os.getuid() == 0
    assert cluster.isolation == "netns"


def test_pods_have_network_and_host_name_of_their_own(cluster):
    places = {"host": os.getpid()} | pids(cluster)
    for kind in ("net", "uts", "pid"):
        names = {place: os.readlink(f"/proc/{pid}/ns/{kind}") for place, pid in places.items()}
        if kind == "net" or kind == "uts":
            assert len(set(names.values())) == len(names), names


def test_two_pods_listen_on_one_port_that_is_closed_on_the_host(cluster):
    with (
        forward("web", ":80", kubeconfig=cluster.kubeconfig, name="one") as one,
        forward(
            "web", ":80", namespace="staging", kubeconfig=cluster.kubeconfig, name="two"
        ) as two,
    ):
        for fwd in (one, two):
            with urllib.request.urlopen(fwd.url(), timeout=10) as answer:
                assert b"Hello from pod web" in answer.read()
        with pytest.raises(ConnectionRefusedError):
            socket.create_connection(("127.0.0.1", 80), timeout=5)


def test_the_socket_to_the_pod_is_the_agents(cluster):
    web = pids(cluster)["default/web"]
    with forward("web", ":7", kubeconfig=cluster.kubeconfig, name="owner") as fwd:
        with connect(fwd.local_port) as sock:
            assert echo(sock, b"x") == b"x"
            inodes = set()
            for line in Path(f"/proc/{web}/net/tcp").read_text().splitlines()[1:]:
                fields = line.split()
                if fields[2].endswith(":0007") and fields[3] == "01":
                    inodes.add(f"socket:[{fields[9]}]")
            assert inodes
            agents = [each for name, each in processes(cluster).items() if "agent" in name]
            held = {
                os.readlink(f"/proc/{agent.pid}/fd/{fd.name}")
                for agent in agents
                for fd in Path(f"/proc/{agent.pid}/fd").iterdir()
                if fd.is_symlink()
            }
            assert inodes <= held


@pytest.mark.parametrize("hop", ["relay", "agent"])
def test_bytes_stop_and_go_with_each_hop(cluster, hop):
    stopped = [each for name, each in processes(cluster).items() if f"kfwd_nb.{hop}" in name]
    with forward("web", ":7", kubeconfig=cluster.kubeconfig, name=f"stop-{hop}") as fwd:
        with connect(fwd.local_port) as sock:
            assert echo(sock, b"running") == b"running"
            for process in stopped:
                process.send_signal(signal.SIGSTOP)
            try:
                sock.sendall(b"stopped")
                sock.settimeout(0.5)
                with pytest.raises(TimeoutError):
                    sock.recv(1)
            finally:
                for process in stopped:
                    process.send_signal(signal.SIGCONT)
            sock.settimeout(30)
            assert sock.recv(7, socket.MSG_WAITALL) == b"stopped"


@pytest.fixture
def own_cluster():
    """For a test that kills a part of it."""
    with MiniCluster() as cluster:
        yield cluster


def test_an_agent_that_dies_in_mid_transfer_is_named_and_the_forward_lives(own_cluster):
    cluster = own_cluster
    web = pids(cluster)["default/web"]
    parents = {each.pid for each in psutil.Process(web).parents()}
    agents = [each for name, each in processes(cluster).items() if "agent" in name]
    agent = next(each for each in agents if each.pid in parents)
    with forward("web", ":80", kubeconfig=cluster.kubeconfig, name="agent-dies") as fwd:
        with connect(fwd.local_port) as sock:
            sock.sendall(b"GET /bytes/1099511627776 HTTP/1.1\r\nHost: pod\r\n\r\n")
            assert sock.recv(1 << 16)
            reader = threading.Thread(target=agent.kill)
            reader.start()
            with pytest.raises(ConnectionResetError):
                while sock.recv(1 << 18):
                    pass
            reader.join()
        row = fwd.connections()[0]
        assert row.failed
        assert row.reason
        for _ in range(200):
            try:
                with urllib.request.urlopen(fwd.url(), timeout=10) as answer:
                    assert b"Hello from pod web" in answer.read()
                    break
            except OSError:
                threading.Event().wait(0.1)
        else:
            pytest.fail("the pod did not come back")
