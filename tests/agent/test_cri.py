"""Pods that a container runtime shows: how they look, and what is said when it shows none."""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import json
import os
import socket
import subprocess
import sys
import tempfile
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from agent.nodes import until

from kfwd_nb.agent.cri import CriClient, CriError, process_and_netns, socket_path
from kfwd_nb.agent.cri_pods import FoundContainer, FoundPod, newest, pod_of
from kfwd_nb.agent.found import FoundPods
from kfwd_nb.errors import (
    ConfigError,
    ForbiddenError,
    KfwdError,
    NotFoundError,
    UnavailableError,
)

MAIN = FoundContainer(id="c1", name="main", running=True, created=5)
WEB = FoundPod(
    id="s1", namespace="default", name="web", uid="u1", created=1, ready=True, pid=7,
    labels={"app": "web"}, ip="10.1.2.3", containers=(MAIN,),
)  # fmt: skip


def ended(container: FoundContainer, code: int, **fields: object) -> FoundContainer:
    return dataclasses.replace(container, running=False, exit_code=code, **fields)


@pytest.mark.pure
@pytest.mark.parametrize(
    ("change", "phase", "ready"),
    [
        ({}, "Running", "True"),
        ({"containers": ()}, "Running", "True"),
        ({"containers": (ended(MAIN, 1),)}, "Running", "False"),
        ({"containers": (ended(MAIN, 0, name="init"), MAIN)}, "Running", "True"),
        ({"containers": (dataclasses.replace(MAIN, running=False),)}, "Running", "False"),
        ({"containers": (ended(MAIN, 1), dataclasses.replace(MAIN, created=9))}, "Running", "True"),
        ({"ready": False}, "Failed", "False"),
        ({"ready": False, "containers": (ended(MAIN, 0),)}, "Succeeded", "False"),
    ],
)
def test_phase_and_readiness(change, phase, ready):
    pod = pod_of(dataclasses.replace(WEB, **change), "node-1")
    assert pod.status.phase == phase
    assert {c.type: c.status for c in pod.status.conditions}["Ready"] == ready
    assert ("kfwd/pid" in pod.metadata.annotations) == (phase == "Running")


@pytest.mark.pure
def test_of_several_sandboxes_the_one_that_runs_is_the_pod():
    older = dataclasses.replace(WEB, id="s0", created=0)
    dead = dataclasses.replace(WEB, id="s2", created=2, ready=False)
    assert newest([dead, WEB, older]) == {("default", "web"): WEB}
    assert newest([dead, dataclasses.replace(older, ready=False)]) == {("default", "web"): dead}


@pytest.mark.pure
@pytest.mark.parametrize(
    ("text", "ports"),
    [
        ('[{"name":"http","containerPort":80,"protocol":"TCP"}]', [("http", 80)]),
        ("[]", []),
        ("rubbish", []),
        ('[{"containerPort":"x"}]', []),
    ],
)
def test_ports_are_those_that_a_kubelet_has_noted(text, ports):
    noted = dataclasses.replace(MAIN, annotations={"io.kubernetes.container.ports": text})
    (container,) = pod_of(dataclasses.replace(WEB, containers=(noted,)), "n").spec.containers
    assert [(port.name, port.container_port) for port in container.ports] == ports


@pytest.mark.pure
@pytest.mark.parametrize(
    ("info", "found"),
    [
        (
            json.dumps(
                {
                    "pid": 7,
                    "runtimeSpec": {"linux": {"namespaces": [{"type": "network", "path": "/n"}]}},
                }
            ),
            (7, "/n"),
        ),
        ('{"pid": 7}', (7, "")),
        ('{"pid": null, "runtimeSpec": null}', (0, "")),
        ("", (0, "")),
        ("[]", (0, "")),
        ('{"pid": "x"}', (0, "")),
        ('{"runtimeSpec": {"linux": {"namespaces": 3}}}', (0, "")),
    ],
)
def test_what_the_runtime_says_verbosely(info, found):
    assert process_and_netns(info) == found


