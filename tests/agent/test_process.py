"""A node agent as a process of its own, with a relay that is only its two ends of the tunnels."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
import sys
import tempfile
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import msgspec
import psutil
import pytest
from agent.nodes import Client, echo_pod, make_pod, until
from peers.processes import runs

from kfwd_nb.cluster import userns
from kfwd_nb.cluster.pki import Authority, Credential
from kfwd_nb.errors import (
    ForbiddenError,
    LostError,
    NotFoundError,
    RefusedError,
    UnavailableError,
)
from kfwd_nb.kube.objects import ISOLATION_ANNOTATION, PID_ANNOTATION, Node, Pod
from kfwd_nb.transport.endpoint import Endpoint
from kfwd_nb.transport.http import Request, Response
from kfwd_nb.transport.http2.client import Tunnel
from kfwd_nb.transport.server import Server, serve
from kfwd_nb.transport.tls import client_context, server_context

pytestmark = pytest.mark.chain


@dataclass
class FakeRelay:
    """Takes registrations."""

    hop = "relay"
    registered: list[tuple[str, Node]] = field(default_factory=list)

    async def request(self, request: Request) -> Response:
        assert request.method == "PUT"
        assert request.identity is not None
        node = msgspec.json.decode(request.body, type=Node)
        self.registered.append((request.identity.name, node))
        return Response(200, request.body)

    async def connect(self, request, stream) -> None:
        raise AssertionError("nobody connects")


@dataclass
class Running:
    """The agent's process, and the relay's tunnel to it."""

    process: psutil.Process
    folder: Path
    relay: FakeRelay
    relay_server: Server
    port: int
    said: dict
    tunnel: Tunnel
    stdin: asyncio.StreamWriter

    async def put(self, pod: Pod) -> Pod:
        path = f"/pods/{pod.metadata.namespace}/{pod.metadata.name}"
        reply = await self.tunnel.request("PUT", path, body=msgspec.json.encode(pod))
        assert reply.status == 200, reply.body
        return await self.until_ready(pod.metadata.name)

    async def until_ready(self, name: str) -> Pod:
        async with asyncio.timeout(10), contextlib.aclosing(self.watch()) as changes:
            async for pod in changes:
                if pod.metadata.name == name and pod.ready:
                    return pod
        raise AssertionError("the watch ended")

    async def watch(self) -> AsyncIterator[Pod]:
        async with contextlib.aclosing(self.tunnel.lines("/pods?watch=1")) as lines:
            async for line in lines:
                yield msgspec.json.decode(line, type=Pod)


def write(folder: Path, name: str, credential: Credential) -> tuple[Path, Path]:
    cert, key = folder / f"{name}.crt", folder / f"{name}.key"
    cert.write_bytes(credential.certificate)
    key.write_bytes(credential.key)
    return cert, key


@pytest.fixture(params=["netns", "userns", "loopback"])
def isolation(request) -> str:
    return str(request.param)


@pytest.fixture
def folder() -> Iterator[Path]:
    """As the cluster makes it: closed, in a directory that everybody may pass."""
    with tempfile.TemporaryDirectory(prefix="kfwd-test-") as name:
        yield Path(name)


@pytest.fixture
async def agent(folder: Path, isolation: str) -> AsyncIterator[Running]:
    authority = Authority("test")
    ca = folder / "ca.crt"
    ca.write_bytes(authority.certificate)
    relay_cert, relay_key = write(folder, "relay", authority.relay())
    cert, key = write(folder, "node-1", authority.node("node-1"))
    write(folder, "node-2", authority.node("node-2"))
    (folder / "pods").mkdir(0o700)
    relay = FakeRelay()
    server = await serve(relay, server_context(relay_cert, relay_key, clients=ca))
    config = {
        "cluster": "test",
        "node": "node-1",
        "relay": {"host": "127.0.0.1", "port": server.port},
        "cert": str(cert),
        "key": str(key),
        "ca": str(ca),
        "scratch": str(folder / "pods"),
        "isolation": isolation,
        "connector": "netns",
        "nofile": 1000,
    }
    (folder / "node-1.json").write_text(json.dumps(config))
    command = [sys.executable, "-m", "kfwd_nb.agent", "--config", str(folder / "node-1.json")]
    if isolation == "userns":
        command = [sys.executable, "-I", "-S", userns.__file__, *command]
    pipe = asyncio.subprocess.PIPE
    process = await asyncio.create_subprocess_exec(*command, stdin=pipe, stdout=pipe)
    try:
        said = json.loads(await asyncio.wait_for(process.stdout.readline(), 20))
        context = client_context(ca, cert=relay_cert, key=relay_key)
        tunnel = await Tunnel.open(
            Endpoint("127.0.0.1", said["listening"], context, server_hostname="node-1")
        )
        yield Running(
            psutil.Process(process.pid),
            folder,
            relay,
            server,
            said["listening"],
            said,
            tunnel,
            process.stdin,
        )
        tunnel.close()
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()
        await server.close()


async def test_it_says_where_it_listens_and_registers(agent, isolation):
    assert agent.said == {"listening": agent.port, "isolation": isolation}
    await until(lambda: agent.relay.registered)
    ((name, node),) = agent.relay.registered
    assert name == "system:node:node-1"
    assert node.metadata.name == "node-1"
    assert node.metadata.annotations[ISOLATION_ANNOTATION] == isolation
    assert node.status.daemon_endpoints.kubelet_endpoint.port == agent.port


async def test_a_pod_runs_answers_and_ends(agent):
    pod = await agent.put(echo_pod("web", 80))
    assert psutil.pid_exists(int(pod.metadata.annotations[PID_ANNOTATION]))
    stream = await agent.tunnel.connect("web.default.pod:80")
    assert stream.headers["kfwd-pod"] == "default/web"
    assert stream.headers["kfwd-node"] == "node-1"
    client = Client(stream)
    await client.send(b"hello")
    client.stream.write_eof()
    assert await asyncio.wait_for(client.over, 10) is None
    assert client.data == b"hellobye"
    listed = await agent.tunnel.request("GET", "/pods")
    assert [each["metadata"]["name"] for each in json.loads(listed.body)["items"]] == ["web"]
    assert (await agent.tunnel.request("DELETE", "/pods/default/web")).status == 200
    assert not psutil.pid_exists(int(pod.metadata.annotations[PID_ANNOTATION]))
    assert (await agent.tunnel.request("DELETE", "/pods/default/web")).status == 404


async def test_run_as_user(agent, isolation):
    command = "id -u; touch $KFWD_SCRATCH/mine; exec sleep 1000"
    pod = make_pod("web", "sh", "-c", command, securityContext={"runAsUser": 4711})
    await agent.put(pod)
    (directory,) = (agent.folder / "pods").iterdir()
    await until((directory / "private" / "mine").exists)
    assert (directory / "web.log").read_text() == "4711\n"
    owner = (directory / "private" / "mine").stat().st_uid
    assert owner == (os.getuid() if isolation == "userns" else 4711)


async def test_refusals_name_what_and_where(agent, isolation):
    await agent.put(echo_pod("web", 80))
    for authority, error, words, where in (
        ("nope.default.pod:80", NotFoundError, 'pod "nope"', "node agent"),
        ("web.default.svc:80", NotFoundError, "pods only", "node agent"),
        (
            "web.default.pod:81",
            RefusedError,
            "declares no port 81" if isolation == "loopback" else "nobody listens on port 81",
            "pod",
        ),
    ):
        with pytest.raises(error) as caught:
            await agent.tunnel.connect(authority)
        assert words in caught.value.what
        assert caught.value.where == where
    crashing = msgspec.json.encode(make_pod("once", "true", restartPolicy="Never"))
    await agent.tunnel.request("PUT", "/pods/default/once", body=crashing)

    async with asyncio.timeout(10), contextlib.aclosing(agent.watch()) as changes:
        async for pod in changes:
            if pod.metadata.name == "once" and pod.status.phase == "Succeeded":
                break
    with pytest.raises(UnavailableError, match=r"not running. Current status=Succeeded"):
        await agent.tunnel.connect("once.default.pod:80")


@pytest.mark.parametrize(
    ("path", "body", "words"),
    [
        ("/pods/default/web", b"{", "no Pod"),
        ("/pods/default/web", b'{"metadata": {"name": "other", "uid": "1"}}', "default/web"),
    ],
)
async def test_a_body_that_is_not_the_pod_is_refused(agent, path, body, words):
    reply = await agent.tunnel.request("PUT", path, body=body)
    assert reply.status == 400
    assert words in json.loads(reply.body)["message"]


async def test_only_the_relay_is_obeyed(agent):
    folder = agent.folder
    context = client_context(
        folder / "ca.crt", cert=folder / "node-2.crt", key=folder / "node-2.key"
    )
    tunnel = await Tunnel.open(Endpoint("127.0.0.1", agent.port, context, server_hostname="node-1"))
    try:
        reply = await tunnel.request("GET", "/pods")
        assert reply.status == 403
        assert "system:node:node-2" in json.loads(reply.body)["message"]
        with pytest.raises(ForbiddenError):
            await tunnel.connect("web.default.pod:80")
    finally:
        tunnel.close()
    with pytest.raises(LostError):
        stranger = await Tunnel.open(
            Endpoint(
                "127.0.0.1", agent.port, client_context(folder / "ca.crt"), server_hostname="node-1"
            )
        )
        await stranger.request("GET", "/pods")


def both_sleepers(agent: psutil.Process) -> list[psutil.Process]:
    """All processes below the agent, once the stubborn pod's two are among them."""
    processes = agent.children(recursive=True)
    return processes if [p.name() for p in processes].count("sleep") == 2 else []


def gone(processes: list[psutil.Process]) -> bool:
    return not any(map(runs, processes))


@pytest.mark.parametrize("how", ["stdin", "sigterm", "sigkill"])
async def test_nothing_outlives_the_agent(agent, how):
    program = "trap '' TERM; setsid sleep 1000 & sleep 1000 & wait; wait"
    await agent.put(make_pod("stubborn", "sh", "-c", program))
    await agent.put(echo_pod("web", 80))
    processes = await until(lambda: both_sleepers(agent.process))
    if how == "stdin":
        agent.stdin.close()
    else:
        agent.process.send_signal(signal.SIGTERM if how == "sigterm" else signal.SIGKILL)
    began = asyncio.get_running_loop().time()
    await until(lambda: gone([*processes, agent.process]), "the end of all processes")
    assert asyncio.get_running_loop().time() - began < 3
    if how != "sigkill":  # else the folder is the supervisor's to remove
        assert not list((agent.folder / "pods").iterdir())


async def test_it_registers_again_when_the_relay_was_away(agent):
    await until(lambda: agent.relay.registered)
    for connection in list(agent.relay_server.connections):
        connection.close()
    await until(lambda: len(agent.relay.registered) >= 2, "the second registration")
