"""A relay with fake node agents: real TLS, real HTTP/2, pods that are only Python."""

from __future__ import annotations

import asyncio
import contextlib
import datetime as dt
import socket
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from ipaddress import ip_address
from pathlib import Path
from typing import Any

import msgspec
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from kfwd_nb.errors import RefusedError
from kfwd_nb.kube.objects import (
    Condition,
    Container,
    DaemonEndpoint,
    DaemonEndpoints,
    Node,
    NodeAddress,
    NodeStatus,
    ObjectMeta,
    Pod,
    PodSpec,
    PodStatus,
)
from kfwd_nb.protocol.connect import parse_authority
from kfwd_nb.relay.config import RelayConfig, Rule, Token
from kfwd_nb.relay.relay import Relay
from kfwd_nb.transport.endpoint import Endpoint
from kfwd_nb.transport.http import Request, Response
from kfwd_nb.transport.http2.client import Tunnel
from kfwd_nb.transport.pump import Pump
from kfwd_nb.transport.server import Server, serve
from kfwd_nb.transport.sockets import open_socket
from kfwd_nb.transport.tls import client_context, server_context

ADMIN = "the-admin-token"
VISITOR = "the-visitor-token"
EXPIRED = "the-expired-token"


async def wait_until(condition: Callable[[], Any]) -> Any:
    """Wait for a condition, never for a time; returns what made it true."""
    async with asyncio.timeout(10):
        while True:
            if found := condition():
                return found
            await asyncio.sleep(0.005)


@pytest.fixture
def until() -> Callable[..., Any]:
    return wait_until


