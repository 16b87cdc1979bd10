"""`kfwd port-forward` against a running cluster, line by line."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import urllib.request
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from kfwd_nb.cluster import MiniCluster

pytestmark = pytest.mark.chain

Start = Callable[..., "subprocess.Popen[str]"]


@pytest.fixture
def start(cluster: MiniCluster) -> Iterator[Start]:
    started = []

    def run(*words: str, **environment: str) -> subprocess.Popen[str]:
        process = subprocess.Popen(
            [sys.executable, "-m", "kfwd_nb.cli", "port-forward", *words],
            env={**os.environ, "KUBECONFIG": str(cluster.kubeconfig), **environment},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        started.append(process)
        return process

    yield run
    for process in started:
        process.kill()
        process.communicate()


def forwarding(process: subprocess.Popen[str], remote: int = 80) -> int:
    """Read the first `Forwarding` lines; returns the local port."""
    assert process.stdout is not None
    line = process.stdout.readline()
    match = re.fullmatch(rf"Forwarding from 127\.0\.0\.1:(\d+) -> {remote}\n", line)
    if match is None:
        process.kill()
        raise AssertionError(repr(line) + str(process.communicate()))
    assert process.stdout.readline() == f"Forwarding from [::1]:{match[1]} -> {remote}\n"
    return int(match[1])


def fetch(port: int, path: str = "/") -> bytes:
    with urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=20) as answer:
        body: bytes = answer.read()
    return body


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_pod(start: Start, number: int) -> None:
    process = start("web", ":80")
    port = forwarding(process)
    for _ in range(2):
        assert b"pod web" in fetch(port)
        assert process.stdout.readline() == f"Handling connection for {port}\n"
    process.send_signal(number)
    assert process.communicate(timeout=10) == ("", "")
    assert process.returncode == 0


def test_options_may_stand_anywhere(start: Start, cluster: MiniCluster) -> None:
    process = start("pod", "web", "-n", "staging", ":80", "--address", "127.0.0.1", ":7")
    first, second = process.stdout.readline(), process.stdout.readline()
    assert re.fullmatch(r"Forwarding from 127\.0\.0\.1:\d+ -> 80\n", first)
    assert re.fullmatch(r"Forwarding from 127\.0\.0\.1:\d+ -> 7\n", second)


def test_a_service(start: Start, cluster: MiniCluster) -> None:
    port = forwarding(start("svc/api", ":80"))
    assert f"default/{fetch(port).decode().strip()}" in cluster.pods


def test_a_port_that_nobody_listens_on_ends_the_connection_not_the_forward(start: Start) -> None:
    process = start("web", ":81", ":80")
    refused = forwarding(process, 81)
    good = forwarding(process, 80)
    with pytest.raises(OSError, match=r"reset|closed|Remote end"):
        fetch(refused)
    assert process.stdout.readline() == f"Handling connection for {refused}\n"
    error = process.stderr.readline()
    assert error.startswith(f"error: an error occurred forwarding {refused} -> 81: ")
    assert b"pod web" in fetch(good)


@pytest.mark.parametrize(
    ("words", "environment", "error"),
    [
        (["wbe", ":80"], {}, 'error: pod "wbe" not found'),
        (["web", ":80", "-n", "stagign"], {}, "stagign"),
        (["web", ":80", "--context", "nowhere"], {}, "nowhere"),
        (["web", ":80"], {"KUBECONFIG": "/nowhere/config"}, "/nowhere/config"),
        (["web", ":80", "--kubeconfig", "/nowhere/config"], {}, "/nowhere/config"),
        (["web", ":80", "--address", "192.0.2.1"], {}, "192.0.2.1"),
    ],
)
def test_what_cannot_be_had(
    start: Start, words: list[str], environment: dict[str, Any], error: str
) -> None:
    process = start(*words, **environment)
    out, err = process.communicate(timeout=20)
    assert (process.returncode, out) == (1, "")
    assert error.lower() in err.lower()
    assert err.startswith("error: ")
    assert "Traceback" not in err
