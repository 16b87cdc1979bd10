"""Paths and methods of the REST API to what is meant by them. Pure.

The forms are those of the Kubernetes API concepts page ("Resource URIs"):

    /api/v1/pods                                 all pods
    /api/v1/namespaces/NS/pods                   the pods of a namespace
    /api/v1/namespaces/NS/pods/NAME              one pod
    /api/v1/namespaces/NS/pods/NAME/portforward  a subresource of it
    /apis/apps/v1/...                            the same for a named group
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import cast
from urllib.parse import SplitResult, parse_qsl, unquote, urlsplit

from kfwd_nb.errors import NotFoundError, RemoteProtocolError
from kfwd_nb.kube.objects import AnyObject
from kfwd_nb.kube.resources import (
    DEPLOYMENTS,
    NAMESPACES,
    NODES,
    PODS,
    RESOURCES,
    SERVICES,
    Resource,
)
from kfwd_nb.relay.api.status import MethodNotAllowedError
from kfwd_nb.relay.rbac import Attributes

VERBS: dict[tuple[str, bool], str] = {
    ("GET", False): "list",
    ("GET", True): "get",
    ("HEAD", True): "get",
    ("POST", False): "create",
    ("POST", True): "create",
    ("PUT", True): "update",
    ("PATCH", True): "patch",
    ("DELETE", True): "delete",
    ("DELETE", False): "deletecollection",
}
"""Kubernetes' verb for a method, on a list (False) or one object (True)."""

MAX_PARAMETERS = 50
"""Parameters of a query."""

COMMON_VERBS = frozenset({"get", "list", "watch", "create", "update", "patch", "delete"})

SERVED: dict[str, frozenset[str]] = {
    PODS.plural: COMMON_VERBS,
    "pods/portforward": frozenset({"get", "create"}),
    SERVICES.plural: COMMON_VERBS,
    DEPLOYMENTS.plural: COMMON_VERBS,
    "deployments/scale": frozenset({"get", "update", "patch"}),
    NAMESPACES.plural: COMMON_VERBS,
    NODES.plural: COMMON_VERBS - {"create", "patch"},
}
"""The verbs that each resource and subresource knows. A node is created by its agent's PUT."""


def subresources(resource: Resource) -> list[str]:
    """What can be asked below one object."""
    return [name.partition("/")[2] for name in SERVED if name.startswith(f"{resource.plural}/")]


@dataclass(frozen=True, slots=True)
class Call:
    """One request on a resource.

    Attributes:
        verb: as rules name it.
        namespace: None where the path names none.
        name: empty for a list.
        subresource: empty, or what follows the name.
        query: the parameters, the last one of each name.
    """

    verb: str
    resource: Resource
    namespace: str | None
    name: str
    subresource: str
    query: dict[str, str]

    @property
    def attributes(self) -> Attributes:
        """What the rules are asked for."""
        return Attributes(
            self.verb,
            self.served,
            self.resource.group,
            self.namespace if self.resource.namespaced else None,
            self.name,
        )

    @property
    def served(self) -> str:
        """The resource with its subresource, as `SERVED` and rules name it."""
        return self.resource.plural + (f"/{self.subresource}" if self.subresource else "")

    @property
    def kind(self) -> type[AnyObject]:
        """The type of the objects that are meant."""
        return cast("type[AnyObject]", self.resource.type)

    @property
    def dry_run(self) -> bool:
        """The answer shall be given, and nothing changed."""
        return self.query.get("dryRun") == "All"


def is_true(text: str) -> bool:
    """A parameter is true (the words of Go's `strconv.ParseBool`)."""
    return text in ("1", "t", "T", "true", "TRUE", "True")


def path_of(target: str) -> str:
    """The path of a request target, without its query and a slash at its end.

    Raises:
        RemoteProtocolError: it is no request target.
    """
    return _split(target).path.rstrip("/") or "/"


def _split(target: str) -> SplitResult:
    try:
        return urlsplit(target)
    except ValueError as error:
        raise RemoteProtocolError(f"the request target is none: {error}.") from None


def _query(target: str) -> dict[str, str]:
    text = _split(target).query
    try:
        return dict(parse_qsl(text, keep_blank_values=True, max_num_fields=MAX_PARAMETERS))
    except ValueError:
        raise RemoteProtocolError(
            f"the request has more than {MAX_PARAMETERS} parameters."
        ) from None


def route(method: str, target: str) -> Call:
    """What a method on a request target (path and query) asks for.

    Raises:
        RemoteProtocolError: it is no request target.
        NotFoundError: nothing is there.
        MethodNotAllowedError: something is, but it does not know that method.
    """
    query = _query(target)
    for resource in RESOURCES:
        place = _match(resource, path_of(target))
        if place is not None:
            namespace, name, subresource = place
            verb = VERBS.get((method, bool(name)), method.lower())
            if verb == "list" and is_true(query.get("watch", "")):
                verb = "watch"
            call = Call(verb, resource, namespace, name, subresource, query)
            _check_served(call, method)
            return call
    raise not_found()


def not_found() -> NotFoundError:
    """What Kubernetes answers for a path that it does not know."""
    return NotFoundError("the server could not find the requested resource")


def _match(resource: Resource, path: str) -> tuple[str | None, str, str] | None:
    """(namespace, name, subresource) if the path is one of the resource's, else None."""
    if not path.startswith(f"{resource.base}/"):
        return None
    parts = [unquote(part) for part in path[len(resource.base) + 1 :].split("/")]
    namespace = None
    if resource.namespaced and len(parts) >= 3 and parts[0] == "namespaces":
        namespace, parts = parts[1], parts[2:]
    plural, *rest = parts
    if plural != resource.plural or not all(rest) or len(rest) > 2:
        return None
    if resource.namespaced and namespace is None and rest:
        return None
    name, subresource = (*rest, "", "")[:2]
    if subresource and subresource not in subresources(resource):
        return None
    return namespace, name, subresource


def _check_served(call: Call, method: str) -> None:
    served = call.verb in SERVED[call.served]
    if not served or (call.verb == "create" and not _creatable(call)):
        raise MethodNotAllowedError(f"the server does not allow {method} on {call.served}")


def _creatable(call: Call) -> bool:
    if call.name:
        return bool(call.subresource)
    return call.namespace is not None or not call.resource.namespaced
