"""One containerd for all tests of this folder; a pod and the ways into it for each."""

from __future__ import annotations

import asyncio
import os
import socket
import subprocess
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from pathlib import Path

import pytest
from containerd.transfers import UPGRADE
from peers.containerd import Containerd, PodSandbox, missing, running

from kfwd_nb.agent.netns import NamespaceThread
from kfwd_nb.transport import endpoint as endpoint_module
from kfwd_nb.transport.http1.client import upgrade
from kfwd_nb.transport.spdy.client import PortforwardConnection

SERVER = Path(__file__).with_name("server.py")


@pytest.fixture(scope="package")
def containerd() -> Iterator[Containerd]:
    """A daemon of the tests' own."""
    lacking = missing()
    if lacking and "CI" not in os.environ:
        pytest.skip(f"a containerd of our own needs: {lacking}")
    assert not lacking, lacking
    with running() as daemon:
        yield daemon


@pytest.fixture
def fresh_pod(containerd: Containerd) -> Iterator[PodSandbox]:
    """A sandbox that a test may remove, with the server in its namespaces."""
    pod = containerd.run_sandbox()
    with serving(pod):
        yield pod
    if pod.id in containerd.sandboxes():
        containerd.remove(pod)


@pytest.fixture(scope="package")
def pod(containerd: Containerd) -> Iterator[PodSandbox]:
    """A sandbox with the server in its namespaces."""
    made = containerd.run_sandbox("shared")
    with serving(made):
        yield made
    containerd.remove(made)


class serving:  # noqa: N801 - a context manager
    """The server, in the pod's network and PID namespaces: it ends with the pod."""

    def __init__(self, pod: PodSandbox) -> None:
        self._pod = pod

    def __enter__(self) -> None:
        self._process = subprocess.Popen(
            [
                *("nsenter", "-t", str(self._pod.outer_pid), "-n", "-p", "--"),
                *(sys.executable, "-I", "-S", str(SERVER)),
            ],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
        )
        assert self._process.stdout is not None
        assert self._process.stdout.readline() == b"ready\n"

    def __exit__(self, *_: object) -> None:
        assert self._process.stdout is not None
        for child in _children(self._process.pid):
            os.kill(child, 9)
        self._process.kill()
        self._process.wait()
        self._process.stdout.close()


def _children(pid: int) -> list[int]:
    return [int(each) for each in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


@pytest.fixture
def in_daemons_network(containerd: Containerd, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Our client's sockets are made where the streaming server listens."""
    thread = NamespaceThread()
    netns = os.open(f"/proc/{containerd.pid}/ns/net", os.O_RDONLY)

    async def connect_tcp(host: str, port: int) -> socket.socket:
        sock = await thread.socket(netns, socket.AF_INET)
        sock.setblocking(False)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        await asyncio.get_running_loop().sock_connect(sock, (host, port))
        return sock

    monkeypatch.setattr(endpoint_module, "connect_tcp", connect_tcp)
    yield
    os.close(netns)
    thread.close()


Connect = Callable[[PodSandbox], Awaitable[PortforwardConnection]]


@pytest.fixture
async def connect(containerd: Containerd, in_daemons_network: None) -> AsyncIterator[Connect]:
    """Open an upgraded connection to a pod; it is closed at the end."""
    opened = []

    async def connect(pod: PodSandbox) -> PortforwardConnection:
        endpoint, path = await asyncio.to_thread(containerd.portforward_url, pod)
        connection = PortforwardConnection()
        (await upgrade(endpoint, path, UPGRADE)).begin(connection.protocol)
        opened.append(connection)
        return connection

    yield connect
    for connection in opened:
        connection.close()
    await asyncio.gather(*(each.closed for each in opened))


@pytest.fixture
async def connection(connect: Connect, pod: PodSandbox) -> PortforwardConnection:
    """One to the pod that all share."""
    return await connect(pod)
