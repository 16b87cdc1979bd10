"""What `kubectl get` prints: the columns of each kind, and the cells of an object. Pure.

Columns, their order and their words are those of Kubernetes (`pkg/printers/internalversion`), so
that scripts which cut columns out work here too.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from kfwd_nb.kube.objects import (
    ISOLATION_ANNOTATION,
    Container,
    ContainerStatus,
    Deployment,
    Namespace,
    Node,
    Object,
    Pod,
    Service,
)
from kfwd_nb.kube.podstate import FINISHED, status_word
from kfwd_nb.kube.resources import Resource
from kfwd_nb.kube.selectors import selector_text

NONE = "<none>"
UNKNOWN = "<unknown>"

Cell = str | int


@dataclass(frozen=True, slots=True)
class Column:
    """A column: its heading, and whether it is shown only with `-o wide`."""

    name: str
    type: str = "string"
    wide: bool = False

    @property
    def definition(self) -> dict[str, Any]:
        """As a `Table` has it; the field `format` marks the column of names."""
        return {
            "name": self.name,
            "type": self.type,
            "format": "name" if self.name == "Name" else "",
            "description": "",
            "priority": int(self.wide),
        }


def _columns(shown: str, wide: str = "", numbers: str = "") -> tuple[Column, ...]:
    """Columns by their headings, separated by `|`."""
    return tuple(
        Column(name, "integer" if name in numbers.split("|") else "string", wide=extra)
        for names, extra in ((shown, False), (wide, True))
        for name in names.split("|")
        if name
    )


def columns_of(resource: Resource) -> tuple[Column, ...]:
    """The columns of a kind."""
    return _TABLES[resource.type][0]


def row_of(resource: Resource, item: Object, now: float) -> list[Cell]:
    """The cells of an object, one for each column; `now` is an epoch in seconds."""
    return _TABLES[resource.type][1](item, now)


def age(since: str | None, now: float) -> str:
    """How long ago a timestamp is, in two units at most (apimachinery `HumanDuration`)."""
    if since is None:
        return UNKNOWN
    try:
        seconds = int(now - datetime.fromisoformat(since).timestamp())
    except (ValueError, OverflowError):
        return "<invalid>"
    if seconds < -1:
        return "<invalid>"
    minutes, hours, days = seconds // 60, seconds // 3600, seconds // 86400
    for fits, text in (
        (seconds < 120, f"{max(0, seconds)}s"),
        (minutes < 10, _two(minutes, "m", seconds % 60, "s")),
        (minutes < 180, f"{minutes}m"),
        (hours < 8, _two(hours, "h", minutes % 60, "m")),
        (hours < 48, f"{hours}h"),
        (days < 8, _two(days, "d", hours % 24, "h")),
        (days < 730, f"{days}d"),
        (days < 8 * 365, _two(days // 365, "y", days % 365, "d")),
    ):
        if fits:
            return text
    return f"{days // 365}y"


def _two(large: int, unit: str, small: int, smaller: str) -> str:
    return f"{large}{unit}{small}{smaller}" if small else f"{large}{unit}"


# -- pods -----------------------------------------------------------------------------------------


def _pod(pod: Pod, now: float) -> list[Cell]:
    statuses = pod.status.container_statuses
    ready = sum(status.ready for status in statuses)
    return [
        pod.metadata.name,
        f"{ready}/{len(pod.spec.containers)}",
        _pod_status(pod),
        _restarts(statuses, now),
        age(pod.metadata.creation_timestamp, now),
        pod.status.pod_ip or NONE,
        pod.spec.node_name or NONE,
        NONE,
        NONE,
    ]


def _pod_status(pod: Pod) -> str:
    """A finished pod shows how its container ended: Completed, Error."""
    word = status_word(pod)
    if word not in FINISHED:
        return word
    ends = [status.state.get("terminated", {}) for status in pod.status.container_statuses]
    return next((str(end["reason"]) for end in ends if end.get("reason")), word)


def _restarts(statuses: list[ContainerStatus], now: float) -> str:
    count = sum(status.restart_count for status in statuses)
    ends = [s.last_state.get("terminated", {}).get("finishedAt") for s in statuses]
    last = max((str(end) for end in ends if end), default=None)
    return f"{count} ({age(last, now)} ago)" if count and last else str(count)


# -- other kinds ----------------------------------------------------------------------------------


def _service(service: Service, now: float) -> list[Cell]:
    spec = service.spec
    return [
        service.metadata.name,
        spec.type,
        spec.cluster_ip or NONE,
        NONE,
        ",".join(f"{port.port}/{port.protocol}" for port in spec.ports) or NONE,
        age(service.metadata.creation_timestamp, now),
        _pairs(spec.selector),
    ]


def _deployment(deployment: Deployment, now: float) -> list[Cell]:
    spec, status = deployment.spec, deployment.status
    containers: list[Container] = spec.template.spec.containers
    return [
        deployment.metadata.name,
        f"{status.ready_replicas}/{spec.replicas}",
        status.updated_replicas,
        status.available_replicas,
        age(deployment.metadata.creation_timestamp, now),
        ",".join(each.name for each in containers),
        ",".join(each.image for each in containers),
        selector_text(spec.selector),
    ]


def _namespace(namespace: Namespace, now: float) -> list[Cell]:
    phase = str(namespace.status.get("phase", ""))
    return [namespace.metadata.name, phase, age(namespace.metadata.creation_timestamp, now)]


def _node(node: Node, now: float) -> list[Cell]:
    addresses = {each.type: each.address for each in node.status.addresses}
    isolation = node.metadata.annotations.get(ISOLATION_ANNOTATION)
    return [
        node.metadata.name,
        "Ready" if node.ready else "NotReady",
        NONE,
        age(node.metadata.creation_timestamp, now),
        UNKNOWN,
        addresses.get("InternalIP", NONE),
        addresses.get("ExternalIP", NONE),
        UNKNOWN,
        UNKNOWN,
        f"kfwd://{isolation}" if isolation else UNKNOWN,
    ]


def _pairs(labels: Mapping[str, str]) -> str:
    return ",".join(f"{key}={value}" for key, value in sorted(labels.items())) or NONE


_TABLES: Mapping[type[Object], tuple[tuple[Column, ...], Callable[[Any, float], list[Cell]]]] = {
    Pod: (
        _columns("Name|Ready|Status|Restarts|Age", wide="IP|Node|Nominated Node|Readiness Gates"),
        _pod,
    ),
    Service: (_columns("Name|Type|Cluster-IP|External-IP|Port(s)|Age", wide="Selector"), _service),
    Deployment: (
        _columns(
            "Name|Ready|Up-to-date|Available|Age",
            wide="Containers|Images|Selector",
            numbers="Up-to-date|Available",
        ),
        _deployment,
    ),
    Namespace: (_columns("Name|Status|Age"), _namespace),
    Node: (
        _columns(
            "Name|Status|Roles|Age|Version",
            wide="Internal-IP|External-IP|OS-Image|Kernel-Version|Container-Runtime",
        ),
        _node,
    ),
}
