"""`kfwd cluster up` in a terminal."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

pytestmark = pytest.mark.chain

ONE_POD = """
{apiVersion: v1, kind: Pod, metadata: {name: web}, spec: {containers: [{name: web,
  command: [$(KFWD_PYTHON), -I, -S, $(KFWD_WORKLOADS)/web.py], ports: [{containerPort: 80}]}]}}
"""

Up = Callable[..., "subprocess.Popen[str]"]


@pytest.fixture
def up(tmp_path: Path) -> Iterator[Up]:
    file = tmp_path / "pods.yaml"
    file.write_text(ONE_POD)
    runtime = tmp_path / "run time"
    runtime.mkdir()
    started = []

    def start(*words: str) -> subprocess.Popen[str]:
        process = subprocess.Popen(
            [sys.executable, "-m", "kfwd_nb.cli", "cluster", "up", "-f", str(file), *words],
            env={**os.environ, "XDG_RUNTIME_DIR": str(runtime)},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        started.append(process)
        return process

    yield start
    for process in started:
        process.kill()
        process.communicate()
    assert list(runtime.iterdir()) == []


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_it_says_when_it_is_ready_and_ends_by_a_signal(up: Up, tmp_path: Path, number: int) -> None:
    process = up("--nodes", "1")
    line = process.stdout.readline()
    match = re.fullmatch(
        r"cluster ready kubeconfig='(.+)' relay=(https://127\.0\.0\.1:\d+) isolation=(\w+) .*\n",
        line,
    )
    assert match is not None, line + process.stderr.read()
    assert Path(match[1]).is_file()
    if os.geteuid() == 0:
        assert match[3] == "netns"
    process.send_signal(number)
    out, err = process.communicate(timeout=10)
    assert (process.returncode, out) == (0, "")
    assert "starting the embedded cluster" in err
    assert not Path(match[1]).exists()


def test_a_signal_during_the_start_ends_it_and_is_told(up: Up) -> None:
    process = up()
    assert process.stderr.readline() == "starting the embedded cluster\n"
    assert process.stderr.readline().startswith("isolation ")
    process.send_signal(signal.SIGTERM)
    assert process.wait(10) == 128 + signal.SIGTERM


def test_simulated_isolation_is_said_in_words(up: Up, tmp_path: Path) -> None:
    path = tmp_path / "kubeconfig"
    process = up("--isolation", "loopback", "--kubeconfig", str(path))
    line = process.stdout.readline()
    assert f"kubeconfig={path} " in line
    assert "isolation=loopback" in line
    assert "simulated isolation" in line
    process.send_signal(signal.SIGINT)
    process.communicate(timeout=10)
    assert not path.exists()


def test_a_failure_is_told_and_has_status_1(up: Up, tmp_path: Path) -> None:
    process = up("-f", str(tmp_path / "missing.yaml"))
    out, err = process.communicate(timeout=20)
    assert (process.returncode, out) == (1, "")
    assert "missing.yaml: cannot be read" in err.splitlines()[-1]
    assert err.splitlines()[-1].startswith("error: ")
