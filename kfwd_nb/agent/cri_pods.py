"""A pod as a container runtime knows it, and the Pod that it is shown as. No I/O.

Field names: the CRI's `runtime/v1`. Labels and annotations in which a kubelet leaves what the CRI
has no field for: `kubelet/kuberuntime/labels.go` of Kubernetes.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

import msgspec

from kfwd_nb.kube.objects import (
    FOUND_ANNOTATION,
    PID_ANNOTATION,
    Condition,
    Container,
    ContainerPort,
    ContainerStatus,
    ObjectMeta,
    Pod,
    PodPhase,
    PodSpec,
    PodStatus,
)
from kfwd_nb.kube.timestamps import timestamp

FOUND_BY_CRI = "cri"
"""What `FOUND_ANNOTATION` says of pods that come from here."""

PORTS = "io.kubernetes.container.ports"
"""Annotation of a container: its declared ports, JSON."""

RESTARTS = "io.kubernetes.container.restartCount"
"""Annotation of a container: how often it was started again."""

NOT_READY = "SandboxNotReady"
"""Reason of a pod whose sandbox has ended and is not removed yet."""

SECOND = 1_000_000_000
"""The CRI counts nanoseconds."""


@dataclass(frozen=True, slots=True)
class FoundContainer:
    """A container of a sandbox.

    Attributes:
        created: nanoseconds since the epoch.
        exit_code: None until it has ended.
        finished: nanoseconds since the epoch.
    """

    id: str
    name: str
    running: bool
    created: int
    image: str = ""
    image_id: str = ""
    exit_code: int | None = None
    reason: str = ""
    finished: int = 0
    annotations: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class FoundPod:
    """A pod sandbox, and what is in it.

    Attributes:
        id: the sandbox's.
        created: nanoseconds since the epoch.
        ready: the sandbox runs.
        pid: of its first process, 0 where the runtime does not tell.
        netns: path of its network namespace, empty where the runtime does not tell.
        ip: empty for a pod in the node's own network.
    """

    id: str
    namespace: str
    name: str
    uid: str
    created: int
    ready: bool
    labels: Mapping[str, str] = field(default_factory=dict)
    annotations: Mapping[str, str] = field(default_factory=dict)
    pid: int = 0
    netns: str = ""
    ip: str = ""
    containers: tuple[FoundContainer, ...] = ()

    @property
    def key(self) -> tuple[str, str]:
        """Namespace and name."""
        return self.namespace, self.name


def newest(found: Iterable[FoundPod]) -> dict[tuple[str, str], FoundPod]:
    """One sandbox for each pod: one that runs before one that does not, then the youngest.

    A kubelet leaves the sandboxes of former attempts in place for a while.
    """
    best: dict[tuple[str, str], FoundPod] = {}
    for each in sorted(found, key=lambda pod: (pod.ready, pod.created)):
        best[each.key] = each
    return best


def pod_of(found: FoundPod, node: str) -> Pod:
    """The Pod that the relay is told of."""
    containers = _attempts(found.containers)
    annotations = {**found.annotations, FOUND_ANNOTATION: FOUND_BY_CRI}
    if found.ready and found.pid:
        annotations[PID_ANNOTATION] = str(found.pid)
    began = timestamp(found.created / SECOND)
    return Pod(
        metadata=ObjectMeta(
            name=found.name,
            namespace=found.namespace,
            uid=found.uid or found.id,
            labels=dict(found.labels),
            annotations=annotations,
            creation_timestamp=began,
        ),
        spec=PodSpec(
            node_name=node,
            containers=[
                Container(name=each.name, image=each.image, ports=_ports(each))
                for each in containers
            ],
        ),
        status=PodStatus(
            phase=_phase(found, containers),
            conditions=_conditions(found, containers, began),
            container_statuses=[_status(each) for each in containers],
            reason="" if found.ready else NOT_READY,
            message="" if found.ready else "the pod's sandbox has ended",
            pod_ip=found.ip,
            start_time=began,
        ),
    )


def _attempts(containers: Iterable[FoundContainer]) -> list[FoundContainer]:
    """Of each name the last that was created, in the order of their first creation."""
    last: dict[str, FoundContainer] = {}
    for each in sorted(containers, key=lambda one: one.created):
        last[each.name] = each
    return list(last.values())


def _phase(found: FoundPod, containers: list[FoundContainer]) -> PodPhase:
    if found.ready:
        return "Running"
    well = containers and all(each.exit_code == 0 for each in containers)
    return "Succeeded" if well else "Failed"


def _conditions(found: FoundPod, containers: list[FoundContainer], began: str) -> list[Condition]:
    """Ready when all containers run; one that ended well was an init container.

    Readiness probes are the kubelet's affair: the CRI does not know of them.
    """
    unready = [each.name for each in containers if not (each.running or each.exit_code == 0)]
    ready = found.ready and not unready
    reason = "" if ready else "ContainersNotReady" if found.ready else NOT_READY
    message = f"containers with unready status: [{' '.join(unready)}]" if unready else ""
    return [
        Condition(type="PodScheduled", status="True", last_transition_time=began),
        Condition(
            type="Ready",
            status="True" if ready else "False",
            reason=reason,
            message=message,
            last_transition_time=began,
        ),
    ]


def _status(container: FoundContainer) -> ContainerStatus:
    restarts = container.annotations.get(RESTARTS, "")
    return ContainerStatus(
        name=container.name,
        ready=container.running,
        restart_count=int(restarts) if restarts.isdecimal() else 0,
        state=_state(container),
        image=container.image,
        image_id=container.image_id,
    )


def _state(container: FoundContainer) -> dict[str, dict[str, Any]]:
    if container.running:
        return {"running": {"startedAt": timestamp(container.created / SECOND)}}
    if container.exit_code is None:
        return {"waiting": {"reason": "ContainerCreating"}}
    return {
        "terminated": {
            "exitCode": container.exit_code,
            "reason": container.reason or ("Error" if container.exit_code else "Completed"),
            "finishedAt": timestamp(container.finished / SECOND),
        }
    }


def _ports(container: FoundContainer) -> list[ContainerPort]:
    try:
        return msgspec.json.decode(container.annotations.get(PORTS, "[]"), type=list[ContainerPort])
    except msgspec.DecodeError:  # somebody else's annotation
        return []
