"""Kubernetes objects, as far as this project knows them: typed, camelCase on the wire.

The same types are read from manifests, kept in the relay's store, sent to the node agents and
listed by clients. Field names and meanings: the Kubernetes API reference (core/v1, apps/v1).
Reading a cluster's own objects ignores the fields that are not here; reading a manifest refuses
them (`kube.manifests`).
"""

from __future__ import annotations

from typing import Any, Literal

import msgspec

DEFAULT_NAMESPACE = "default"
"""The namespace of what names none. It is there from the start, and stays."""

PodPhase = Literal["Pending", "Running", "Succeeded", "Failed", "Unknown"]


class Model(msgspec.Struct, rename="camel", omit_defaults=True, kw_only=True):
    """Base of all objects. What is in the store is shared: replace it, never change it in place."""


class Spelled(Model, omit_defaults=False):
    """A part whose defaults are written out, as an API server shows them; clients rely on it."""


class OwnerReference(Model):
    """Who made an object: a Deployment its pods."""

    kind: str
    name: str
    uid: str = ""
    api_version: str = ""
    controller: bool = False


class ObjectMeta(Model):
    """`metadata` of every object."""

    name: str = ""
    generate_name: str = ""
    namespace: str = ""
    uid: str = ""
    resource_version: str = ""
    creation_timestamp: str | None = None
    deletion_timestamp: str | None = None
    deletion_grace_period_seconds: int | None = None
    labels: dict[str, str] = {}
    annotations: dict[str, str] = {}
    owner_references: list[OwnerReference] = []


class EnvVar(Model):
    """One variable of a container's environment; `$(NAME)` in the value is expanded."""

    name: str
    value: str = ""


class ContainerPort(Spelled):
    """A port that a container says it listens on."""

    container_port: int
    name: str = ""
    protocol: Literal["TCP", "UDP", "SCTP"] = "TCP"


class TCPSocketAction(Model):
    """Probe: the port accepts a connection."""

    port: int | str
    host: str = ""


class HTTPGetAction(Model):
    """Probe: GET answers 200 to 399."""

    port: int | str
    path: str = "/"
    host: str = ""
    scheme: Literal["HTTP", "HTTPS"] = "HTTP"


class Probe(Model):
    """When a container counts as ready. Times are seconds."""

    tcp_socket: TCPSocketAction | None = None
    http_get: HTTPGetAction | None = None
    initial_delay_seconds: int = 0
    period_seconds: int = 10
    timeout_seconds: int = 1
    success_threshold: int = 1
    failure_threshold: int = 3


class SecurityContext(Model):
    """Whom a container runs as."""

    run_as_user: int | None = None


class Container(Model):
    """One container: a command from the host's file system; `image` is never pulled."""

    name: str
    image: str = ""
    command: list[str] = []
    args: list[str] = []
    env: list[EnvVar] = []
    ports: list[ContainerPort] = []
    working_dir: str = ""
    security_context: SecurityContext | None = None
    readiness_probe: Probe | None = None


class PodSpec(Spelled):
    """What a pod is to be. API servers always show a security context; `kubectl debug` needs it."""

    containers: list[Container] = []
    node_name: str = ""
    restart_policy: Literal["Always", "OnFailure", "Never"] = "Always"
    termination_grace_period_seconds: int = 2
    security_context: SecurityContext | None = msgspec.field(default_factory=SecurityContext)


class ContainerStatus(Spelled):
    """What became of a container. `state` as Kubernetes writes it: running, waiting, terminated."""

    name: str
    ready: bool = False
    restart_count: int = 0
    state: dict[str, dict[str, Any]] = {}
    last_state: dict[str, dict[str, Any]] = {}
    image: str = ""
    image_id: str = msgspec.field(default="", name="imageID")


class Condition(Model):
    """One condition of a pod, a node or a deployment."""

    type: str
    status: Literal["True", "False", "Unknown"]
    reason: str = ""
    message: str = ""
    last_transition_time: str | None = None


READY = "Ready"
"""The condition that says whether a pod answers, or whether the relay reaches a node."""


def condition(conditions: list[Condition], kind: str = READY) -> Condition | None:
    """The condition of that type, if it is there."""
    return next((each for each in conditions if each.type == kind), None)


def is_true(conditions: list[Condition], kind: str = READY) -> bool:
    """The condition of that type is there and True."""
    return any(each.type == kind and each.status == "True" for each in conditions)


class PodStatus(Spelled):
    """What a pod is now, as its node's agent reports it."""

    phase: PodPhase = "Pending"
    conditions: list[Condition] = []
    container_statuses: list[ContainerStatus] = []
    reason: str = ""
    message: str = ""
    host_ip: str = msgspec.field(default="", name="hostIP")
    pod_ip: str = msgspec.field(default="", name="podIP")
    start_time: str | None = None


class Object(Spelled):
    """What every object of the store has."""

    api_version: str = ""
    kind: str = ""
    metadata: ObjectMeta = msgspec.field(default_factory=ObjectMeta)


class Pod(Object):
    """core/v1 Pod."""

    api_version: str = "v1"
    kind: str = "Pod"
    spec: PodSpec = msgspec.field(default_factory=PodSpec)
    status: PodStatus = msgspec.field(default_factory=PodStatus)

    @property
    def ready(self) -> bool:
        """The condition Ready is True."""
        return is_true(self.status.conditions)


class ServicePort(Spelled):
    """One port of a service, and the pods' port (number or name) it leads to."""

    port: int
    name: str = ""
    protocol: Literal["TCP", "UDP", "SCTP"] = "TCP"
    target_port: int | str | None = None


