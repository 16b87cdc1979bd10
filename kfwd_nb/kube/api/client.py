"""Asks an API server for objects: typed requests, watches, and what one may do."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from typing import Any, Generic, Literal, TypeAlias, TypeVar, cast
from urllib.parse import quote, urlencode

import msgspec

from kfwd_nb.errors import ExpiredError, ForbiddenError, KfwdError, LimitError, LostError
from kfwd_nb.kube.api.wire import Wire
from kfwd_nb.kube.kubeconfig.access import ClusterAccess
from kfwd_nb.kube.objects import (
    ISOLATION_ANNOTATION,
    Deployment,
    Namespace,
    Node,
    Object,
    Pod,
    Service,
    Workload,
)
from kfwd_nb.kube.resolve import Inventory
from kfwd_nb.kube.resources import FOREIGN, resource_of
from kfwd_nb.transport.http import error_of_response
from kfwd_nb.transport.http1.client import Http1Client
from kfwd_nb.transport.http2.client import Tunnel

O = TypeVar("O", bound=Object)  # noqa: E741 - an object of the API
T = TypeVar("T")
Items: TypeAlias = list[O]
"""A list; the word itself is a method of `ApiClient`."""

PAGE = 100
"""Objects of one answer to a list. kubectl asks for 500 at a time, but a Node may well have 20 KiB,
and an answer at most `MAX_BODY`."""

WATCH_SECONDS = 300.0
"""After so long the server ends a watch by itself, and another is begun; client-go asks for 300 to
600."""

WATCH_SILENCE = WATCH_SECONDS + 30.0
"""Seconds without a byte of a watch after which its connection is lost: the server would have ended
it by then."""

REVIEWS = "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews"


class _ListMeta(msgspec.Struct, rename="camel"):
    resource_version: str = ""
    continue_: str = msgspec.field(default="", name="continue")


class _List(msgspec.Struct):
    items: list[msgspec.Raw] | None = None
    metadata: _ListMeta = msgspec.field(default_factory=_ListMeta)


class _Event(msgspec.Struct):
    type: str
    object: msgspec.Raw


class _Allowed(msgspec.Struct):
    allowed: bool = False


class _Review(msgspec.Struct):
    status: _Allowed = msgspec.field(default_factory=_Allowed)


@dataclass(frozen=True, slots=True)
class Listed(Generic[O]):
    """A list, and the version that a watch goes on from."""

    items: list[O]
    resource_version: str


@dataclass(frozen=True, slots=True)
class WatchEvent(Generic[O]):
    """A change. Of a BOOKMARK only `object.metadata.resource_version` counts."""

    type: Literal["ADDED", "MODIFIED", "DELETED", "BOOKMARK"]
    object: O


class ApiClient:
    """Typed requests to one API server: over one HTTP/2 connection, else HTTP/1.1 ones.

    Attributes:
        tunnel: the HTTP/2 connection; None where the server speaks HTTP/1.1 only.
    """

    def __init__(self, connection: Tunnel | Http1Client | Wire) -> None:
        self._wire = connection if isinstance(connection, Wire) else Wire(connection)

    @classmethod
    async def open(cls, access: ClusterAccess) -> ApiClient:
        """Connect. An HTTP/1.1 server is first asked when the first request is made.

        Raises:
            ConfigError: the kubeconfig's certificates or credentials cannot be used.
            UnavailableError: nobody answers; the hint names the kubeconfig.
            LostError: TLS fails.
        """
        return cls(await Wire.open(access))

    @property
    def tunnel(self) -> Tunnel | None:
        """The HTTP/2 connection, if it is one."""
        return self._wire.tunnel

    @property
    def alive(self) -> bool:
        """Requests can be made; HTTP/1.1 connects anew for each."""
        return self.tunnel is None or self.tunnel.alive

    def close(self, error: KfwdError | None = None) -> None:
        """End the connection at once; watches and the streams of a former one end, too."""
        self._wire.close(error)

    # -- requests ---------------------------------------------------------------------------------

    async def version(self) -> dict[str, Any]:
        """What the server says of itself; a kfwd relay has an entry `kfwd`.

        Raises:
            KfwdError: the request fails; the kind says why.
        """
        return _decoded(await self._wire.ask("GET", "/version"), dict[str, Any], "/version")

    async def get(self, kind: type[O], namespace: str | None, name: str) -> O:
        """One object.

        Raises:
            NotFoundError: there is none, in the server's own words.
            KfwdError: the request fails; the kind says why.
        """
        path = resource_of(kind).path(_quoted(namespace), _quoted(name))
        return _decoded(await self._wire.ask("GET", path), kind, path)

    async def list(
        self,
        kind: type[O],
        namespace: str | None = None,
        *,
        label_selector: str = "",
        field_selector: str = "",
    ) -> Listed[O]:
        """All objects of a kind that are selected, in one namespace or in all.

        A list whose version leaves the server's history amid its pages is begun anew, once.

        Raises:
            LimitError: a page is larger than an answer may be.
            KfwdError: the request fails; the kind says why.
        """
        path = resource_of(kind).path(_quoted(namespace))
        wanted = {"labelSelector": label_selector, "fieldSelector": field_selector}
        try:
            return await self._pages(kind, path, wanted)
        except ExpiredError:
            return await self._pages(kind, path, wanted)

    async def _pages(self, kind: type[O], path: str, wanted: dict[str, str]) -> Listed[O]:
        items: Items[O] = []
        following = ""
        while True:
            query = _query(wanted | {"limit": str(PAGE), "continue": following})
            try:
                body = await self._wire.ask("GET", path + query)
            except LimitError as error:
                error.hint = "the objects are large; name a namespace, so that fewer come."
                raise
            page = _decoded(body, _List, path)
            items += (_decoded(item, kind, path) for item in page.items or ())
            following = page.metadata.continue_
            if not following:
                return Listed(items, page.metadata.resource_version)

    async def watch(
        self,
        kind: type[O],
        namespace: str | None = None,
        *,
        label_selector: str = "",
        field_selector: str = "",
        resource_version: str = "",
    ) -> AsyncIterator[WatchEvent[O]]:
        """Changes after `resource_version`; servers end a watch now and then without an error.

        Raises:
            ExpiredError: the version is too old: list again.
            KfwdError: the request fails; the kind says why.
        """
        path = resource_of(kind).path(_quoted(namespace))
        query = _query(
            {
                "watch": "true",
                "allowWatchBookmarks": "true",
                "labelSelector": label_selector,
                "fieldSelector": field_selector,
                "resourceVersion": resource_version,
                "timeoutSeconds": f"{WATCH_SECONDS:.0f}",
            }
        )
        async with contextlib.aclosing(self._wire.lines(path + query, WATCH_SILENCE)) as lines:
            async for line in lines:
                event = _decoded(line, _Event, path)
                if event.type == "ERROR":
                    raise _watch_error(bytes(event.object))
                if event.type in ("ADDED", "MODIFIED", "DELETED", "BOOKMARK"):
                    yield WatchEvent(event.type, _decoded(event.object, kind, path))  # type: ignore[arg-type]

    async def may(
        self, verb: str, resource: str, namespace: str, name: str = "", group: str = ""
    ) -> bool | None:
        """The server lets us do that; None where it cannot be asked (SelfSubjectAccessReview).

        Args:
            verb: `get`, `create`.
            resource: the plural, perhaps with a subresource: `pods/portforward`.
            namespace: where.
            name: of the object; empty for any.
            group: API group; empty for the core group.
        """
        plural, _, sub = resource.partition("/")
        attributes = {
            "namespace": namespace,
            "verb": verb,
            "group": group,
            "resource": plural,
            "subresource": sub,
            "name": name,
        }
        review = {
            "apiVersion": "authorization.k8s.io/v1",
            "kind": "SelfSubjectAccessReview",
            "spec": {"resourceAttributes": {k: v for k, v in attributes.items() if v}},
        }
        try:
            body = await self._wire.ask("POST", REVIEWS, msgspec.json.encode(review))
            return _decoded(body, _Review, REVIEWS).status.allowed
        except KfwdError:
            return None

    # -- collections ------------------------------------------------------------------------------

    async def list_all(self, kind: type[O], namespace: str | None = None) -> Items[O]:
        """The objects alone of `list`."""
        return (await self.list(kind, namespace)).items

    async def inventory(self, namespace: str, kind: str = "") -> Inventory:
        """Everything that the choice of a pod needs; what may not be listed counts as empty.

        Args:
            namespace: where.
            kind: of the target (`ports.KINDS`): those of rs, sts, ds, job are listed when wanted.
        """
        pods, services, deployments, namespaces, others = await asyncio.gather(
            self._permitted(Pod, namespace),
            self._permitted(Service, namespace),
            self._permitted(Deployment, namespace),
            self._permitted(Namespace),
            self._others(kind, namespace),
        )
        return Inventory(
            namespace,
            pods or (),
            services or (),
            deployments or (),
            None if namespaces is None else [each.metadata.name for each in namespaces],
            others,
        )

    async def _others(self, kind: str, namespace: str) -> Sequence[Workload]:
        resource = next((each for each in FOREIGN if kind in (*each.short, each.plural[:-1])), None)
        if resource is None:
            return ()
        return cast("Sequence[Workload]", await self._permitted(resource.type, namespace) or ())

    async def isolation(self) -> str:
        """How the nodes of an embedded cluster keep pods apart; empty where nothing says."""
        try:
            nodes = await self.list_all(Node)
        except KfwdError:
            return ""
        found = {node.metadata.annotations.get(ISOLATION_ANNOTATION, "") for node in nodes}
        return found.pop() if len(found) == 1 else ""

    async def _permitted(self, kind: type[O], namespace: str | None = None) -> Items[O] | None:
        try:
            return await self.list_all(kind, namespace)
        except ForbiddenError:
            return None


def _quoted(name: str | None) -> str:
    return quote(name or "", safe="")


def _query(parameters: dict[str, str]) -> str:
    return "?" + urlencode({name: value for name, value in parameters.items() if value})


def _decoded(body: bytes | msgspec.Raw, kind: type[T], path: str) -> T:
    try:
        return msgspec.json.decode(body, type=kind)
    except (msgspec.MsgspecError, UnicodeError) as error:
        raise LostError(
            f"what the API server says to {path} makes no sense: {error}.",
            where="relay",
            hint="is it a Kubernetes API server that answers there?",
        ) from None


class _Code(msgspec.Struct):
    code: int = 500


def _watch_error(status: bytes) -> KfwdError:
    code = _decoded(status, _Code, "a watch").code
    return error_of_response(code, status)


def list_objects(access: ClusterAccess, kind: type[O], namespace: str | None = None) -> list[O]:
    """List once, from any thread without a running event loop.

    Raises:
        KfwdError: the server cannot be reached, or refuses.
    """

    async def ask() -> list[O]:
        client = await ApiClient.open(access)
        try:
            return await client.list_all(kind, namespace)
        finally:
            client.close()

    from kfwd_nb.transport.loop_thread import loop_thread

    return loop_thread().run(ask())
