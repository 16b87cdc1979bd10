"""The pod of `deploy/api` is replaced under 50 requests a second; kubectl ends, we do not."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from peers.caller import RATE, Caller

from kfwd_nb import MiniCluster, forward

pytestmark = pytest.mark.chain

KUBECTL = Path(sys.prefix) / "kubectl" / "kubectl-1.37"
DIALECTS = ("connect", "websocket", "spdy")


def wait_for(caller: Caller, others: set[str]) -> None:
    """Until a pod that is none of the others has answered for a second's worth."""
    deadline = time.monotonic() + 60
    while sum(each not in others for each in caller.pods) < RATE:
        assert time.monotonic() < deadline, caller.asked[-3:]
        time.sleep(0.02)


@pytest.fixture(scope="module")
def own() -> Iterator[MiniCluster]:
    with MiniCluster() as running:
        yield running


def kubectl(kubeconfig: Path, *words: str, **options) -> subprocess.Popen[str]:
    environment = {"PATH": os.environ["PATH"], "HOME": "/nowhere", "KUBECONFIG": str(kubeconfig)}
    return subprocess.Popen(
        [str(KUBECTL), *words],
        env=environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        **options,
    )


@pytest.mark.parametrize("dialect", DIALECTS)
def test_no_connection_is_refused_while_kubectl_ends(own, dialect):
    theirs = kubectl(own.kubeconfig, "port-forward", "--address=127.0.0.1", "deploy/api", ":8080")
    try:
        assert theirs.stdout is not None
        their_port = int(re.search(r":(\d+) ->", theirs.stdout.readline())[1])
        with forward("deploy/api", ":8080", kubeconfig=own.kubeconfig, dialect=dialect) as fwd:
            ours, with_kubectl = Caller(fwd.local_port), Caller(their_port)
            callers = (ours, with_kubectl)
            for caller in callers:
                caller.start()
            for caller in callers:
                wait_for(caller, set())
            before = {caller.pods[-1] for caller in callers}
            delete = kubectl(own.kubeconfig, "delete", "pod", "--wait=false", *before)
            assert delete.wait(60) == 0, delete.stdout.read()
            delete.stdout.close()
            wait_for(ours, before)
            with_kubectl.stop()
            ours.stop()
            rows = [each for each in fwd.connections() if each.failed or not each.bytes_in]
            assert ours.troubles == [], rows
            assert not before & set(ours.pods[-RATE // 2 :])
            assert fwd.totals.failed == 0
            assert not set(with_kubectl.pods) - before, "kubectl found no successor"
            assert with_kubectl.troubles
        said = theirs.stdout.read()
        assert theirs.wait(60) != 0
        assert "lost connection to pod" in said
    finally:
        theirs.kill()
        theirs.wait()
        theirs.stdout.close()
