"""The verbs that write: create, update, patch and delete, the same for every resource."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec

from kfwd_nb.errors import RemoteProtocolError
from kfwd_nb.kube.objects import AnyObject, Deployment, Namespace, Node, Pod
from kfwd_nb.relay.api.bodies import (
    check_valid,
    object_of,
    patched,
    successor,
    tree_of,
    with_status,
)
from kfwd_nb.relay.api.reading import json, shown
from kfwd_nb.relay.api.scale import replicas_of, scale_of
from kfwd_nb.relay.controllers import deletion
from kfwd_nb.relay.controllers.deployments import random_suffix
from kfwd_nb.relay.nodes import address_of
from kfwd_nb.relay.store import ConflictError, Store, with_metadata

if TYPE_CHECKING:
    from kfwd_nb.relay.api.routes import Call
    from kfwd_nb.relay.nodes import Nodes
    from kfwd_nb.transport.http import Request, Response


class Writing:
    """Puts what clients want into the store."""

    def __init__(self, store: Store, nodes: Nodes) -> None:
        self._store = store
        self._nodes = nodes

    def create(self, call: Call, request: Request) -> Response:
        """A new object.

        Raises:
            RemoteProtocolError, ConfigError: the body is no such object, or not a valid one.
            NotFoundError: its namespace is not there.
            AlreadyExistsError: its name is taken.
        """
        item = object_of(call, _tree(request))
        meta = item.metadata
        if meta.generate_name and not meta.name:
            item = with_metadata(item, name=meta.generate_name + random_suffix())
        check_valid(item)
        if call.namespace is not None:
            self._store.require(Namespace, "", call.namespace)
        item = with_status(item, type(item)())
        if call.dry_run:
            self._store.check_free(item)
        else:
            item = self._store.create(item)
        return shown(201, call, request, item)

    def update(self, call: Call, request: Request) -> Response:
        """Another object in the place of one.

        Raises:
            RemoteProtocolError, ConfigError: the body is no such object, or not a valid one.
            NotFoundError: there is none yet.
            ConflictError: it was changed since it was read.
        """
        if call.resource.type is Node:
            item = object_of(call, _tree(request))
            assert isinstance(item, Node)
            if call.dry_run:
                address_of(item)
            else:
                item = self._nodes.register(item)
            return shown(200, call, request, item)
        if call.subresource == "scale":
            return self._scale(call, _tree(request))
        tree = _tree(request)
        return self._replace(call, request, self._item(call), tree, _version(tree))

    def patch(self, call: Call, request: Request) -> Response:
        """An object with some of its fields changed.

        Raises:
            UnsupportedMediaTypeError: a patch of a kind that is not known here.
            RemoteProtocolError, ConfigError: what comes out is not a valid object.
            NotFoundError: there is none.
            ConflictError: it was changed since it was read.
        """
        item = self._item(call)
        kind = request.headers.get("content-type", "")
        if call.subresource == "scale":
            assert isinstance(item, Deployment)
            return self._scale(call, patched(call, scale_of(item), kind, request.body))
        tree = patched(call, item, kind, request.body)
        return self._replace(call, request, item, tree, _version(tree))

    def delete(self, call: Call, request: Request) -> Response:
        """Delete an object; a pod's process ends first, but for a grace period of 0.

        Raises:
            NotFoundError: it is not there.
            ConflictError: it is not the one that the client means.
        """
        item = self._item(call)
        options = _delete_options(call, request)
        wanted = options.preconditions.uid
        if wanted and wanted != item.metadata.uid:
            raise ConflictError(
                f'Operation cannot be fulfilled on {call.resource.plural} "{call.name}": '
                f"the UID in the precondition ({wanted}) does not match the UID in record "
                f"({item.metadata.uid})"
            )
        if call.dry_run or "All" in options.dry_run:
            return shown(200, call, request, item)
        if isinstance(item, Node):
            self._nodes.forget(call.name)
        if isinstance(item, Deployment) and options.propagation_policy == "Orphan":
            deletion.orphan(self._store, item)
        at_once = isinstance(item, Pod) and options.grace_period_seconds == 0
        if isinstance(item, Pod):
            deletion.check_made_here(self._store, item)
        gone = self._store.delete(item) if at_once else deletion.delete(self._store, item)
        return shown(200, call, request, gone)

    # -- inside -----------------------------------------------------------------------------------

    def _item(self, call: Call) -> AnyObject:
        return self._store.require(call.kind, call.namespace or "", call.name)

    def _replace(
        self, call: Call, request: Request, former: AnyObject, tree: dict[str, Any], version: str
    ) -> Response:
        item = successor(object_of(call, tree), former, version)
        if not call.dry_run:
            item = self._store.update(item)
        return shown(200, call, request, item)

    def _scale(self, call: Call, tree: dict[str, Any]) -> Response:
        former = self._item(call)
        assert isinstance(former, Deployment)
        spec = msgspec.structs.replace(former.spec, replicas=replicas_of(tree))
        wanted = msgspec.structs.replace(former, spec=spec)
        item = successor(wanted, former, _version(tree))
        assert isinstance(item, Deployment)
        return json(200, scale_of(item if call.dry_run else self._store.update(item)))


class _Preconditions(msgspec.Struct, frozen=True):
    uid: str | None = None


class _DeleteOptions(msgspec.Struct, frozen=True, rename="camel"):
    """`DeleteOptions` of apimachinery's meta/v1."""

    grace_period_seconds: int | None = None
    propagation_policy: str | None = None
    preconditions: _Preconditions = _Preconditions()
    dry_run: list[str] = []


def _delete_options(call: Call, request: Request) -> _DeleteOptions:
    """From the body, or from the parameters of the path where there is none."""
    query: dict[str, Any] = {k: v for k, v in call.query.items() if k != "dryRun"}
    try:
        if request.body.strip():
            return msgspec.json.decode(request.body, type=_DeleteOptions)
        return msgspec.convert(query, type=_DeleteOptions, strict=False)
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise RemoteProtocolError(f"DeleteOptions: {error}") from None


def _tree(request: Request) -> dict[str, Any]:
    return tree_of(request.body, request.headers.get("content-type", ""))


def _version(tree: dict[str, Any]) -> str:
    """The `resourceVersion` that a client has read; empty where it does not care."""
    meta = tree.get("metadata")
    return str(meta.get("resourceVersion") or "") if isinstance(meta, dict) else ""
