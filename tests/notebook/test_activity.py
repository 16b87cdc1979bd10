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

pytestmark = pytest.mark.notebook

LOOKS = 4
"""Looks at each thing that is shown, of which the last is not over yet. That nothing is said needs
some of them; that something would be heard, the end of the test shows."""

SHOWN = """
%load_ext kfwd_nb
import kfwd_nb, socket
fwd = %portforward web :7
%portforward --hops web
display(kfwd_nb.Dashboard())
held = socket.create_connection(("127.0.0.1", fwd.local_port))
held.sendall(b"x"); held.recv(1)
"""

COUNTED = """
ask = fwd.hops_soon

def asked():
    with open({file!r}, "a") as looks:
        looks.write("a look\\n")
    return ask()

fwd.hops_soon = asked
"""
"""Cells that ask how often would be activity. The hops are asked for once in several looks at the
tables, by the same thread: what is counted here is the least."""


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
    server: JupyterServer, eventually: Callable[..., bool], tmp_path: Path
) -> None:
    looks = tmp_path / "looks"
    kernel: BlockingKernelClient = server.start_kernel()
    run(kernel, SHOWN)
    run(kernel, COUNTED.format(file=str(looks)))
    port = int(run(kernel, "print(fwd.local_port)"))
    before = settled(server)
    looks.write_text("")
    assert eventually(lambda: len(looks.read_text().splitlines()) >= LOOKS, 60)
    assert last_activity(server) == before
    with socket.create_connection(("127.0.0.1", port)) as used:
        used.sendall(b"y")
        assert used.recv(1) == b"y"
    assert eventually(lambda: last_activity(server) != before, 10), "a used one is"
