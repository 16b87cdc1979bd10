"""A relay of the tests' own, on a thread of its own: real TLS and HTTP/2, pods that are echoes."""

from __future__ import annotations

import asyncio
import base64
import json
import socket
import time
from collections.abc import Callable, Coroutine
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import msgspec
import yaml

from kfwd_nb.errors import Hop, NotFoundError, RefusedError, UnauthorizedError
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
from kfwd_nb.protocol.connect import NODE_HEADER, POD_HEADER, parse_authority
from kfwd_nb.transport.http import Request, Response
from kfwd_nb.transport.loop_thread import LoopThread
from kfwd_nb.transport.pump import Pump
from kfwd_nb.transport.server import Server, serve
from kfwd_nb.transport.sockets import open_socket
from kfwd_nb.transport.tunnel_stream import TunnelStream

TOKEN = "the-token"

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


@dataclass
class FakeRelay:
    """Lists what is in `objects`, and couples each CONNECT with an echo."""

    hop: Hop = "relay"
    objects: list[Object] = field(default_factory=list)
    version: dict[str, Any] = field(default_factory=lambda: {"kfwd": {"cluster": "tests"}})
    connects: list[str] = field(default_factory=list)
    echo_port: int = 0

    async def request(self, request: Request) -> Response:
        self._admit(request)
        if request.path == "/version":
            return Response(200, json.dumps(self.version).encode())
        *_, plural = request.path.split("/")
        namespace = request.path.split("/namespaces/")[1:]
        found = [
            each
            for each in self.objects
            if f"{each.kind.lower()}s" == plural
            and (not namespace or each.metadata.namespace == namespace[0].split("/")[0])
        ]
        return Response(200, msgspec.json.encode({"items": found}))

    async def connect(self, request: Request, stream: TunnelStream) -> None:
        self._admit(request)
        self.connects.append(request.authority)
        to = parse_authority(request.authority)
        if to.port == CLOSED:
            raise RefusedError(f"nobody listens on port {CLOSED} of the pod.", where="pod")
        if to.port == NEVER:
            await asyncio.Event().wait()
        names = [each.metadata.name for each in self.objects]
        if to.name not in names:
            raise NotFoundError(f'Pod "{to.name}" not found.')
        pod = await open_socket(socket.socket(), ("127.0.0.1", self.echo_port))
        stream.accept({POD_HEADER: f"{to.namespace}/{to.name}", NODE_HEADER: "node-1"})
        Pump(stream, pod)

    def _admit(self, request: Request) -> None:
        if request.headers.get("authorization") != f"Bearer {TOKEN}":
            raise UnauthorizedError("the token is unknown.")


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
        self.handler = FakeRelay(objects=some_objects(), echo_port=echo_port)
        self.port = 0
        self._loop = loop
        self._tls = tls
        self._server: Server | None = None

    def start(self) -> None:
        self._server = self.run(serve(self.handler, self._tls, port=self.port))
        self.port = self._server.port

    def stop(self) -> None:
        """End it with all of its connections, as a killed process would."""
        if self._server is not None:
            self.run(self._server.close())
            self._server = None

    def run(self, work: Coroutine[Any, Any, Any]) -> Any:
        return self._loop.run(work)


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
