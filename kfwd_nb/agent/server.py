"""What a node agent answers the relay, on the tunnel that the relay keeps to it.

| request | answer |
|---|---|
| `PUT /pods/NAMESPACE/NAME`, a Pod | run it |
| `DELETE /pods/NAMESPACE/NAME` | answered when its processes are gone |
| `GET /pods` | all pods |
| `GET /pods?watch=1` | all pods, one a line, then each that changes |
| `CONNECT NAME.NAMESPACE.pod:PORT` | accepted when the port inside the pod is connected |
| `GET /kfwd/hops` | what it knows of those connections (`protocol.hops`) |
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncGenerator
from typing import Any, Protocol
from urllib.parse import parse_qs, urlsplit

import msgspec

from kfwd_nb.agent.connectors import Connector, Place
from kfwd_nb.errors import ForbiddenError, Hop, NotFoundError, UnauthorizedError, UsageError
from kfwd_nb.kube.identities import RELAY_GROUP
from kfwd_nb.kube.objects import Pod
from kfwd_nb.protocol.connect import NODE_HEADER, POD_HEADER, parse_authority
from kfwd_nb.transport.http import Identity, OfferedStream, Request, Response
from kfwd_nb.transport.pump import Pump
from kfwd_nb.transport.stream import ByteStream


class HeldPod(Protocol):
    """One pod of the node."""

    @property
    def name(self) -> str:
        """NAMESPACE/NAME."""

    @property
    def place(self) -> Place:
        """Where connectors reach it.

        Raises:
            UnavailableError: it does not run.
        """

    def entered(self, stream: ByteStream, over: asyncio.Future[Any]) -> None:
        """`stream` is coupled with one of its ports, until `over` is done.

        A pod whose end cannot end its connections by itself closes them.
        """


class PodSource(Protocol):
    """The node's pods: those that it runs (`Pods`), or those that it finds (`FoundPods`)."""

    def list(self) -> list[Pod]:
        """All as they are now."""

    def find(self, namespace: str, name: str) -> HeldPod:
        """One of them.

        Raises:
            NotFoundError: there is none of that name.
        """

    async def put(self, pod: Pod) -> Pod:
        """Run it.

        Raises:
            KfwdError: it will not be run.
        """

    async def delete(self, namespace: str, name: str) -> Pod:
        """End it.

        Raises:
            KfwdError: it is not there, or will not be ended.
        """

    def watch(self) -> AsyncGenerator[Pod, None]:
        """All, then each that changes, without end; one with a deletion timestamp is gone."""


class AgentHandler:
    """The `transport.http.Handler` of a node agent."""

    hop: Hop = "node agent"

    def __init__(self, node: str, pods: PodSource, connector: Connector) -> None:
        self._node = node
        self._pods = pods
        self._connector = connector

    async def request(self, request: Request) -> Response:
        """Answer one request.

        Raises:
            UnauthorizedError, ForbiddenError: it does not come from the relay.
            NotFoundError: no such pod, or no such path.
            UsageError: the body is no Pod, or another one than the path names.
            LimitError: the node has as many pods as it may.
        """
        _check_relay(request.identity)
        url = urlsplit(request.path)
        match request.method, url.path.strip("/").split("/"):
            case "GET", ["pods"] if parse_qs(url.query).get("watch"):
                return Response(200, self._watch())
            case "GET", ["pods"]:
                return _json({"kind": "PodList", "apiVersion": "v1", "items": self._pods.list()})
            case "PUT", ["pods", namespace, name]:
                return _json(await self._pods.put(read_pod(request.body, namespace, name)))
            case "DELETE", ["pods", namespace, name]:
                return _json(await self._pods.delete(namespace, name))
        raise NotFoundError(f"the node agent has no {request.method} {url.path}.")

    async def admit(self, request: Request) -> None:
        """The relay may hear of its connections."""
        _check_relay(request.identity)

    async def upgrade(self, request: Request) -> Response:
        """The relay asks by HTTP/2: there is no protocol to switch to."""
        return await self.request(request)

    async def connect(self, request: Request, stream: OfferedStream) -> None:
        """Couple `stream` with a port inside a pod.

        Raises:
            UnauthorizedError, ForbiddenError: it does not come from the relay.
            RemoteProtocolError: the authority has another form.
            NotFoundError: no such pod on this node.
            UnavailableError: the pod does not run, or the connector cannot do it.
            RefusedError: nobody listens there.
        """
        _check_relay(request.identity)
        wanted = parse_authority(request.authority)
        if wanted.kind != "pod":
            raise NotFoundError(f"a node agent knows pods only, not {wanted}.")
        worker = self._pods.find(wanted.namespace, wanted.name)
        notes = stream.notes
        if notes is not None:
            notes.add("up", "connects", f"to port {wanted.port}, {self._connector.how}")
        opened = await self._connector.open(worker.place, wanted.port)
        try:
            if notes is not None:
                notes.add("down", "accepts", "somebody listens there")
            stream.accept({POD_HEADER: worker.name, NODE_HEADER: self._node})
        except BaseException:
            opened.close()
            raise
        worker.entered(stream, Pump(stream, opened, notes).done)

    async def _watch(self) -> AsyncGenerator[bytes, None]:
        async with contextlib.aclosing(self._pods.watch()) as changes:
            async for pod in changes:
                yield msgspec.json.encode(pod) + b"\n"


def read_pod(body: bytes, namespace: str, name: str) -> Pod:
    """The Pod in a request's body.

    Raises:
        UsageError: it is none, it has no uid, or it is not the one that the path names.
    """
    try:
        pod = msgspec.json.decode(body, type=Pod)
    except msgspec.DecodeError as error:
        raise UsageError(f"the body is no Pod: {error}.") from None
    if (pod.metadata.namespace, pod.metadata.name) != (namespace, name) or not pod.metadata.uid:
        raise UsageError(f"the body is not pod {namespace}/{name} with a uid.")
    return pod


def _check_relay(identity: Identity | None) -> None:
    if identity is None:
        raise UnauthorizedError("a node agent wants the relay's client certificate.")
    if RELAY_GROUP not in identity.groups:
        raise ForbiddenError(f'"{identity.name}" is not the relay.')


def _json(value: object) -> Response:
    return Response(200, msgspec.json.encode(value))
