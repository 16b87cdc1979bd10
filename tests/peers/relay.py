"""A relay of the tests' own, on a thread of its own: real TLS and HTTP/2, pods that are echoes."""

from __future__ import annotations

import asyncio
import base64
import json
import socket
import ssl
import time
from collections.abc import Callable, Coroutine
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import msgspec
import yaml

from kfwd_nb.errors import Hop, KfwdError, NotFoundError, RefusedError
from kfwd_nb.kube.identities import MASTERS
from kfwd_nb.kube.objects import (
    Condition,
    Container,
    ContainerPort,
    Deployment,
    DeploymentSpec,
    LabelSelector,
    Namespace,
    Node,
    Object,
    ObjectMeta,
    Pod,
    PodSpec,
    PodStatus,
    Service,
    ServicePort,
    ServiceSpec,
)
from kfwd_nb.protocol.connect import parse_authority
from kfwd_nb.relay.api.answering import Api
from kfwd_nb.relay.authentication import Authenticator
from kfwd_nb.relay.config import Rule, Token
from kfwd_nb.relay.connect import Connect
from kfwd_nb.relay.names import Names
from kfwd_nb.relay.portforward import Portforward
from kfwd_nb.relay.rbac import Authorizer
from kfwd_nb.relay.store import Store, with_metadata
from kfwd_nb.transport.endpoint import Endpoint
from kfwd_nb.transport.http import Request, Response, Switch
from kfwd_nb.transport.http2.client import Tunnel
from kfwd_nb.transport.http2.tunnel_stream import TunnelStream
from kfwd_nb.transport.loop_thread import LoopThread
from kfwd_nb.transport.pump import Pump
from kfwd_nb.transport.server import Server, serve
from kfwd_nb.transport.sockets import open_socket

TOKEN = "the-token"
VISITOR = "the-visitors-token"
CREATOR = "the-creators-token"
GETTER = "the-getters-token"
"""Of users who may do everything; only look; look and `create` a forward; look and `get` one, which
is not enough for any."""

RULES = (
    Rule(("get", "list", "watch"), ("*",), users=("visitor",)),
    Rule(("get", "list", "watch"), ("pods", "services", "deployments"), users=("creator",)),
    Rule(("create",), ("pods/portforward",), users=("creator",)),
    Rule(("get", "list", "watch"), ("pods", "pods/portforward"), users=("getter",)),
)

ECHO, CLOSED, NEVER = 7, 81, 82
"""Ports of every pod: an echo, one where nobody listens, one that does not answer."""

PATIENCE = 20.0


def until(condition: Callable[[], Any]) -> Any:
    """Wait for a condition, never for a time; returns what made it true."""
    end = time.monotonic() + PATIENCE
    while not (found := condition()):
        assert time.monotonic() < end, "never came true"
        time.sleep(0.002)
    return found


def a_pod(name: str, namespace: str = "default", **labels: str) -> Pod:
    return Pod(
        metadata=ObjectMeta(name=name, namespace=namespace, labels=labels),
        spec=PodSpec(
            node_name="node-1",
            containers=[Container(name="main", ports=[ContainerPort(ECHO, name="echo")])],
        ),
        status=PodStatus(phase="Running", conditions=[Condition(type="Ready", status="True")]),
    )


class FakeNode:
    """A node's agent behind a real tunnel; every pod is the same echo.

    Attributes:
        refusing: by a pod's name, instead of a connection.
        streams: into the pods, as the agent has them.
    """

    hop: Hop = "node agent"

    def __init__(self, echo_port: int) -> None:
        self.refusing: dict[str, KfwdError] = {}
        self.streams: list[Any] = []
        self._echo_port = echo_port
        self._server: Server | None = None
        self._tunnel: Tunnel | None = None

    async def start(self, tls: Any) -> None:
        self._server = await serve(self, tls)
        trusting = ssl.create_default_context()
        trusting.check_hostname = False
        trusting.verify_mode = ssl.CERT_NONE
        self._tunnel = await Tunnel.open(Endpoint("127.0.0.1", self._server.port, trusting))

    async def close(self) -> None:
        assert self._server is not None
        await self._server.close()

    def link(self, node: str) -> Tunnel:
        assert self._tunnel is not None
        return self._tunnel

    # -- transport.http.Handler -------------------------------------------------------------------

    async def request(self, request: Request) -> Response:
        raise NotFoundError("the fake agent has no API.")

    async def admit(self, request: Request) -> None:
        """Everybody may hear of their own connections."""

    async def upgrade(self, request: Request) -> Response | Switch:
        return await self.request(request)

    async def connect(self, request: Request, stream: TunnelStream) -> None:
        to = parse_authority(request.authority)
        if to.name in self.refusing:
            raise self.refusing[to.name]
        if to.port == CLOSED:
            raise RefusedError(f"nobody listens on port {CLOSED} of the pod.", where="pod")
        if to.port == NEVER:
            await asyncio.Event().wait()
        pod = await open_socket(socket.socket(), ("127.0.0.1", self._echo_port))
        self.streams.append(pod)
        stream.accept({})
        Pump(stream, pod)


