"""What people ask of themselves: `kubectl auth can-i`, `auth can-i --list`, `auth whoami`.

Every authenticated user may ask (Kubernetes: role system:basic-user). Objects: authorization.k8s.io
and authentication.k8s.io, v1.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec

from kfwd_nb.errors import RemoteProtocolError
from kfwd_nb.kube.resources import RESOURCES
from kfwd_nb.relay.api.bodies import tree_of
from kfwd_nb.relay.rbac import Attributes

if TYPE_CHECKING:
    from kfwd_nb.relay.authentication import User
    from kfwd_nb.relay.rbac import Authorizer

AUTHORIZATION = "/apis/authorization.k8s.io/v1"
AUTHENTICATION = "/apis/authentication.k8s.io/v1"

IDENTITIES = frozenset({"users", "groups"})
"""What may be impersonated; in no namespace."""

KINDS = {
    f"{AUTHORIZATION}/selfsubjectaccessreviews": "SelfSubjectAccessReview",
    f"{AUTHORIZATION}/selfsubjectrulesreviews": "SelfSubjectRulesReview",
    f"{AUTHENTICATION}/selfsubjectreviews": "SelfSubjectReview",
}
"""The paths that take a review by POST, and its kind."""


class _ResourceAttributes(msgspec.Struct, frozen=True):
    namespace: str = ""
    verb: str = ""
    group: str = ""
    resource: str = ""
    subresource: str = ""
    name: str = ""


class _NonResourceAttributes(msgspec.Struct, frozen=True, rename="camel"):
    path: str = ""
    verb: str = ""


class _Spec(msgspec.Struct, frozen=True, rename="camel"):
    resource_attributes: _ResourceAttributes | None = None
    non_resource_attributes: _NonResourceAttributes | None = None
    namespace: str = ""


class _Review(msgspec.Struct, frozen=True):
    spec: _Spec = _Spec()


def review(
    path: str, body: bytes, media_type: str, user: User, authorizer: Authorizer
) -> dict[str, Any]:
    """The answer to a review, by the path that it was posted to.

    Raises:
        RemoteProtocolError, UnsupportedMediaTypeError: the body is no such review.
    """
    kind = KINDS[path]
    try:
        spec = msgspec.convert(tree_of(body, media_type), type=_Review).spec
    except msgspec.ValidationError as error:
        raise RemoteProtocolError(f"{kind}: {error}") from None
    shown: dict[str, Any] = {}
    if kind == "SelfSubjectAccessReview":
        shown = {"spec": msgspec.to_builtins(spec)}
        status = _access(spec, user, authorizer)
    elif kind == "SelfSubjectRulesReview":
        status = authorizer.rules_of(user, spec.namespace)
    else:
        status = {"userInfo": {"username": user.name, "groups": sorted(user.groups)}}
    version = path.removeprefix("/apis/").rpartition("/")[0]
    return {"kind": kind, "apiVersion": version, "metadata": {}, **shown, "status": status}


def _namespaced(asked: _ResourceAttributes) -> bool:
    """The resource is in namespaces; clients name theirs in every review."""
    if asked.resource in IDENTITIES:
        return False
    wanted = asked.resource, asked.group
    return all(each.namespaced for each in RESOURCES if (each.plural, each.group) == wanted)


def _access(spec: _Spec, user: User, authorizer: Authorizer) -> dict[str, Any]:
    asked = spec.resource_attributes
    if asked is not None:
        wanted = Attributes(
            asked.verb,
            asked.resource + (f"/{asked.subresource}" if asked.subresource else ""),
            asked.group,
            asked.namespace or None if _namespaced(asked) else None,
            asked.name,
        )
        return {"allowed": authorizer.allows(user, wanted)}
    if spec.non_resource_attributes is not None:
        return {"allowed": spec.non_resource_attributes.verb in ("get", "head")}
    raise RemoteProtocolError("spec: one of resourceAttributes, nonResourceAttributes is required")
