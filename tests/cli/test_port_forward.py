"""`kfwd port-forward` against a running cluster, line by line."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

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


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
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


@pytest.mark.parametrize("dialect", ["websocket", "spdy", "connect"])
def test_the_dialect_that_was_asked_for(start: Start, dialect: str) -> None:
    process = start("web", ":80", "--dialect", dialect, "-v", "--pod-running-timeout", "1m30s")
    port = forwarding(process)
    assert b"pod web" in fetch(port)
    said = "".join(process.stderr.readline() for _ in range(4))
    assert f"dialect {dialect}: asked for" in said
    assert "connection 1 goes to default/web on node-" in said


def test_events_in_json_and_ports_in_a_file(start: Start, tmp_path: Path) -> None:
    path = tmp_path / "ports.json"
    path.write_text("of another run")
    process = start("svc/api", ":80", "-o", "json", "--ports-file", str(path), "--balance")
    listening = json.loads(process.stdout.readline())
    found = json.loads(path.read_text())
    assert listening["event"] == "listening"
    assert (found["ports"], found["pid"]) == (listening["ports"], process.pid)
    assert list(tmp_path.iterdir()) == [path]
    fetch(found["ports"][0]["local"])
    events = []
    while "closed" not in [each["event"] for each in events]:
        events.append(json.loads(process.stdout.readline()))
    assert [each["event"] for each in events] == ["opened", "pod", "closed"]
    assert {each["connection"] for each in events} == {1}
    assert events[1]["pod"].startswith("default/api-")
    assert events[2]["bytesIn"] > 0
    process.send_signal(signal.SIGTERM)
    out, err = process.communicate(timeout=10)
    assert (process.returncode, err) == (0, "")
    assert json.loads(out.splitlines()[-1])["event"] == "stopped"
    assert not path.exists()


def test_a_ports_file_has_one_owner_at_a_time(start: Start, tmp_path: Path) -> None:
    path = tmp_path / "ports.json"
    first = start("web", ":80", "--ports-file", str(path))
    port = forwarding(first)
    second = start("web", ":80", "--ports-file", str(path))
    out, err = second.communicate(timeout=20)
    assert (second.returncode, out) == (1, "")
    assert f"of a forward that runs (process {first.pid})" in err
    assert json.loads(path.read_text())["ports"][0]["local"] == port
    first.kill()
    first.communicate()
    forwarding(start("web", ":80", "--ports-file", str(path)))


def test_others_who_can_reach_it_are_told_of(start: Start) -> None:
    process = start("web", ":80", "--address", "0.0.0.0", "-o", "json")
    local = json.loads(process.stdout.readline())["ports"][0]["local"]
    said = process.stderr.readline()
    assert said == f"warning: other machines can reach 0.0.0.0:{local}, too\n"


def test_a_port_name_needs_no_command(start: Start, cluster: MiniCluster) -> None:
    process = subprocess.Popen(
        [sys.executable, "-m", "kfwd_nb.cli", "web", "http", "-o", "json"],
        env={**os.environ, "KUBECONFIG": str(cluster.kubeconfig)},
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        assert json.loads(process.stdout.readline())["ports"][0]["remote"] == 80
    finally:
        process.kill()
        process.communicate()


def test_a_full_disk_is_one_line(cluster: MiniCluster) -> None:
    with open("/dev/full", "w") as full:
        result = subprocess.run(
            [sys.executable, "-m", "kfwd_nb.cli", "web", ":80"],
            env={**os.environ, "KUBECONFIG": str(cluster.kubeconfig)},
            stdout=full,
            stderr=subprocess.PIPE,
            text=True,
            check=False,
            timeout=20,
        )
    assert (result.returncode, result.stderr.count("\n")) == (1, 1)
    assert "standard output cannot be written" in result.stderr


def test_what_a_plugin_said_is_not_said_again(
    start: Start, cluster: MiniCluster, tmp_path: Path
) -> None:
    plain = yaml.safe_load(cluster.kubeconfig.read_text())
    plain["users"][0]["user"] = {
        "exec": {
            "apiVersion": "client.authentication.k8s.io/v1",
            "command": "sh",
            "args": ["-c", "echo expired >&2; exit 3"],
            "interactiveMode": "IfAvailable",
        }
    }
    path = tmp_path / "config"
    path.write_text(json.dumps(plain))
    process = start("web", ":80", "--kubeconfig", str(path))
    err = process.communicate(timeout=20)[1]
    assert err.startswith("expired\nerror: ")
    lines = err.splitlines()
    assert len(lines) == 3, lines
    assert "gives plugins no stdin" in lines[2]


def test_a_ports_file_of_another_is_left(start: Start, tmp_path: Path) -> None:
    path = tmp_path / "ports.json"
    process = start("web", ":80", "--ports-file", str(path))
    forwarding(process)
    path.unlink()
    path.write_text("mine")
    process.send_signal(signal.SIGINT)
    process.communicate(timeout=10)
    assert path.read_text() == "mine"


def test_what_an_exec_plugin_says_is_seen(
    start: Start, cluster: MiniCluster, tmp_path: Path
) -> None:
    plain = yaml.safe_load(cluster.kubeconfig.read_text())
    token = plain["users"][0]["user"]["token"]
    answer = {
        "apiVersion": "client.authentication.k8s.io/v1",
        "kind": "ExecCredential",
        "status": {"token": token},
    }
    script = f"echo 'open https://login.example/?code=1' >&2; echo '{json.dumps(answer)}'"
    plain["users"][0]["user"] = {
        "exec": {
            "apiVersion": answer["apiVersion"],
            "command": "sh",
            "args": ["-c", script],
            "interactiveMode": "Never",
        }
    }
    path = tmp_path / "config"
    path.write_text(json.dumps(plain))
    process = start("web", ":80", "--kubeconfig", str(path))
    assert b"pod web" in fetch(forwarding(process))
    assert process.stderr.readline() == "open https://login.example/?code=1\n"


@pytest.mark.parametrize(
    ("words", "environment", "error"),
    [
        (["wbe", ":80"], {}, 'error: pod "wbe" not found'),
        (["web", ":80", "-n", "stagign"], {}, "stagign"),
        (["web", ":80", "--context", "nowhere"], {}, "nowhere"),
        (["web", ":80"], {"KUBECONFIG": "/nowhere/config"}, "/nowhere/config"),
        (["web", ":80", "--kubeconfig", "/nowhere/config"], {}, "/nowhere/config"),
        (["web", ":80", "--address", "192.0.2.1"], {}, "192.0.2.1"),
        (
            ["web", ":80", "--ports-file", "/dev/null/x"],
            {},
            "/dev/null/x: not a dir",
        ),
        (["web", ":80", "--ports-file", "/dev/null"], {}, "no ordinary file"),
        (["web", ":80", "--as", "nobody"], {}, "nobody"),
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
