"""The REST API over the store: one method for each verb, the same for every resource."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING, Any

import msgspec

from kfwd_nb.errors import ConfigError, KfwdError, LimitError, RemoteProtocolError
from kfwd_nb.kube.objects import AnyObject, Namespace, Node, Object, ObjectMeta
from kfwd_nb.kube.schema import FieldError, field_error
from kfwd_nb.kube.validation import validate
from kfwd_nb.relay import deletion
from kfwd_nb.relay.deployments import random_suffix
from kfwd_nb.relay.discovery import HEALTH, PUBLIC, documents
from kfwd_nb.relay.routes import Call, not_found, path_of, route
from kfwd_nb.relay.selectors import Selector, parse_selector
from kfwd_nb.relay.status import refusal
from kfwd_nb.relay.store import ConflictError, Event, ExpiredError, Store, with_metadata
from kfwd_nb.transport.http import Request, Response, status_object

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Callable

    from kfwd_nb.relay.authentication import Authenticator
    from kfwd_nb.relay.nodes import Nodes
    from kfwd_nb.relay.rbac import Authorizer

MAX_WATCHES = 500
"""Watches that are open at the same time, over all clients."""

MAX_WATCH_SECONDS = 3600.0
"""Seconds after which a watch ends by itself; clients begin another, as they do with Kubernetes."""


class Api:
    """Answers API requests: authenticates, routes, authorises, acts.

    Args:
        cluster: the cluster's name, shown by /version.
    """

    def __init__(
        self,
        cluster: str,
        store: Store,
        nodes: Nodes,
        authenticator: Authenticator,
        authorizer: Authorizer,
    ) -> None:
        self._store = store
        self._nodes = nodes
        self._authenticator = authenticator
        self._authorizer = authorizer
        self._documents = documents(cluster)
        self._watches = 0
        self._verbs: dict[str, Callable[[Call, Request], Response]] = {
            "get": self._get,
            "list": self._list,
            "watch": self._watch,
            "create": self._create,
            "update": self._update,
            "delete": self._delete,
        }

    async def answer(self, request: Request) -> Response:
        """The response to a request; a refusal is a `Status` object."""
        try:
            path = path_of(request.path)
            if path in HEALTH:
                return Response(200, b"ok", {"content-type": "text/plain"})
            if path in PUBLIC:
                return self._document(path, request.method)
            user = self._authenticator.require(request, time.time())
            if path in self._documents:
                return self._document(path, request.method)
            call = route(request.method, request.path)
            self._authorizer.require(user, call.attributes)
            return self._verbs[call.verb](call, request)
        except KfwdError as error:
            return refusal(error)

    def _document(self, path: str, method: str) -> Response:
        if method not in ("GET", "HEAD"):
            raise not_found()
        return _json(200, self._documents[path])

    # -- reading ----------------------------------------------------------------------------------

    def _get(self, call: Call, _: Request) -> Response:
        return _json(200, self._item(call))

    def _list(self, call: Call, _: Request) -> Response:
        selector = _selector(call)
        items = self._store.select(call.resource.type, call.namespace)
        return _json(
            200,
            {
                "kind": f"{call.resource.kind}List",
                "apiVersion": call.resource.api_version,
                "metadata": {"resourceVersion": str(self._store.revision)},
                "items": [item for item in items if selector.matches(item)],
            },
        )

    def _watch(self, call: Call, _: Request) -> Response:
        if self._watches >= MAX_WATCHES:
            raise LimitError(f"{MAX_WATCHES} watches are open; that is the relay's limit.")
        selector = _selector(call)
        seconds = min(_number(call, "timeoutSeconds") or MAX_WATCH_SECONDS, MAX_WATCH_SECONDS)
        after = _number(call, "resourceVersion")
        if after:
            self._store.events(after)
        if call.query.get("sendInitialEvents") == "true":
            after = 0
        return Response(200, self._watched(call, selector, after, seconds))

    async def _watched(
        self, call: Call, selector: Selector, after: int, seconds: float
    ) -> AsyncGenerator[bytes, None]:
        """The lines of a watch: without a version to begin after, what is there comes first."""
        self._watches += 1
        try:
            end = asyncio.get_running_loop().time() + seconds
            seen = after or self._store.revision
            if not after:
                for item in self._store.select(call.resource.type, call.namespace):
                    if selector.matches(item):
                        yield _line("ADDED", item)
                if call.query.get("sendInitialEvents") == "true":
                    yield _line("BOOKMARK", _initial_events_end(call, seen))
            while (left := end - asyncio.get_running_loop().time()) > 0:
                await self._store.changed(seen, left)
                events = self._store.events(seen)
                seen = self._store.revision
                for event in events:
                    if _concerns(call, selector, event):
                        yield _line(event.type, event.item)
        except ExpiredError as error:
            yield _line("ERROR", status_object(error, 410, "Expired"))
        finally:
            self._watches -= 1

    # -- writing ----------------------------------------------------------------------------------

    def _create(self, call: Call, request: Request) -> Response:
        item = _read(call, request)
        meta = item.metadata
        if meta.generate_name and not meta.name:
            item = with_metadata(item, name=meta.generate_name + random_suffix())
        _check_valid(item)
        if call.namespace is not None:
            self._store.require(Namespace, "", call.namespace)
        return _json(201, self._store.create(_without_status(item)))

    def _update(self, call: Call, request: Request) -> Response:
        item = _read(call, request)
        if isinstance(item, Node):
            return _json(200, self._nodes.register(with_metadata(item, name=call.name)))
        former = self._item(call)
        _check_valid(item)
        if item.metadata.resource_version not in ("", former.metadata.resource_version):
            raise ConflictError(
                f'{call.resource.plural} "{call.name}" was changed since it was read; '
                "read it again and apply the change to that"
            )
        kept = former.metadata
        item = with_metadata(item, uid=kept.uid, creation_timestamp=kept.creation_timestamp)
        return _json(200, self._store.update(_with_status(item, former)))

    def _delete(self, call: Call, _: Request) -> Response:
        item = self._item(call)
        if isinstance(item, Node):
            self._nodes.forget(call.name)
        return _json(200, deletion.delete(self._store, item))

    # -- inside -----------------------------------------------------------------------------------

    def _item(self, call: Call) -> AnyObject:
        kind: type[AnyObject] = call.resource.type
        return self._store.require(kind, call.namespace or "", call.name)


def _selector(call: Call) -> Selector:
    return parse_selector(call.query.get("labelSelector", ""), call.query.get("fieldSelector", ""))


def _number(call: Call, name: str) -> int:
    text = call.query.get(name, "") or "0"
    if not (text.isascii() and text.isdigit() and len(text) < 20):
        raise RemoteProtocolError(f"{name} must be a number, not {text[:100]!r}")
    return int(text)


def _concerns(call: Call, selector: Selector, event: Event) -> bool:
    return (
        type(event.item) is call.resource.type
        and call.namespace in (None, event.item.metadata.namespace)
        and selector.matches(event.item)
    )


def _initial_events_end(call: Call, version: int) -> Object:
    """The bookmark after the first part of a watch (Kubernetes API concepts, streaming lists)."""
    marks = {"k8s.io/initial-events-end": "true"}
    meta = ObjectMeta(resource_version=str(version), annotations=marks)
    return Object(api_version=call.resource.api_version, kind=call.resource.kind, metadata=meta)


def _read(call: Call, request: Request) -> AnyObject:
    """The object of a request's body, in the place that the path names.

    Raises:
        RemoteProtocolError: the body is not such an object, or belongs elsewhere.
    """
    kind: type[AnyObject] = call.resource.type
    try:
        item = msgspec.json.decode(request.body, type=kind)
    except msgspec.ValidationError as error:
        raise RemoteProtocolError(f"{call.resource.kind}: {field_error(error).what}") from None
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise RemoteProtocolError(f"the body is not JSON: {error}") from None
    if (item.kind, item.api_version) != (call.resource.kind, call.resource.api_version):
        raise RemoteProtocolError(
            f"the body is a {item.api_version} {item.kind}, the path is for "
            f"{call.resource.api_version} {call.resource.kind}"
        )
    meta = item.metadata
    for what, said, path in (
        ("namespace", meta.namespace, call.namespace),
        ("name", meta.name, call.name),
    ):
        if said and path and said != path:
            raise RemoteProtocolError(f'the {what} "{said}" is not that of the path, "{path}"')
    return with_metadata(item, namespace=call.namespace or "", name=meta.name or call.name)


def _check_valid(item: AnyObject) -> None:
    try:
        validate(item)
    except FieldError as error:
        raise ConfigError(
            f'{item.kind} "{item.metadata.name}" is invalid: {error.what}', hint=error.hint
        ) from None


def _without_status(item: AnyObject) -> AnyObject:
    """What a client says of the status of a new object does not count."""
    return _with_status(item, type(item)())


def _with_status(item: AnyObject, other: AnyObject) -> AnyObject:
    changes: dict[str, Any] = {"status": other.status} if hasattr(other, "status") else {}
    return msgspec.structs.replace(item, **changes)


def _json(status: int, content: object) -> Response:
    return Response(status, msgspec.json.encode(content), {"content-type": "application/json"})


def _line(event: str, item: Object | dict[str, object]) -> bytes:
    return msgspec.json.encode({"type": event, "object": item}) + b"\n"
