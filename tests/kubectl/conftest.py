"""Real kubectl binaries of several versions, in both dialects that they speak."""

from __future__ import annotations

import contextlib
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO

import pytest

from kfwd_nb import MiniCluster

BINARIES = Path(sys.prefix) / "kubectl"

VERSIONS = ("1.20", "1.32", "1.37")

WAYS = tuple(
    (version, dialect)
    for version in VERSIONS
    for dialect in ("spdy", "websocket")
    if (version, dialect) != ("1.20", "websocket")  # older kubectl knows SPDY only
)


@dataclass
class Forwarding:
    """A running `kubectl port-forward`.

    Attributes:
        ports: the local ones.
        said: all that it has said.
    """

    process: subprocess.Popen[str]
    ports: list[int] = field(default_factory=list)
    said: list[str] = field(default_factory=list)

    @property
    def port(self) -> int:
        return self.ports[0]

    def wait_for(self, words: str) -> str:
        """The next line that has these words; the test's timeout is the limit."""
        for line in self._lines():
            self.said.append(line)
            if re.search(words, line, re.IGNORECASE):
                return line
        raise AssertionError(f"kubectl ended without {words!r}:\n{''.join(self.said)}")

    def rest(self) -> str:
        """All that it says until it ends."""
        self.said.extend(self._lines())
        self.process.wait()
        return "".join(self.said)

    def _lines(self) -> IO[str]:
        assert self.process.stdout is not None
        return self.process.stdout


@dataclass(frozen=True)
class Kubectl:
    """One binary, one kubeconfig, a home of its own for its caches."""

    version: str
    kubeconfig: Path
    home: Path
    dialect: str = ""

    @property
    def options(self) -> dict:
        environment = {
            "PATH": os.environ["PATH"],
            "HOME": str(self.home),
            "KUBECONFIG": str(self.kubeconfig),
        }
        if self.dialect:
            on = "true" if self.dialect == "websocket" else "false"
            environment["KUBECTL_PORT_FORWARD_WEBSOCKETS"] = on
        return {
            "env": environment,
            "stdin": subprocess.DEVNULL,
            "stdout": subprocess.PIPE,
            "stderr": subprocess.STDOUT,
            "text": True,
        }

    def words(self, *arguments: str) -> list[str]:
        return [str(BINARIES / f"kubectl-{self.version}"), *arguments]

    def run(self, *arguments: str, code: int | None = 0) -> str:
        """What it says; it must end with that code."""
        done = subprocess.run(self.words(*arguments), timeout=60, check=False, **self.options)
        assert code is None or done.returncode == code, done.stdout
        return done.stdout

    @contextlib.contextmanager
    def start(self, *arguments: str) -> Iterator[Forwarding]:
        process = subprocess.Popen(self.words(*arguments), **self.options)
        try:
            yield Forwarding(process)
        finally:
            process.terminate()
            process.wait()
            process.stdout.close()

    @contextlib.contextmanager
    def forward(self, *arguments: str) -> Iterator[Forwarding]:
        """A forward that listens on 127.0.0.1, at as many ports as there are `:PORT` words."""
        command = ("port-forward", "--address", "127.0.0.1", *arguments)
        with self.start(*command) as running:
            for _ in [each for each in arguments if each.startswith(":")]:
                line = running.wait_for(r"^Forwarding from 127\.0\.0\.1:\d+ -> \d+$")
                running.ports.append(int(re.search(r":(\d+) ->", line)[1]))
            yield running


@pytest.fixture(params=VERSIONS)
def kubectl(request, cluster, tmp_path) -> Kubectl:
    """Each version, on the cluster that all tests share."""
    return Kubectl(request.param, cluster.kubeconfig, tmp_path)


@pytest.fixture(params=WAYS, ids="-".join)
def forwarder(request, cluster, tmp_path) -> Kubectl:
    """Each version in each dialect that it speaks, on the same cluster."""
    version, dialect = request.param
    return Kubectl(version, cluster.kubeconfig, tmp_path, dialect)


@pytest.fixture(scope="module")
def own_cluster() -> Iterator[MiniCluster]:
    """A cluster for tests that change it."""
    with MiniCluster() as cluster:
        yield cluster


@pytest.fixture(params=VERSIONS)
def own_kubectl(request, own_cluster, tmp_path) -> Kubectl:
    """Each version, on a cluster that may be changed."""
    return Kubectl(request.param, own_cluster.kubeconfig, tmp_path)


@pytest.fixture(params=WAYS, ids="-".join)
def own_forwarder(request, own_cluster, tmp_path) -> Kubectl:
    """Each version in each dialect, on a cluster that may be changed."""
    version, dialect = request.param
    return Kubectl(version, own_cluster.kubeconfig, tmp_path, dialect)
