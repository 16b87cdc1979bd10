"""Forwarding from a system without anything of Linux, to a cluster elsewhere."""

from __future__ import annotations

import re
import signal
import urllib.request

import pytest

from kfwd_nb.cluster import MiniCluster

pytestmark = pytest.mark.chain

FORWARD = """
import urllib.request
from kfwd_nb import forward
with forward("web", ":80", kubeconfig={kubeconfig!r}) as fwd:
    print(urllib.request.urlopen(fwd.url("http", "/hash/1000000"), timeout=20).read().decode())
"""


def test_forward_from_python(portable, cluster: MiniCluster) -> None:
    result = portable("-c", FORWARD.format(kubeconfig=str(cluster.kubeconfig)))
    assert result.stderr == ""
    assert '"length": 1000000' in result.stdout


def test_port_forward_from_a_terminal(portable_start, cluster: MiniCluster) -> None:
    process = portable_start(
        *("-m", "kfwd_nb.cli", "port-forward", "--kubeconfig", str(cluster.kubeconfig)),
        *("web", ":80"),
    )
    match = re.fullmatch(r"Forwarding from 127\.0\.0\.1:(\d+) -> 80\n", process.stdout.readline())
    assert match is not None
    with urllib.request.urlopen(f"http://127.0.0.1:{match[1]}/", timeout=20) as page:
        assert b"web" in page.read()
    process.send_signal(signal.SIGINT)
    assert process.wait(10) == 0


def test_the_embedded_cluster_says_that_it_cannot_be(portable) -> None:
    result = portable("-m", "kfwd_nb.cli", "cluster", "up")
    assert result.returncode == 1
    assert "error: an embedded cluster needs Linux or macOS." in result.stderr
    assert "Traceback" not in result.stderr
