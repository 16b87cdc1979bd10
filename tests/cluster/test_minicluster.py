"""`MiniCluster`: what it starts, in each isolation, and what it says when it cannot."""

from __future__ import annotations

import asyncio
import os
import stat
import time
import urllib.request
from pathlib import Path
from typing import Any

import pytest

from kfwd_nb.client import forward
from kfwd_nb.cluster import MiniCluster
from kfwd_nb.cluster import supervisor as module
from kfwd_nb.cluster.folder import ProcessId
from kfwd_nb.cluster.options import Options
from kfwd_nb.cluster.supervisor import Supervisor
from kfwd_nb.errors import ClusterError, ConfigError
from kfwd_nb.kube.kubeconfig import announced, load

pytestmark = pytest.mark.chain


def page(kubeconfig: Path, target: str = "web", path: str = "/") -> bytes:
    with (
        forward(target, ":80", kubeconfig=str(kubeconfig)) as fwd,
        urllib.request.urlopen(fwd.url("http", path), timeout=20) as answer,
    ):
        body: bytes = answer.read()
    return body


def test_the_default_cluster(cluster: MiniCluster) -> None:
    names = sorted(name if "api-" not in name else "default/api" for name in cluster.pods)
    assert names == ["default/api"] * 3 + ["default/db", "default/web", "staging/web"]
    access = load(str(cluster.kubeconfig))
    assert access.context == f"kfwd-{cluster.name}"
    assert access.server == cluster.relay
    assert cluster.phases.keys() >= {"relay", "agents", "manifests", "pods"}
    assert set(cluster.pod_seconds) == set(cluster.pods)


def test_its_folder_is_closed_to_others(cluster: MiniCluster) -> None:
    folder = cluster.kubeconfig.parent
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    files = [path for path in folder.iterdir() if path.is_file()]
    assert {stat.S_IMODE(path.stat().st_mode) for path in files} == {0o600}


def test_every_replica_answers_with_its_name(cluster: MiniCluster) -> None:
    answer = page(cluster.kubeconfig, "svc/api").decode().strip()
    assert f"default/{answer}" in cluster.pods


def test_the_database_is_postgresql(cluster: MiniCluster) -> None:
    import psycopg

    with forward("db", ":5432", kubeconfig=str(cluster.kubeconfig)) as fwd:
        dsn = f"host=127.0.0.1 port={fwd.local_port} user=postgres dbname=postgres"
        with psycopg.connect(dsn, connect_timeout=20) as connection:
            row = connection.execute("select current_user, 6 * 7").fetchone()
    assert row == ("postgres", 42)


def test_two_side_by_side(one_pod: Path, runtime: Path) -> None:
    with MiniCluster(one_pod) as first, MiniCluster(one_pod) as second:
        assert announced() == second.kubeconfig
        assert first.name != second.name
        assert b"pod web" in page(first.kubeconfig)
        assert b"pod web" in page(second.kubeconfig)
        first.stop()
        assert announced() == second.kubeconfig
        assert b"pod web" in page(second.kubeconfig)
    assert announced() is None
    assert list(runtime.iterdir()) == []


@pytest.mark.parametrize(
    ("isolation", "connector"), [("netns", "socat"), ("userns", "netns"), ("userns", "socat")]
)
def test_other_ways_into_a_pod(
    one_pod: Path, runtime: Path, isolation: str, connector: str
) -> None:
    with MiniCluster(one_pod, isolation=isolation, connector=connector) as cluster:
        assert cluster.isolation == isolation
        assert b"pod web" in page(cluster.kubeconfig)
    assert list(runtime.iterdir()) == []


@pytest.mark.parametrize("isolation", ["userns", "loopback"])
def test_the_default_cluster_in_another_isolation(runtime: Path, isolation: str) -> None:
    said: list[str] = []
    with MiniCluster(isolation=isolation, progress=said.append) as cluster:
        assert cluster.isolation == isolation
        assert len(cluster.pods) == 6
        assert b"pod web" in page(cluster.kubeconfig)
    assert any("simulated isolation" in line for line in said) == (isolation == "loopback")
    assert list(runtime.iterdir()) == []


async def test_without_blocking_the_event_loop(one_pod: Path, runtime: Path) -> None:
    ticks = 0

    async def tick() -> None:
        nonlocal ticks
        while True:
            ticks += 1
            await asyncio.sleep(0.01)

    ticking = asyncio.create_task(tick())
    async with MiniCluster(one_pod) as cluster:
        assert cluster.running
    assert not cluster.running
    assert ticks > 20
    ticking.cancel()


def test_a_kubeconfig_where_the_user_wants_it(one_pod: Path, tmp_path: Path, runtime: Path) -> None:
    path = tmp_path / "my kubeconfig"
    with MiniCluster(one_pod, kubeconfig=path) as cluster:
        assert cluster.kubeconfig == path
        assert b"pod web" in page(path)
    assert not path.exists()


