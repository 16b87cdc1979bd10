"""Whatever dies, nothing of a cluster is left."""

from __future__ import annotations

import contextlib
import os
import signal
import time
from collections.abc import Iterable
from pathlib import Path

import psutil
import pytest

from kfwd_nb.cluster import MiniCluster
from kfwd_nb.errors import ClusterError

pytestmark = pytest.mark.chain

END_LIMIT = 3.0
"""Seconds after which nothing may be left."""


def supervisor_of(cluster: MiniCluster) -> int:
    assert cluster._process is not None
    return cluster._process.pid


def network_namespaces(pids: Iterable[int]) -> set[str]:
    """The network namespaces, other than ours, that these processes are in."""
    found = set()
    for pid in pids:
        with contextlib.suppress(OSError):
            found.add(os.readlink(f"/proc/{pid}/ns/net"))
    return found - {os.readlink("/proc/self/ns/net")}


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM, signal.SIGABRT])
def test_the_owner_is_killed(family, start_owner, runtime: Path, number: int) -> None:
    owner, folder = start_owner()
    members = family(owner.pid)
    pods = network_namespaces(each.pid for each in members.members)
    assert pods
    assert folder.is_dir()
    assert len(members.members) >= 6  # owner, supervisor, relay, two agents, a pod
    began = time.monotonic()
    owner.send_signal(number)
    owner.wait()
    members.wait_for_end()
    while list(runtime.iterdir()):
        assert time.monotonic() - began < END_LIMIT
        time.sleep(0.02)
    assert not pods & network_namespaces(psutil.pids())


def test_a_forked_child_of_a_cell_does_not_keep_it(family, start_owner, runtime: Path) -> None:
    owner, _ = start_owner("if os.fork() == 0: time.sleep(20); os._exit(0)")
    members = family(owner.pid)
    forked = psutil.Process(owner.pid).children()
    (forked,) = [
        each.pid for each in forked if "kfwd_nb.cluster --owner" not in " ".join(each.cmdline())
    ]
    members.without(forked)
    owner.kill()
    owner.wait()
    try:
        members.wait_for_end()
        assert psutil.pid_exists(forked)
    finally:
        os.kill(forked, signal.SIGKILL)


def test_a_forked_child_that_exits_does_not_end_it(family, start_owner) -> None:
    owner, folder = start_owner(
        "pid = os.fork()\nif pid == 0: sys.exit(0)\nassert os.waitpid(pid, 0)[1] == 0"
    )
    members = family(owner.pid)
    assert Path(folder, "kubeconfig").is_file()
    assert len(members.alive()) == len(members.members) >= 6


def test_an_interrupt_of_the_owners_process_group_harms_nothing(family, start_owner) -> None:
    owner, _ = start_owner("import signal; signal.signal(signal.SIGINT, signal.SIG_IGN)")
    members = family(owner.pid)
    os.killpg(owner.pid, signal.SIGINT)
    with pytest.raises(psutil.TimeoutExpired):
        psutil.Process(members.pid("kfwd_nb.cluster --owner")).wait(0.5)
    assert len(members.alive()) == len(members.members)


def test_the_supervisor_is_killed_and_the_next_start_sweeps(
    family, start_owner, runtime: Path, one_pod: Path
) -> None:
    owner, folder = start_owner()
    members = family(owner.pid).without(owner.pid)
    os.kill(members.pid("kfwd_nb.cluster --owner"), signal.SIGKILL)
    members.wait_for_end()
    assert folder.is_dir()
    said: list[str] = []
    with MiniCluster(one_pod, progress=said.append):
        assert folder.is_dir(), "its owner lives and may look at it"
    owner.kill()
    owner.wait()
    with MiniCluster(one_pod, progress=said.append):
        assert not folder.exists()
    assert any(str(folder) in line for line in said)
    assert list(runtime.iterdir()) == []


def test_the_relay_is_killed(family, one_pod: Path, runtime: Path) -> None:
    with MiniCluster(one_pod) as cluster:
        members = family(supervisor_of(cluster))
        os.kill(members.pid("kfwd_nb.relay"), signal.SIGKILL)
        with pytest.raises(ClusterError, match="relay ended"):
            cluster.wait(END_LIMIT)
        members.wait_for_end()
        assert not cluster.running
    assert list(runtime.iterdir()) == []


def test_an_agent_is_killed_and_starts_again(family, one_pod: Path, runtime: Path) -> None:
    with MiniCluster(one_pod, nodes=1) as cluster:
        before = family(supervisor_of(cluster))
        agent = before.pid("kfwd_nb.agent")
        pods = [member for member, line in before.members.items() if "web.py" in line]
        assert pods
        os.kill(agent, signal.SIGKILL)
        deadline = time.monotonic() + 20
        while any(pod.alive() for pod in pods):
            assert time.monotonic() < deadline
            time.sleep(0.05)
        while not any("web.py" in line for line in family(supervisor_of(cluster)).members.values()):
            assert time.monotonic() < deadline, list(cluster.notes)
            time.sleep(0.05)
        assert any("agent of node-1 ended (signal 9)" in note for note in cluster.notes)
        assert cluster.running
    assert list(runtime.iterdir()) == []
