"""A small cluster that starts quickly, and the whole family of processes that it is."""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest

from kfwd_nb.cluster.folder import ProcessId

END_LIMIT = 3.0
"""Seconds after which nothing may be left of a cluster."""

ONE_POD = """
apiVersion: v1
kind: Pod
metadata: {name: web}
spec:
  containers:
    - name: web
      command: [$(KFWD_PYTHON), -I, -S, $(KFWD_WORKLOADS)/web.py]
      ports: [{containerPort: 80}, {containerPort: 7}]
"""


@pytest.fixture
def one_pod(tmp_path: Path) -> Path:
    """Manifests of a cluster with the pod `web` only."""
    path = tmp_path / "one-pod.yaml"
    path.write_text(ONE_POD)
    return path


@pytest.fixture
def runtime(monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A runtime folder of the test's own, so that it can be seen whether it is empty.

    Others may pass it: a database that runs as its own user, without a mount namespace, has to.
    """
    path = Path(tempfile.mkdtemp(prefix="kfwd-test-", dir="/tmp"))
    path.chmod(0o711)
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(path))
    yield path
    shutil.rmtree(path)


class Family:
    """A process and all below it: an owner or a supervisor, relay, agents, pods."""

    def __init__(self, root: int) -> None:
        self.members: dict[ProcessId, str] = {}
        first = psutil.Process(root)
        for each in [first, *first.children(recursive=True)]:
            with contextlib.suppress(psutil.NoSuchProcess):  # it has ended while we looked
                identity = ProcessId(each.pid, each.create_time())
                self.members[identity] = " ".join(each.cmdline())

    def without(self, pid: int) -> Family:
        """The same but for one process."""
        self.members = {each: line for each, line in self.members.items() if each.pid != pid}
        return self

    def pid(self, words: str) -> int:
        """The one process with these words in its command."""
        (found,) = [member.pid for member, line in self.members.items() if words in line]
        return found

    def alive(self) -> list[str]:
        return [line for member, line in self.members.items() if member.alive()]

    def wait_for_end(self) -> float:
        """Wait until none is left; returns the seconds it took."""
        began = time.monotonic()
        while self.alive():
            took = time.monotonic() - began
            assert took < END_LIMIT, f"after {took:.1f} s there still is: {self.alive()}"
            time.sleep(0.02)
        return time.monotonic() - began


@pytest.fixture
def family() -> type[Family]:
    """The processes from this PID down, as they are now."""
    return Family


OWNER = """
import sys, os, time
from kfwd_nb.cluster import MiniCluster
cluster = MiniCluster(sys.argv[1], nodes=2)
cluster.start()
{before}
print(cluster.kubeconfig, flush=True)
time.sleep(1000)
"""

StartOwner = Callable[..., "tuple[subprocess.Popen[str], Path]"]


@pytest.fixture
def start_owner(one_pod: Path, runtime: Path) -> Iterator[StartOwner]:
    """Start a process that owns a cluster; gives it, and the cluster's folder."""
    owners = []

    def start(before: str = "") -> tuple[subprocess.Popen[str], Path]:
        owner = subprocess.Popen(
            [sys.executable, "-c", OWNER.format(before=before), str(one_pod)],
            env={**os.environ, "XDG_RUNTIME_DIR": str(runtime)},
            stdout=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )
        owners.append(owner)
        assert owner.stdout is not None
        return owner, Path(owner.stdout.readline().strip()).parent

    yield start
    for owner in owners:
        owner.kill()
        owner.communicate()