@pytest.mark.pure
@pytest.mark.parametrize("url", ["tcp://1.2.3.4:5", "containerd.sock", ""])
def test_a_url_that_is_no_sockets(url):
    with pytest.raises(ConfigError, match="names no Unix socket"):
        socket_path(url)


# -- sockets that are no CRI's ---------------------------------------------------------------------


@pytest.mark.chain
async def test_no_socket(tmp_path):
    with pytest.raises(ConfigError, match="there is no CRI socket") as caught:
        await CriClient.open(f"unix://{tmp_path}/none")
    assert "is the container runtime running" in str(caught.value.hint)


@pytest.mark.chain
async def test_nobody_listens(tmp_path):
    with socket.socket(socket.AF_UNIX) as bound:
        bound.bind(str(tmp_path / "s"))
    with pytest.raises(UnavailableError, match="nobody listens on the CRI socket"):
        await CriClient.open(str(tmp_path / "s"))


@pytest.mark.users
@pytest.mark.skipif(os.geteuid() != 0, reason="becoming another user needs root")
def test_no_permission():
    program = "import sys; from kfwd_nb.agent.cri import check_socket; from pathlib import Path\n"
    program += "import os; os.setuid(65534)\n"
    program += "try: check_socket(Path(sys.argv[1]))\n"
    program += "except Exception as error: print(type(error).__name__, error)"
    with tempfile.TemporaryDirectory() as folder, socket.socket(socket.AF_UNIX) as bound:
        Path(folder).chmod(0o755)
        bound.bind(f"{folder}/s")
        bound.listen()
        Path(f"{folder}/s").chmod(0o600)
        words = [sys.executable, "-c", program, f"{folder}/s"]
        said = subprocess.run(words, capture_output=True, text=True, check=True).stdout
    assert said.startswith("ForbiddenError")
    assert "may not be used by this user" in said
    assert "as root" in said


@pytest.mark.chain
async def test_a_socket_that_speaks_something_else(tmp_path):
    server = await asyncio.start_unix_server(lambda _, w: w.close(), tmp_path / "s")
    async with server:
        with pytest.raises(ConfigError, match="nobody there speaks the CRI"):
            await CriClient.open(f"unix://{tmp_path}/s")


# -- a runtime of our own --------------------------------------------------------------------------


@contextlib.asynccontextmanager
async def runtime(path, service) -> AsyncIterator[str]:
    """A gRPC server with a CRI service; its URL."""
    from cri_api.v1 import api_pb2_grpc
    from grpc import aio

    server = aio.server()
    api_pb2_grpc.add_RuntimeServiceServicer_to_server(service, server)
    server.add_insecure_port(f"unix://{path}")
    await server.start()
    try:
        yield f"unix://{path}"
    finally:
        await server.stop(0)


def a_service(**calls):
    from cri_api.v1 import api_pb2 as api
    from cri_api.v1 import api_pb2_grpc

    class Service(api_pb2_grpc.RuntimeServiceServicer):
        def __init__(self):
            self.pods = []
            self.happened = asyncio.Event()

        async def Version(self, request, context):  # noqa: N802
            return api.VersionResponse(runtime_name="tests", runtime_version="1")

        async def ListPodSandbox(self, request, context):  # noqa: N802
            return api.ListPodSandboxResponse(items=self.pods)

        async def ListContainers(self, request, context):  # noqa: N802
            return api.ListContainersResponse()

        async def PodSandboxStatus(self, request, context):  # noqa: N802
            info = {"info": json.dumps({"pid": os.getpid()})}
            return api.PodSandboxStatusResponse(info=info)

        async def GetContainerEvents(self, request, context):  # noqa: N802
            while True:
                await self.happened.wait()
                self.happened.clear()
                yield api.ContainerEventResponse()

    service = Service()
    for name, call in calls.items():
        setattr(service, name, call)
    return service