class Authority:
    """A CA that signs what a test needs."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._key = ec.generate_private_key(ec.SECP256R1())
        self._name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "test-ca")])
        builder = self._builder(self._name, self._key.public_key())
        builder = builder.add_extension(x509.BasicConstraints(True, None), critical=True)
        self.ca = folder / "ca.crt"
        self.ca.write_bytes(_pem(builder.sign(self._key, hashes.SHA256())))

    def issue(self, file: str, name: str, group: str, *hosts: str) -> tuple[Path, Path]:
        key = ec.generate_private_key(ec.SECP256R1())
        subject = x509.Name(
            [
                x509.NameAttribute(NameOID.COMMON_NAME, name),
                x509.NameAttribute(NameOID.ORGANIZATION_NAME, group),
            ]
        )
        names: list[x509.GeneralName] = [
            x509.IPAddress(ip_address(h)) if h[0].isdigit() else x509.DNSName(h) for h in hosts
        ]
        builder = self._builder(subject, key.public_key())
        if names:
            builder = builder.add_extension(x509.SubjectAlternativeName(names), critical=False)
        cert, private = self.folder / f"{file}.crt", self.folder / f"{file}.key"
        cert.write_bytes(_pem(builder.sign(self._key, hashes.SHA256())))
        private.write_bytes(
            key.private_bytes(
                serialization.Encoding.PEM,
                serialization.PrivateFormat.PKCS8,
                serialization.NoEncryption(),
            )
        )
        return cert, private

    def _builder(self, subject: x509.Name, key: Any) -> x509.CertificateBuilder:
        now = dt.datetime.now(dt.UTC)
        return (
            x509.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(self._name)
            .public_key(key)
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - dt.timedelta(hours=1))
            .not_valid_after(now + dt.timedelta(days=1))
        )


def _pem(cert: x509.Certificate) -> bytes:
    return cert.public_bytes(serialization.Encoding.PEM)


@pytest.fixture(scope="session")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    made = Authority(tmp_path_factory.mktemp("pki"))
    made.issue("relay", "kfwd-relay", "kfwd:relay", "localhost", "127.0.0.1")
    for number in (1, 2):
        made.issue(f"node-{number}", f"system:node:node-{number}", "system:nodes", f"node-{number}")
    return made


@pytest.fixture
def config(authority: Authority) -> RelayConfig:
    folder = authority.folder
    return RelayConfig(
        cluster="test",
        cert=str(folder / "relay.crt"),
        key=str(folder / "relay.key"),
        ca=str(authority.ca),
        tokens=(
            Token(ADMIN, "kfwd-admin", ("system:masters",)),
            Token(VISITOR, "visitor"),
            Token(EXPIRED, "late", expires=1.0),
        ),
        rules=(
            Rule(
                verbs=("create",),
                resources=("pods/portforward",),
                users=("visitor",),
                namespaces=("shared",),
            ),
        ),
    )


@dataclass
class FakeAgent:
    """A node agent whose pods are ready at once; a pod's port is a port of this machine.

    `ports` maps a port of any pod to the machine's own port that stands for it.
    """

    node: str
    authority: Authority
    ports: dict[int, int] = field(default_factory=dict)
    hop: Any = "node agent"

    def __post_init__(self) -> None:
        self.pods: dict[tuple[str, str], Pod] = {}
        self.started: list[str] = []
        self.stopped: list[str] = []
        self.refuse: Response | None = None
        self.failures: list[Response] = []
        self.make_ready = True
        self.server: Server | None = None
        self._lines: list[asyncio.Queue[bytes]] = []

    async def listen(self, port: int = 0) -> None:
        context = server_context(*self._pair(), clients=self.authority.ca, require=True)
        self.server = await serve(self, context, port=port)

    def _pair(self) -> tuple[Path, Path]:
        folder = self.authority.folder
        return folder / f"{self.node}.crt", folder / f"{self.node}.key"

    async def register(self, relay_port: int) -> None:
        assert self.server is not None
        cert, key = self._pair()
        tunnel = await Tunnel.open(
            Endpoint("127.0.0.1", relay_port, client_context(self.authority.ca, cert=cert, key=key))
        )
        node = Node(
            metadata=ObjectMeta(name=self.node, annotations={"kfwd/isolation": "none"}),
            status=NodeStatus(
                addresses=[NodeAddress(type="InternalIP", address="127.0.0.1")],
                daemon_endpoints=DaemonEndpoints(
                    kubelet_endpoint=DaemonEndpoint(port=self.server.port)
                ),
            ),
        )
        reply = await tunnel.request(
            "PUT", f"/api/v1/nodes/{self.node}", body=msgspec.json.encode(node)
        )
        assert reply.status == 200, reply.body
        tunnel.close()

    async def close(self) -> None:
        if self.server is not None:
            await self.server.close()

    def report(self, pod: Pod) -> None:
        self.pods[pod.metadata.namespace, pod.metadata.name] = pod
        self.say(msgspec.json.encode(pod) + b"\n")

    def say(self, line: bytes) -> None:
        for queue in self._lines:
            queue.put_nowait(line)

    async def request(self, request: Request) -> Response:
        assert request.identity is not None
        assert request.identity.name == "kfwd-relay"
        if request.path == "/pods?watch=1":
            return Response(200, self._watch())
        if self.refuse is not None and request.method == "PUT":
            return self.refuse
        _, _, namespace, name = request.path.split("/")
        if request.method == "PUT":
            pod = msgspec.json.decode(request.body, type=Pod)
            assert (pod.metadata.namespace, pod.metadata.name) == (namespace, name)
            self.started.append(f"{namespace}/{name}")
            self.report(running(pod, ready=self.make_ready))
        elif self.failures:
            return self.failures.pop()
        else:
            self.stopped.append(f"{namespace}/{name}")
            self.pods.pop((namespace, name), None)
        return Response(200, b"{}")

    async def _watch(self) -> AsyncIterator[bytes]:
        queue: asyncio.Queue[bytes] = asyncio.Queue()
        self._lines.append(queue)
        for pod in list(self.pods.values()):
            yield msgspec.json.encode(pod) + b"\n"
        while True:
            yield await queue.get()

    async def connect(self, request: Request, stream: Any) -> None:
        wanted = parse_authority(request.authority)
        sock = socket.socket()
        sock.setblocking(False)
        try:
            inner = await open_socket(sock, ("127.0.0.1", self.ports.get(wanted.port, 1)))
        except OSError as error:
            raise RefusedError(f"nobody listens on port {wanted.port}: {error}.") from None
        stream.accept()
        Pump(stream, inner)


def running(pod: Pod, *, ready: bool = True) -> Pod:
    """The pod as its agent would report it."""
    condition = Condition(
        type="Ready",
        status="True" if ready else "False",
        last_transition_time="2026-01-01T00:00:00Z",
    )
    return msgspec.structs.replace(pod, status=PodStatus(phase="Running", conditions=[condition]))


@dataclass
class Bench:
    """A running relay and all that tests do with it."""

    relay: Relay
    port: int
    authority: Authority
    agents: list[FakeAgent] = field(default_factory=list)
    tunnels: list[Tunnel] = field(default_factory=list)

    async def agent(self, node: str = "node-1", **ports: int) -> FakeAgent:
        agent = FakeAgent(node, self.authority, {int(k[1:]): v for k, v in ports.items()})
        self.agents.append(agent)
        await agent.listen()
        await agent.register(self.port)
        await wait_until(lambda: self.relay.store.require(Node, "", node).ready)
        return agent

    async def tunnel(self, token: str | None = ADMIN, header: str = "authorization") -> Tunnel:
        headers = {header: f"Bearer {token}"} if token else {}
        context = client_context(self.authority.ca)
        tunnel = await Tunnel.open(Endpoint("127.0.0.1", self.port, context), headers=headers)
        self.tunnels.append(tunnel)
        return tunnel

    async def pod(self, name: str = "web", namespace: str = "default", **spec: Any) -> Pod:
        """A pod that runs and is ready."""
        self.relay.store.create(a_pod(name, namespace, **spec))
        return await wait_until(lambda: self.ready(name, namespace))

    def ready(self, name: str, namespace: str = "default") -> Pod | None:
        pod = self.relay.store.get(Pod, namespace, name)
        return pod if pod is not None and pod.ready else None


def a_pod(name: str, namespace: str = "default", **spec: Any) -> Pod:
    spec.setdefault("containers", [Container(name="main", command=["true"])])
    labels = spec.pop("labels", {})
    meta = ObjectMeta(name=name, namespace=namespace, labels=labels)
    return Pod(metadata=meta, spec=PodSpec(**spec))


@pytest.fixture
async def bench(config: RelayConfig, authority: Authority) -> AsyncIterator[Bench]:
    relay = Relay(config)
    bench = Bench(relay, await relay.start(), authority)
    yield bench
    for tunnel in bench.tunnels:
        tunnel.close()
    await relay.close()
    for agent in bench.agents:
        await agent.close()


@pytest.fixture
async def echo() -> AsyncIterator[int]:
    """A server on this machine that returns what it gets, and after EOF the words `the end`."""

    async def serve_one(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(ConnectionError):
            while data := await reader.read(65536):
                writer.write(data)
                await writer.drain()
            writer.write(b"the end")
            writer.write_eof()
            await writer.drain()
        writer.close()

    server = await asyncio.start_server(serve_one, "127.0.0.1")
    yield server.sockets[0].getsockname()[1]
    server.close()
