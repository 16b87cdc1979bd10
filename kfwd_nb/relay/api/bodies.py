"""From the body of a request to an object that may go into the store. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

import msgspec

from kfwd_nb.errors import RemoteProtocolError
from kfwd_nb.kube.manifests.schema import FieldError, convert, field_error
from kfwd_nb.kube.manifests.validation import validate
from kfwd_nb.kube.objects import RESERVED, AnyObject, Deployment, Node, ObjectMeta, Pod
from kfwd_nb.relay.api import protobuf
from kfwd_nb.relay.api.patches import merge, strategic_merge
from kfwd_nb.relay.api.status import InvalidError, UnsupportedMediaTypeError
from kfwd_nb.relay.store import ConflictError, with_metadata

if TYPE_CHECKING:
    from collections.abc import Callable

    from kfwd_nb.relay.api.routes import Call

PATCHES: dict[str, Callable[[Any, Any], Any]] = {
    "application/merge-patch+json": merge,
    "application/strategic-merge-patch+json": strategic_merge,
}
"""How the kinds of patches are applied, by their media types."""


def tree_of(body: bytes, media_type: str = "") -> dict[str, Any]:
    """The body as a JSON object.

    Raises:
        RemoteProtocolError: it is something else.
        UnsupportedMediaTypeError: it is protobuf that cannot be read here.
    """
    if media_type.startswith(protobuf.MEDIA_TYPE):
        return protobuf.decode(body)
    try:
        tree = msgspec.json.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise RemoteProtocolError(f"the body is not JSON: {error}") from None
    if not isinstance(tree, dict):
        raise RemoteProtocolError("the body is not a JSON object")
    return cast("dict[str, Any]", tree)


def object_of(call: Call, tree: dict[str, Any]) -> AnyObject:
    """The object of a body, in the place that the path names.

    A field that has no effect here is dropped, one that would change what happens is refused.
    Annotations that only agents and the relay write (`RESERVED`) are dropped, but those of a node,
    which its agent sends.

    Raises:
        RemoteProtocolError: it is not such an object, or belongs elsewhere.
    """
    resource = call.resource
    kind = call.kind
    given = tree.get("kind") or resource.kind, tree.get("apiVersion") or resource.api_version
    if given != (resource.kind, resource.api_version):
        raise RemoteProtocolError(
            f"the body is a {given[1]} {given[0]}, the path is for "
            f"{resource.api_version} {resource.kind}"
        )
    try:
        # A node is what its agent says, and that may be newer than this relay.
        item = msgspec.convert(tree, kind) if kind is Node else convert(tree, kind)
    except (FieldError, msgspec.ValidationError) as error:
        wrong = error if isinstance(error, FieldError) else field_error(error)
        raise RemoteProtocolError(f"{resource.kind}: {_said(wrong)}") from None
    meta = item.metadata
    for what, said, path in (
        ("namespace", meta.namespace, call.namespace),
        ("name", meta.name, call.name),
    ):
        if said and path and said != path:
            raise RemoteProtocolError(f'the {what} "{said}" is not that of the path, "{path}"')
    item = with_metadata(item, namespace=call.namespace or "", name=meta.name or call.name)
    return item if isinstance(item, Node) else _unreserved(item)


def _unreserved(item: AnyObject) -> AnyObject:
    """The object, and the template of its pods, without the annotations of others."""
    if isinstance(item, Deployment):
        template = item.spec.template
        metadata = _without_reserved(template.metadata)
        template = msgspec.structs.replace(template, metadata=metadata)
        spec = msgspec.structs.replace(item.spec, template=template)
        item = msgspec.structs.replace(item, spec=spec)
    return msgspec.structs.replace(item, metadata=_without_reserved(item.metadata))


def _without_reserved(meta: ObjectMeta) -> ObjectMeta:
    kept = {k: v for k, v in meta.annotations.items() if not k.startswith(RESERVED)}
    return msgspec.structs.replace(meta, annotations=kept)


def _reserved(meta: ObjectMeta) -> dict[str, str]:
    return {k: v for k, v in meta.annotations.items() if k.startswith(RESERVED)}


def patched(call: Call, item: object, media_type: str, body: bytes) -> dict[str, Any]:
    """The tree of an object with the patch of a request applied.

    Raises:
        UnsupportedMediaTypeError: the patch is of another kind than `PATCHES`.
        RemoteProtocolError: it cannot be applied.
    """
    media = media_type.partition(";")[0].strip().lower()
    if media not in PATCHES:
        raise UnsupportedMediaTypeError(
            f"the body of the request was in an unknown format - accepted media types include: "
            f"{', '.join(PATCHES)}"
        )
    tree = PATCHES[media](msgspec.to_builtins(item), tree_of(body))
    if not isinstance(tree, dict):
        raise RemoteProtocolError(f"the patch leaves no {call.resource.kind}")
    return cast("dict[str, Any]", tree)


def successor(item: AnyObject, former: AnyObject, version: str) -> AnyObject:
    """What takes the place of `former`: that which only the cluster writes is kept.

    Args:
        item: what a client wants.
        former: what is in the store.
        version: the `resourceVersion` that the client has read; empty for any.

    Raises:
        ConflictError: the object was changed since it was read.
        InvalidError: it is not valid, or changes what may not be changed.
    """
    kept = former.metadata
    if version not in ("", kept.resource_version):
        raise ConflictError(
            f'Operation cannot be fulfilled on {item.kind} "{kept.name}": the object has been '
            "modified; please apply your changes to the latest version and try again"
        )
    check_valid(item)
    if isinstance(item, Pod) and isinstance(former, Pod) and item.spec != former.spec:
        problem = "Forbidden: pod updates may not change the spec"
        raise InvalidError("Pod", kept.name, "spec", problem)
    item = with_metadata(
        item,
        uid=kept.uid,
        resource_version=kept.resource_version,
        creation_timestamp=kept.creation_timestamp,
        deletion_timestamp=kept.deletion_timestamp,
        owner_references=kept.owner_references,
        annotations=item.metadata.annotations | _reserved(kept),
    )
    return with_status(item, former)


def check_valid(item: AnyObject) -> None:
    """Check what types cannot say.

    Raises:
        InvalidError: the first field that is wrong, in Kubernetes' words.
    """
    try:
        validate(item)
    except FieldError as error:
        name = item.metadata.name
        raise InvalidError(item.kind, name, error.path, error.problem, hint=error.hint) from None


def with_status(item: AnyObject, other: AnyObject) -> AnyObject:
    """The object with the other's status: what a client says of it does not count."""
    changes: dict[str, Any] = {"status": other.status} if hasattr(other, "status") else {}
    return msgspec.structs.replace(item, **changes)


def _said(error: FieldError) -> str:
    """With its hint: kubectl shows only the message."""
    return f"{error.what} {error.hint}" if error.hint else error.what
