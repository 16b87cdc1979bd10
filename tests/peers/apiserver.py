"""A Kubernetes API server of the tests: objects in a dict, refusals on demand.

    api = FakeApiServer([pod("web"), service("api")])
    await api.start(authority)                # http1=True: no HTTP/2 is agreed on
    client = await ApiClient.open(api.access())
    api.put(pod("web-2"))                     # watches see it
    api.refuse("/pods", 403, "pods is forbidden", times=1)

It lists, gets and watches every kind, pages lists, and answers SelfSubjectAccessReviews by
`denied`, a set of (verb, "pods/portforward").
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncGenerator, Iterable
from typing import Any
from urllib.parse import parse_qs, urlsplit

import msgspec

from kfwd_nb.errors import Hop, NotFoundError
from kfwd_nb.kube.api.client import REVIEWS
from kfwd_nb.kube.kubeconfig.access import ClusterAccess
from kfwd_nb.kube.kubeconfig.credentials import Credentials, Static, bearer
from kfwd_nb.kube.objects import Object
from kfwd_nb.kube.resources import FOREIGN, RESOURCES, Resource
from kfwd_nb.relay.api.selectors import parse_selector
from kfwd_nb.transport.http import Request, Response, Switch
from kfwd_nb.transport.http2.tunnel_stream import TunnelStream
from kfwd_nb.transport.server import Server, serve
from kfwd_nb.transport.tls import HTTP1, server_context
from peers.authority import Authority


class FakeApiServer:
    """One server.

    Attributes:
        requests: all that came, in order.
        tokens: those that are taken; None: anybody is.
        denied: what a SelfSubjectAccessReview says no to.
        page: objects of one page of a list; 0: all.
        prefix: the path below which the API is (`/k8s/clusters/c-1`).
    """

    hop: Hop = "relay"

    def __init__(self, objects: Iterable[Object] = ()) -> None:
        self.requests: list[Request] = []
        self.tokens: set[str] | None = None
        self.denied: set[tuple[str, str]] = set()
        self.page = 0
        self.prefix = ""
        self._expiring = 0
        self._objects: dict[tuple[str, str, str], Object] = {}
        self._events: list[tuple[int, str, Object]] = []
        self._changed = asyncio.Event()
        self._refusals: list[list[Any]] = []
        self._server: Server | None = None
        self._ca = b""
        for each in objects:
            self.put(each)

    async def start(self, authority: Authority, *, http1: bool = False) -> None:
        """Listen on a free port of 127.0.0.1."""
        context = server_context(*authority.issue("apiserver"))
        if http1:
            context.set_alpn_protocols([HTTP1])
        self._ca = authority.ca.read_bytes()
        self._server = await serve(self, context)

    async def close(self) -> None:
        """End it, and all connections."""
        if self._server is not None:
            await self._server.close()

    def access(self, credentials: Credentials | None = None, **more: Any) -> ClusterAccess:
        """How it is reached: the CA is its own, the token `t` if no credentials are given."""
        assert self._server is not None
        return ClusterAccess(
            context="fake",
            server=f"https://127.0.0.1:{self._server.port}{self.prefix}",
            namespace="default",
            source="the test",
            ca_data=self._ca,
            credentials=credentials or Static("the test", bearer("t")),
            **more,
        )

    # -- what it holds ----------------------------------------------------------------------------

    def put(self, item: Object) -> None:
        """Add or replace an object."""
        meta = item.metadata
        key = (item.kind, meta.namespace, meta.name)
        version = len(self._events) + 1
        new = msgspec.structs.replace(
            meta, resource_version=str(version), uid=meta.uid or meta.name
        )
        stored = msgspec.structs.replace(item, metadata=new)
        self._tell("MODIFIED" if key in self._objects else "ADDED", stored)
        self._objects[key] = stored

    def remove(self, kind: str, namespace: str, name: str) -> None:
        """Delete an object."""
        self._tell("DELETED", self._objects.pop((kind, namespace, name)))

    def refuse(self, part: str, status: int, message: str, *, times: int = 1_000) -> None:
        """Answer so to the next requests whose path holds `part`."""
        self._refusals.append([part, status, message, times])

    def expire_pages(self, times: int) -> None:
        """Answer 410 to the next requests that go on with a list."""
        self._expiring = times

    def end_watches_with(self, status: dict[str, Any]) -> None:
        """Send an ERROR event to all that watch (410 for one)."""
        self._events.append((len(self._events) + 1, "ERROR", status))  # type: ignore[arg-type]
        self._wake()

    def _tell(self, kind: str, item: Object) -> None:
        self._events.append((len(self._events) + 1, kind, item))
        self._wake()

    def _wake(self) -> None:
        self._changed.set()
        self._changed = asyncio.Event()

    # -- transport.http.Handler -------------------------------------------------------------------

    async def request(self, request: Request) -> Response:
        """Answer."""
        if request.method == "PRI":  # a client's HTTP/2 preface, sent before ALPN has said no
            return _status(505, "no HTTP/2 here")
        self.requests.append(request)
        if not request.path.startswith(f"{self.prefix}/"):
            return _status(404, "the path is not below the prefix")
        url = urlsplit(request.path.removeprefix(self.prefix))
        query = {name: values[0] for name, values in parse_qs(url.query).items()}
        for refusal in self._refusals:
            if refusal[0] in url.path and refusal[3] > 0:
                refusal[3] -= 1
                return _status(refusal[1], refusal[2])
        token = request.headers.get("authorization", "").removeprefix("Bearer ")
        if self.tokens is not None and token not in self.tokens:
            return _status(401, "Unauthorized")
        if url.path == "/version":
            return Response(200, b'{"major":"1","minor":"36","gitVersion":"v1.36.0"}')
        if url.path == REVIEWS:
            return self._review(json.loads(request.body))
        for resource in (*RESOURCES, *FOREIGN):
            if (found := self._resource(resource, url.path, query)) is not None:
                return found
        return _status(404, "the server could not find the requested resource")

    async def upgrade(self, request: Request) -> Response | Switch:
        """No protocol is known here."""
        return await self.request(request)

    async def connect(self, request: Request, stream: TunnelStream) -> None:
        """No tunnel is known here."""
        raise NotFoundError("the server could not find the requested resource")

    def _review(self, review: dict[str, Any]) -> Response:
        wanted = review["spec"]["resourceAttributes"]
        resource = "/".join(filter(None, (wanted["resource"], wanted.get("subresource"))))
        allowed = (wanted["verb"], resource) not in self.denied
        return Response(201, json.dumps({"status": {"allowed": allowed}}).encode())

    def _resource(self, resource: Resource, path: str, query: dict[str, str]) -> Response | None:
        """The answer, if the path is one of that resource's."""
        if not path.startswith(f"{resource.base}/"):
            return None
        parts = path.removeprefix(f"{resource.base}/").split("/")
        namespace = ""
        if resource.namespaced and parts[0] == "namespaces" and len(parts) > 2:
            _, namespace, *parts = parts
        if parts[0] != resource.plural or len(parts) > 2:
            return None
        if len(parts) == 2:
            item = self._objects.get((resource.kind, namespace, parts[1]))
            if item is None:
                return _status(404, f'{resource.plural} "{parts[1]}" not found')
            return Response(200, msgspec.json.encode(item))
        selector = parse_selector(query.get("labelSelector", ""), query.get("fieldSelector", ""))

        def fits(item: Object) -> bool:
            meta = item.metadata
            inside = not namespace or meta.namespace == namespace
            return item.kind == resource.kind and inside and selector.matches(item)

        if query.get("watch"):
            return Response(200, self._watch(fits, int(query.get("resourceVersion") or 0)))
        if query.get("continue") and self._expiring:
            self._expiring -= 1
            return _status(410, "the continue token is too old")
        found = [each for each in self._objects.values() if fits(each)]
        start = int(query.get("continue") or 0)
        end = start + self.page if self.page else len(found)
        meta = {"resourceVersion": str(len(self._events))}
        if end < len(found):
            meta["continue"] = str(end)
        items = [msgspec.to_builtins(each) for each in found[start:end]]
        return Response(200, json.dumps({"items": items, "metadata": meta}).encode())

    async def _watch(self, fits: Any, after: int) -> AsyncGenerator[bytes, None]:
        while True:
            changed = self._changed
            for number, kind, item in self._events[after:]:
                after = number
                if kind == "ERROR" or fits(item):
                    line = {"type": kind, "object": msgspec.to_builtins(item)}
                    yield json.dumps(line).encode() + b"\n"
                if kind == "ERROR":
                    return
            await changed.wait()


def _status(code: int, message: str) -> Response:
    body = {"kind": "Status", "apiVersion": "v1", "status": "Failure", "message": message}
    return Response(code, json.dumps(body | {"code": code}).encode())
