"""The kinds of objects and their places in the Kubernetes REST API.

Paths are those of the Kubernetes API concepts page: `/api/v1` for the core group,
`/apis/GROUP/VERSION` for the others, then `/namespaces/NAMESPACE` for what is namespaced.
"""

from __future__ import annotations

from dataclasses import dataclass

from kfwd_nb.kube.objects import (
    AnyObject,
    DaemonSet,
    Deployment,
    Job,
    Namespace,
    Node,
    Object,
    Pod,
    ReplicaSet,
    Service,
    StatefulSet,
)


@dataclass(frozen=True, slots=True)
class Resource:
    """One kind, as paths, rules and messages name it.

    Attributes:
        type: its objects.
        plural: its name in paths and rules.
        group: API group; empty for the core group.
        short: the short names that people type.
        namespaced: its objects live in namespaces.
        subresources: what can be asked below one object.
    """

    type: type[AnyObject | ReplicaSet | StatefulSet | DaemonSet | Job]
    plural: str
    group: str = ""
    short: tuple[str, ...] = ()
    namespaced: bool = True
    subresources: tuple[str, ...] = ()

    @property
    def kind(self) -> str:
        """Its name in manifests."""
        return self.type.__name__

    @property
    def api_version(self) -> str:
        """`apiVersion` of its objects."""
        return f"{self.group}/v1" if self.group else "v1"

    @property
    def base(self) -> str:
        """The path of its group and version."""
        return f"/apis/{self.group}/v1" if self.group else "/api/v1"

    def path(self, namespace: str | None = None, name: str = "") -> str:
        """The path of one object, or of the list: of a namespace or, with None, of all."""
        place = f"/namespaces/{namespace}" if self.namespaced and namespace else ""
        return f"{self.base}{place}/{self.plural}" + (f"/{name}" if name else "")


PODS = Resource(Pod, "pods", short=("po",), subresources=("portforward",))
SERVICES = Resource(Service, "services", short=("svc",))
DEPLOYMENTS = Resource(Deployment, "deployments", group="apps", short=("deploy",))
NAMESPACES = Resource(Namespace, "namespaces", short=("ns",), namespaced=False)
NODES = Resource(Node, "nodes", short=("no",), namespaced=False)

RESOURCES = (PODS, SERVICES, DEPLOYMENTS, NAMESPACES, NODES)
"""Every resource that our relay has."""

REPLICASETS = Resource(ReplicaSet, "replicasets", group="apps", short=("rs",))
STATEFULSETS = Resource(StatefulSet, "statefulsets", group="apps", short=("sts",))
DAEMONSETS = Resource(DaemonSet, "daemonsets", group="apps", short=("ds",))
JOBS = Resource(Job, "jobs", group="batch")

FOREIGN = (REPLICASETS, STATEFULSETS, DAEMONSETS, JOBS)
"""Those that other clusters have besides."""

_BY_TYPE: dict[type[Object], Resource] = {each.type: each for each in (*RESOURCES, *FOREIGN)}


def resource_of(kind: type[Object]) -> Resource:
    """The resource whose objects are of that type."""
    return _BY_TYPE[kind]