class ServiceSpec(Spelled):
    """Which pods a service leads to, by their labels."""

    selector: dict[str, str] = {}
    ports: list[ServicePort] = []
    type: str = "ClusterIP"
    cluster_ip: str = msgspec.field(default="", name="clusterIP")


class Service(Object):
    """core/v1 Service."""

    api_version: str = "v1"
    kind: str = "Service"
    spec: ServiceSpec = msgspec.field(default_factory=ServiceSpec)


class LabelSelectorRequirement(Model):
    """One condition on a label; In and NotIn name values."""

    key: str
    operator: Literal["In", "NotIn", "Exists", "DoesNotExist"]
    values: list[str] = []


class LabelSelector(Model):
    """Labels that a pod must have: all of both lists hold (meta/v1; see `kube.selectors`)."""

    match_labels: dict[str, str] = {}
    match_expressions: list[LabelSelectorRequirement] = []


class PodTemplate(Model):
    """The pods that a deployment makes."""

    metadata: ObjectMeta = msgspec.field(default_factory=ObjectMeta)
    spec: PodSpec = msgspec.field(default_factory=PodSpec)


class DeploymentSpec(Spelled):
    """How many pods of which form."""

    replicas: int = 1
    selector: LabelSelector = msgspec.field(default_factory=LabelSelector)
    template: PodTemplate = msgspec.field(default_factory=PodTemplate)


class DeploymentStatus(Spelled):
    """How far a deployment is."""

    replicas: int = 0
    ready_replicas: int = 0
    updated_replicas: int = 0
    available_replicas: int = 0


class Deployment(Object):
    """apps/v1 Deployment."""

    api_version: str = "apps/v1"
    kind: str = "Deployment"
    spec: DeploymentSpec = msgspec.field(default_factory=DeploymentSpec)
    status: DeploymentStatus = msgspec.field(default_factory=DeploymentStatus)


class WorkloadSpec(Model):
    """What the other kinds that make pods have in common, as far as a forward needs it."""

    selector: LabelSelector = msgspec.field(default_factory=LabelSelector)


class ReplicaSet(Object):
    """apps/v1 ReplicaSet, of other clusters."""

    api_version: str = "apps/v1"
    kind: str = "ReplicaSet"
    spec: WorkloadSpec = msgspec.field(default_factory=WorkloadSpec)


class StatefulSet(Object):
    """apps/v1 StatefulSet, of other clusters."""

    api_version: str = "apps/v1"
    kind: str = "StatefulSet"
    spec: WorkloadSpec = msgspec.field(default_factory=WorkloadSpec)


class DaemonSet(Object):
    """apps/v1 DaemonSet, of other clusters."""

    api_version: str = "apps/v1"
    kind: str = "DaemonSet"
    spec: WorkloadSpec = msgspec.field(default_factory=WorkloadSpec)


class Job(Object):
    """batch/v1 Job, of other clusters."""

    api_version: str = "batch/v1"
    kind: str = "Job"
    spec: WorkloadSpec = msgspec.field(default_factory=WorkloadSpec)


class Namespace(Object):
    """core/v1 Namespace."""

    api_version: str = "v1"
    kind: str = "Namespace"
    status: dict[str, Any] = msgspec.field(default_factory=lambda: {"phase": "Active"})


class NodeAddress(Model):
    """Where a node can be reached."""

    type: str
    address: str


class DaemonEndpoint(Model):
    """The port that a node's agent listens on."""

    port: int = msgspec.field(default=0, name="Port")


class DaemonEndpoints(Model):
    """`kubeletEndpoint`: the agent's own."""

    kubelet_endpoint: DaemonEndpoint = msgspec.field(default_factory=DaemonEndpoint)


class NodeStatus(Model):
    """What a node's agent says of itself when it registers, and whether the relay reaches it."""

    addresses: list[NodeAddress] = []
    daemon_endpoints: DaemonEndpoints = msgspec.field(default_factory=DaemonEndpoints)
    conditions: list[Condition] = []


class Node(Object):
    """core/v1 Node."""

    api_version: str = "v1"
    kind: str = "Node"
    status: NodeStatus = msgspec.field(default_factory=NodeStatus)

    @property
    def ready(self) -> bool:
        """The relay reaches the node's agent."""
        return is_true(self.status.conditions)


AnyObject = Pod | Service | Deployment | Namespace | Node

Workload = Deployment | ReplicaSet | StatefulSet | DaemonSet | Job
"""What makes pods, and selects them by their labels."""

ISOLATION_ANNOTATION = "kfwd/isolation"
"""On a Node: how its agent keeps pods apart: netns, userns or loopback."""

PID_ANNOTATION = "kfwd/pid"
"""On a Pod: PID (in the agent's PID namespace) of the process that holds the pod's namespaces; in
loopback isolation, of its first process."""

FOUND_ANNOTATION = "kfwd/found-by"
"""On a Pod that its node's agent has found, and on a Node whose agent only finds pods: by what
(cri). The relay shows such pods, and starts and ends none; as a kubelet's mirror pods."""

RESERVED = "kfwd/"
"""What the names of annotations begin with that only agents and the relay write."""

CLUSTER_ANNOTATION = "kfwd/cluster"
"""On every Node of an embedded cluster: the cluster's name. What can destroy looks for it."""


def matches(selector: dict[str, str], labels: dict[str, str]) -> bool:
    """Equality-based selection; an empty selector matches nothing (a service without one)."""
    return bool(selector) and all(labels.get(key) == value for key, value in selector.items())