def test_progress_comes_while_it_starts(one_pod: Path, runtime: Path) -> None:
    said: list[str] = []
    with MiniCluster(one_pod, progress=said.append):
        pass
    assert said[0] == "starting the embedded cluster"
    assert any(line.startswith("isolation ") for line in said)
    assert "pod default/web is ready" in said


def test_an_interrupt_during_the_start_leaves_nothing(family, one_pod: Path, runtime: Path) -> None:
    def interrupt(line: str) -> None:
        if line.startswith("relay listens"):
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        MiniCluster(one_pod, progress=interrupt).start()
    assert list(runtime.iterdir()) == []
    assert [line for line in family(os.getpid()).alive() if str(runtime) in line] == []


def test_a_bad_manifest_is_refused_before_anything_runs(tmp_path: Path, runtime: Path) -> None:
    file = tmp_path / "bad.yaml"
    file.write_text("{apiVersion: v1, kind: Pod, metadata: {name: web}, spec: {contaners: []}}")
    said: list[str] = []
    cluster = MiniCluster(file, progress=said.append)
    with pytest.raises(ConfigError, match=r"bad\.yaml: Pod/web .*contaners"):
        cluster.start()
    assert repr(cluster) == "<MiniCluster, failed>"
    assert not any(line.startswith("relay") for line in said)
    assert list(runtime.iterdir()) == []


def test_a_kubeconfig_of_the_user_is_not_overwritten(
    one_pod: Path, tmp_path: Path, runtime: Path
) -> None:
    path = tmp_path / "config"
    path.write_text("contexts: [{name: production}]")
    with pytest.raises(ConfigError, match="not an embedded cluster's"):
        MiniCluster(one_pod, kubeconfig=path).start()
    assert path.read_text() == "contexts: [{name: production}]"


async def test_a_pod_that_does_not_get_ready_is_named_with_its_last_words(
    tmp_path: Path, runtime: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "broken.yaml"
    file.write_text(
        """
        {apiVersion: v1, kind: Pod, metadata: {name: broken}, spec: {containers: [
          {name: main, command: [sh, -c, "echo the disk is full >&2; exit 3"],
           ports: [{containerPort: 1234}]}]}}
        """  # without a port it would be ready for the moment that it runs
    )
    began = time.monotonic()
    me = ProcessId.of(os.getpid())
    supervisor = Supervisor(Options(file), me, me, lambda event: None)
    try:
        with pytest.raises(ClusterError, match="not all pods can start") as caught:
            await supervisor.run()
    finally:
        await supervisor.close()
    assert 'pod "broken"' in caught.value.what
    assert "the disk is full" in caught.value.what
    assert time.monotonic() - began < 10
    assert os.listdir(runtime) == []


async def test_a_pod_that_is_slow_to_be_ready_has_its_time(
    tmp_path: Path, runtime: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "slow.yaml"
    file.write_text(
        """
        {apiVersion: v1, kind: Pod, metadata: {name: slow}, spec: {containers: [
          {name: main, command: [sleep, "1000"], ports: [{containerPort: 80}]}]}}
        """
    )
    monkeypatch.setattr(module, "READY_LIMIT", 1.0)
    me = ProcessId.of(os.getpid())
    supervisor = Supervisor(Options(file), me, me, lambda event: None)
    try:
        with pytest.raises(ClusterError, match=r"not all pods were ready within 1 s.*port 80 yet"):
            await supervisor.run()
    finally:
        await supervisor.close()


@pytest.mark.parametrize("moment", ["at once", "starting", "relay", "ready"])
async def test_a_cancelled_start_leaves_nothing(
    family: Any, one_pod: Path, runtime: Path, moment: str
) -> None:
    loop, reached = asyncio.get_running_loop(), asyncio.Event()
    cluster = MiniCluster(
        one_pod,
        progress=lambda line: loop.call_soon_threadsafe(reached.set) if moment in line else None,
    )

    async def use() -> None:
        async with cluster:
            raise AssertionError("it should not get here")

    using = asyncio.create_task(use())
    if moment != "at once":
        await reached.wait()
    else:
        await asyncio.sleep(0)
    using.cancel()
    with pytest.raises(asyncio.CancelledError):
        await using
    assert not cluster.running
    assert announced() is None
    assert os.listdir(runtime) == []
    assert [line for line in family(os.getpid()).alive() if str(runtime) in line] == []


def test_it_shows_what_it_is(one_pod: Path, runtime: Path) -> None:
    cluster = MiniCluster(one_pod)
    assert repr(cluster) == "<MiniCluster, not started>"
    with cluster:
        about = f"running: 1 pod, {cluster.isolation}, {cluster.relay}"
        assert repr(cluster) == f"<MiniCluster {cluster.name}, {about}>"
    assert repr(cluster) == f"<MiniCluster {cluster.name}, stopped>"