@dataclass
class FakeRelay:
    """The real relay's API and its three dialects, in front of pods that are one echo.

    Attributes:
        version: what `/version` says; None: what the real relay says.
        connects: authority of each CONNECT.
        upgrades: (protocol, path) of each upgrade request.
        refusing: instead of an upgrade to that protocol (`websocket`, `spdy/3.1`).
        requests: (method, path) of each other request.
    """

    node: FakeNode
    hop: Hop = "relay"
    version: dict[str, Any] | None = None
    connects: list[str] = field(default_factory=list)
    upgrades: list[tuple[str, str]] = field(default_factory=list)
    requests: list[tuple[str, str]] = field(default_factory=list)
    refusing: dict[str, KfwdError] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.store = Store()
        for each in some_objects():
            self.store.create(each)
        authenticator = Authenticator(
            [
                Token(TOKEN, "me", (MASTERS,)),
                Token(VISITOR, "visitor"),
                Token(CREATOR, "creator"),
                Token(GETTER, "getter"),
            ]
        )
        nodes: Any = self.node
        self._authorizer = Authorizer(RULES)
        self._api = Api("tests", self.store, nodes, authenticator, self._authorizer)
        self.portforward = Portforward(self.store, nodes, authenticator, self._authorizer)
        self._connect = Connect(Names(self.store), nodes, authenticator, self._authorizer)

    async def request(self, request: Request) -> Response:
        self.requests.append((request.method, request.path))
        if request.path == "/version" and self.version is not None:
            return Response(200, json.dumps(self.version).encode())
        return await self._api.answer(request)

    async def admit(self, request: Request) -> None:
        """Everybody may hear of their own connections."""

    async def upgrade(self, request: Request) -> Response | Switch:
        protocol = request.headers["upgrade"].lower()
        self.upgrades.append((protocol, request.path))
        if protocol in self.refusing:
            raise self.refusing[protocol]
        return self.portforward.upgrade(request)

    async def connect(self, request: Request, stream: TunnelStream) -> None:
        self.connects.append(request.authority)
        await self._connect.open(request, stream)

    # -- changes to the cluster -------------------------------------------------------------------

    def add(self, item: Object) -> None:
        self.store.create(item)

    def put(self, name: str, namespace: str = "default", **status: Any) -> None:
        """Change a pod's status."""
        pod = self.store.require(Pod, namespace, name)
        changed = msgspec.structs.replace(pod.status, **status)
        self.store.update(msgspec.structs.replace(pod, status=changed))

    def make_ready(self, name: str, *, ready: bool = True) -> None:
        self.put(name, conditions=[Condition(type="Ready", status="True" if ready else "False")])

    def terminate(self, name: str, namespace: str = "default") -> None:
        """The pod is being deleted, and still there."""
        pod = self.store.require(Pod, namespace, name)
        self.store.update(with_metadata(pod, deletion_timestamp="2026-01-01T00:00:00Z"))

    def remove(self, name: str, namespace: str = "default") -> None:
        """The pod is gone, with all that led into it."""
        self.store.delete(self.store.require(Pod, namespace, name))
        self.portforward.step()


def some_objects() -> list[Object]:
    api = {"app": "api"}
    return [
        Namespace(metadata=ObjectMeta(name="default")),
        Namespace(metadata=ObjectMeta(name="team-a")),
        Node(metadata=ObjectMeta(name="node-1", annotations={"kfwd/isolation": "netns"})),
        a_pod("web"),
        a_pod("api-1", **api),
        a_pod("other", "team-a"),
        Service(
            metadata=ObjectMeta(name="api", namespace="default"),
            spec=ServiceSpec(selector=api, ports=[ServicePort(ECHO, name="echo")]),
        ),
        Deployment(
            metadata=ObjectMeta(name="api", namespace="default"),
            spec=DeploymentSpec(selector=LabelSelector(match_labels=api)),
        ),
    ]


class RunningRelay:
    """A relay that can be ended and started again on its port."""

    def __init__(self, loop: LoopThread, tls: Any, echo_port: int) -> None:
        self.node = FakeNode(echo_port)
        self.handler = FakeRelay(self.node)
        self.port = 0
        self._loop = loop
        self._tls = tls
        self._server: Server | None = None

    def start(self) -> None:
        self.run(self.node.start(self._tls))
        self._server = self.run(serve(self.handler, self._tls, port=self.port))
        self.port = self._server.port

    def stop(self) -> None:
        """End it with all of its connections, as a killed process would."""
        if self._server is not None:
            self.run(self._server.close())
            self.run(self.node.close())
            self._server = None

    def run(self, work: Coroutine[Any, Any, Any]) -> Any:
        return self._loop.run(work)

    def do(self, change: Callable[..., Any], *arguments: Any, **options: Any) -> Any:
        """Call something of the handler's on its own loop."""

        async def call() -> Any:
            return change(*arguments, **options)

        return self.run(call())


def write_kubeconfig(path: Path, server: str, ca: Path, token: str = TOKEN) -> Path:
    ca_data = base64.b64encode(ca.read_bytes()).decode()
    document = {
        "apiVersion": "v1",
        "kind": "Config",
        "current-context": "tests",
        "contexts": [{"name": "tests", "context": {"cluster": "tests", "user": "me"}}],
        "clusters": [
            {"name": "tests", "cluster": {"server": server, "certificate-authority-data": ca_data}}
        ],
        "users": [{"name": "me", "user": {"token": token}}],
    }
    path.write_text(yaml.safe_dump(document))
    return path