def a_sandbox(name: str):
    from cri_api.v1 import api_pb2 as api

    metadata = api.PodSandboxMetadata(name=name, namespace="default", uid=f"u-{name}")
    return api.PodSandbox(id=f"s-{name}", metadata=metadata)


@pytest.mark.chain
async def test_a_runtime_of_another_version(tmp_path):
    from cri_api.v1 import api_pb2_grpc

    async with runtime(tmp_path / "s", api_pb2_grpc.RuntimeServiceServicer()) as url:
        with pytest.raises(ConfigError, match="does not speak the CRI of version v1") as caught:
            await CriClient.open(url)
        assert "disabled_plugins" in str(caught.value.hint)


@pytest.mark.chain
async def test_events_wake_it_where_there_are_any(tmp_path, monkeypatch):
    monkeypatch.setattr("kfwd_nb.agent.found.LOOK", 1000.0)
    monkeypatch.setattr("kfwd_nb.agent.found.LOOK_WITH_EVENTS", 1000.0)
    service = a_service()
    async with runtime(tmp_path / "s", service) as url:
        client = await CriClient.open(url)
        assert client.runtime == "tests 1"
        pods = FoundPods(client, "node-1")
        await pods.start()
        assert pods.list() == []
        service.pods = [a_sandbox("web")]
        service.happened.set()
        await until(pods.list)
        assert pods.find("default", "web").place.sandbox.netns is not None
        service.pods = []
        service.happened.set()
        await until(lambda: not pods.list())
        await pods.close()
        await client.close()


@pytest.mark.chain
async def test_without_events_it_asks_again_and_outlives_the_runtime(tmp_path, monkeypatch, caplog):
    from cri_api.v1 import api_pb2_grpc

    monkeypatch.setattr("kfwd_nb.agent.found.LOOK", 0.02)
    service = a_service()
    service.GetContainerEvents = api_pb2_grpc.RuntimeServiceServicer().GetContainerEvents
    service.pods = [a_sandbox("web")]
    async with runtime(tmp_path / "s", service) as url:
        client = await CriClient.open(url)
        pods = FoundPods(client, "node-1")
        await pods.start()
        watch = pods.watch()
        assert (await anext(watch)).metadata.name == "web"
    await until(lambda: "does not answer" in caplog.text)
    assert [pod.metadata.name for pod in pods.list()] == ["web"], "its containers live on"
    service.pods = [a_sandbox("api")]
    async with runtime(tmp_path / "s", service):
        seen = [await asyncio.wait_for(anext(watch), 20) for _ in range(2)]
        news = {pod.metadata.name: pod.metadata.deletion_timestamp for pod in seen}
        assert news["web"] is not None
        assert news["api"] is None
        await watch.aclose()
        await pods.close()
        await client.close()


@pytest.mark.chain
async def test_it_starts_and_ends_nothing(tmp_path):
    service = a_service()
    service.pods = [a_sandbox("web")]
    async with runtime(tmp_path / "s", service) as url:
        client = await CriClient.open(url)
        pods = FoundPods(client, "node-1")
        await pods.start()
        (pod,) = pods.list()
        with pytest.raises(ForbiddenError, match="neither starts nor ends any"):
            await pods.put(pod)
        with pytest.raises(ForbiddenError, match="neither starts nor ends any"):
            await pods.delete("default", "web")
        with pytest.raises(NotFoundError):
            await pods.delete("default", "other")
        await pods.close()
        await client.close()


@pytest.mark.chain
async def test_a_runtime_that_fails_at_the_start(tmp_path):
    service = a_service()

    async def fail(request, context):
        import grpc

        await context.abort(grpc.StatusCode.INTERNAL, "disk full\nand more")

    service.ListPodSandbox = fail
    async with runtime(tmp_path / "s", service) as url:
        client = await CriClient.open(url)
        with pytest.raises(CriError, match="disk full and more") as caught:
            await FoundPods(client, "node-1").start()
        assert isinstance(caught.value, KfwdError)
        await client.close()
