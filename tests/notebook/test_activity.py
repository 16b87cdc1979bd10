"""A hub ends servers that are idle: a forward that nobody uses must not look like work."""

from __future__ import annotations

import json
import socket
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from jupyter_client import BlockingKernelClient
from peers.jupyter_server import JupyterServer, run

from kfwd_nb.cluster import MiniCluster
from kfwd_nb.notebook import hop_live
from kfwd_nb.notebook.live import INTERVAL

pytestmark = pytest.mark.notebook

IDLE = 3 * max(INTERVAL, hop_live.INTERVAL)
"""Seconds in which each thing that is shown is looked at several times. That nothing is said takes
time to be seen; that something would be heard, the end of the test shows."""

SHOWN = """
%load_ext kfwd_nb
import kfwd_nb, socket
fwd = %portforward web :7
%portforward --hops web
display(kfwd_nb.Dashboard())
held = socket.create_connection(("127.0.0.1", fwd.local_port))
held.sendall(b"x"); held.recv(1)
"""


@pytest.fixture
def server(tmp_path: Path, cluster: MiniCluster):
    """A Jupyter server whose kernels use the session's cluster."""
    with JupyterServer(tmp_path, env={"KUBECONFIG": str(cluster.kubeconfig)}) as made:
        yield made


def last_activity(server: JupyterServer) -> list[Any]:
    """Of the kernel, and of the server; that we ask is not to count."""
    (kernel,) = json.loads(server.get("api/kernels?no_track_activity=1").body)
    status = json.loads(server.get("api/status?no_track_activity=1").body)
    return [kernel["last_activity"], status["last_activity"]]


def settled(server: JupyterServer) -> list[Any]:
    """When nothing has been heard for a second."""
    before: list[Any] = []
    while before != (now := last_activity(server)):
        before = now
        time.sleep(1)
    return before


def test_an_idle_forward_is_no_activity(
    server: JupyterServer, eventually: Callable[..., bool]
) -> None:
    kernel: BlockingKernelClient = server.start_kernel()
    run(kernel, SHOWN)
    port = int(run(kernel, "print(fwd.local_port)"))
    before = settled(server)
    time.sleep(IDLE)
    assert last_activity(server) == before
    with socket.create_connection(("127.0.0.1", port)) as used:
        used.sendall(b"y")
        assert used.recv(1) == b"y"
    assert eventually(lambda: last_activity(server) != before, 10), "a used one is"
