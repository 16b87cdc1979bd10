"""From what a person names to one pod and one of its ports. Pure: objects in, a choice out.

The order of choice and the words of refusals are kubectl's (`pkg/cmd/portforward`,
`k8s.io/kubectl/pkg/util/podutils`), so that what is found on the web about them helps here too.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeVar

from kfwd_nb.errors import NoPortError, NotFoundError, UnavailableError
from kfwd_nb.kube.nearest import did_you_mean
from kfwd_nb.kube.objects import (
    ContainerPort,
    Deployment,
    Object,
    Pod,
    Service,
    ServicePort,
    Workload,
    condition,
    matches,
)
from kfwd_nb.kube.podstate import explain, status_word
from kfwd_nb.kube.selectors import selects
from kfwd_nb.ports import MAX_PORT, Target

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

NamedObject = TypeVar("NamedObject", bound=Object)

MAX_EXPLAINED = 3
"""How many pods a refusal explains one by one."""

_TITLES = {
    "svc": "Service",
    "deploy": "Deployment",
    "rs": "ReplicaSet",
    "sts": "StatefulSet",
    "ds": "DaemonSet",
    "job": "Job",
}

_PHASES = {"Pending": 0, "Unknown": 1, "Running": 2}
"""Nearness to running; a phase that is not here counts as the farthest."""


@dataclass(frozen=True, slots=True)
class Inventory:
    """What one namespace holds, as far as a choice needs it.

    Attributes:
        namespace: its name.
        namespaces: names of all namespaces; None when they are not known, and then not checked.
        workloads: ReplicaSets, StatefulSets, DaemonSets or Jobs.
    """

    namespace: str
    pods: Sequence[Pod] = ()
    services: Sequence[Service] = ()
    deployments: Sequence[Deployment] = ()
    namespaces: Sequence[str] | None = None
    workloads: Sequence[Workload] = ()


@dataclass(frozen=True, slots=True)
class Destination:
    """A pod and the port inside it."""

    pod: Pod
    port: int


def resolve(target: Target, remote: int | str, inventory: Inventory) -> Destination:
    """The pod and the port inside it that `target` and `remote` mean now.

    Raises:
        NotFoundError: no such namespace, object or port; the hint has the nearest names.
        UnavailableError: it exists, but no pod of it is running.
    """
    pod = choose_pod(target, inventory)
    return Destination(pod, remote_port(target, remote, pod, inventory))


def choose_pod(target: Target, inventory: Inventory) -> Pod:
    """The best pod of `target`, by kubectl's order.

    Raises:
        NotFoundError: no such namespace or object.
        UnavailableError: it has no pods, or the best one is not running.
    """
    pods = pods_of(target, inventory)
    if not pods:
        raise UnavailableError(
            f'{_title(target.kind)} "{target.name}" has no pods in namespace '
            f'"{inventory.namespace}".',
            hint="its selector matches no pod; look at the labels of the pods.",
        )
    return require_running(by_preference(pods)[0])


def pods_of(target: Target, inventory: Inventory) -> list[Pod]:
    """All pods that `target` selects, in any state.

    Raises:
        NotFoundError: no such namespace or object.
    """
    if target.kind == "svc":
        labels = find_service(target.name, inventory).spec.selector
        return [pod for pod in inventory.pods if matches(labels, pod.metadata.labels)]
    if target.kind == "pod":
        return [_find(target, inventory.pods, inventory)]
    selector = _workload(target, inventory).spec.selector
    return [pod for pod in inventory.pods if selects(selector, pod.metadata.labels)]


def _workload(target: Target, inventory: Inventory) -> Workload:
    if target.kind == "deploy":
        return _find(target, inventory.deployments, inventory)
    kind = _title(target.kind)
    return _find(target, [each for each in inventory.workloads if each.kind == kind], inventory)


def find_service(name: str, inventory: Inventory) -> Service:
    """The service of that name.

    Raises:
        NotFoundError: no such namespace or service.
    """
    return _find(Target("svc", name), inventory.services, inventory)


def by_preference(pods: Iterable[Pod]) -> list[Pod]:
    """Best first: assigned, Running, Ready, kept, longest ready, least restarted, oldest."""
    return sorted(pods, key=_preference)


def _preference(pod: Pod) -> tuple[bool, int, bool, bool, str, int, str]:
    """Sorts the better pod first; times are RFC 3339 in UTC, so they sort as text."""
    ready = condition(pod.status.conditions) if pod.ready else None
    return (
        not pod.spec.node_name,
        -_PHASES.get(pod.status.phase, 0),
        not pod.ready,
        pod.metadata.deletion_timestamp is not None,
        (ready and ready.last_transition_time) or "9",
        max((status.restart_count for status in pod.status.container_statuses), default=0),
        pod.metadata.creation_timestamp or "9",
    )


def require_running(pod: Pod) -> Pod:
    """The pod itself, if it runs.

    Raises:
        UnavailableError: in kubectl's words, with the reason that its containers give.
    """
    status = status_word(pod)
    if pod.status.phase == "Running" and status in ("Running", "Terminating"):
        return pod
    raise UnavailableError(
        f"unable to forward port because pod is not running. Current status={status} "
        f"({explain(pod)}).",
        hint=_NODE_LOST
        if status == "NodeLost"
        else "its command's own output says more than its state.",
    )


_NODE_LOST = "nobody hears from its node; it is Running again as soon as its node is heard of."


def ready_pods(service: Service, pods: Iterable[Pod]) -> list[Pod]:
    """The pods that the service leads to now.

    Raises:
        UnavailableError: there is none; the text says what its pods are doing.
    """
    chosen = [pod for pod in pods if matches(service.spec.selector, pod.metadata.labels)]
    ready = [pod for pod in chosen if pod.ready and pod.metadata.deletion_timestamp is None]
    if ready:
        return ready
    reasons = "; ".join(explain(pod) for pod in chosen[:MAX_EXPLAINED])
    raise UnavailableError(
        f'Service "{service.metadata.name}" in namespace "{service.metadata.namespace}" has no '
        f"ready pods ({reasons or 'its selector matches no pod'})."
    )


def remote_port(target: Target, remote: int | str, pod: Pod, inventory: Inventory) -> int:
    """The port inside `pod` that `remote` means when it is said of `target`.

    Raises:
        NotFoundError: the service or the pod has no such port; the hint lists those that it has.
    """
    if target.kind != "svc":
        return pod_port(pod, remote)
    service = find_service(target.name, inventory)
    if service.spec.cluster_ip == "None" and isinstance(remote, int):
        return remote
    return target_port(service_port(service, remote), pod)


def service_port(service: Service, remote: int | str) -> ServicePort:
    """The service's port of that number or name.

    Raises:
        NotFoundError: it has none; the hint lists its ports.
    """
    name = service.metadata.name
    found = [
        port
        for port in service.spec.ports
        if remote == (port.port if isinstance(remote, int) else port.name)
    ]
    if found:
        return _streamed(found, remote, f"Service {name}")
    raise NoPortError(
        f"Service {name} does not have a service port {remote}."
        if isinstance(remote, int)
        else f"Service '{name}' does not have a named port '{remote}'.",
        hint=_listing("its ports are", [(port.port, port.name) for port in service.spec.ports]),
    )


def target_port(port: ServicePort, pod: Pod) -> int:
    """Where a service's port leads inside `pod`.

    Raises:
        NotFoundError: it leads to a name that the pod's containers do not declare.
    """
    return port.port if port.target_port is None else pod_port(pod, port.target_port)


def pod_port(pod: Pod, remote: int | str) -> int:
    """A port of the pod by number, or by the name that a container gives it.

    Raises:
        NotFoundError: no container names such a port, or the number is none (1 to 65535).
    """
    if isinstance(remote, int):
        if not 0 < remote <= MAX_PORT:
            raise NotFoundError(f"there is no port {remote}; ports go from 1 to {MAX_PORT}.")
        same = [port for port in declared_ports(pod) if port.container_port == remote]
        if same:
            _streamed(same, remote, f"Pod {pod.metadata.name}")
        return remote
    declared = declared_ports(pod)
    found = [port for port in declared if port.name == remote]
    if found:
        return _streamed(found, remote, f"Pod {pod.metadata.name}").container_port
    raise NoPortError(
        f"Pod '{pod.metadata.name}' does not have a named port '{remote}'.",
        hint=_listing("it declares", [(port.container_port, port.name) for port in declared]),
    )


def declared_ports(pod: Pod) -> list[ContainerPort]:
    """All ports that the pod's containers say they listen on."""
    return [port for container in pod.spec.containers for port in container.ports]


AnyPort = TypeVar("AnyPort", ServicePort, ContainerPort)


def _streamed(ports: Sequence[AnyPort], remote: int | str, owner: str) -> AnyPort:
    """The one of several ports of that number or name that carries TCP.

    Raises:
        UnavailableError: none does, in kubectl's words.
    """
    for port in ports:
        if port.protocol == "TCP":
            return port
    protocol = ports[0].protocol
    raise UnavailableError(
        f"{protocol} protocol is not supported for {remote}: {owner} has it for {protocol} only.",
        hint="a forward carries TCP; name one of its TCP ports.",
    )


def _find(target: Target, objects: Sequence[NamedObject], inventory: Inventory) -> NamedObject:
    for each in objects:
        if each.metadata.name == target.name:
            return each
    require_namespace(inventory)
    raise NotFoundError(
        f'{_title(target.kind)} "{target.name}" not found in namespace "{inventory.namespace}".',
        hint=_of_another_kind(target, inventory)
        or did_you_mean(target.name, sorted(each.metadata.name for each in objects)),
    )


def require_namespace(inventory: Inventory) -> None:
    """Nothing, if the namespace exists or that is not known.

    Raises:
        NotFoundError: it does not exist; the hint has the nearest names.
    """
    if inventory.namespaces is not None and inventory.namespace not in inventory.namespaces:
        raise NotFoundError(
            f'Namespace "{inventory.namespace}" not found.',
            hint=did_you_mean(inventory.namespace, inventory.namespaces),
        )


def _of_another_kind(target: Target, inventory: Inventory) -> str | None:
    places: tuple[tuple[str, Sequence[Object]], ...] = (
        ("pod", inventory.pods),
        ("svc", inventory.services),
        ("deploy", inventory.deployments),
    )
    for kind, objects in places:
        if kind != target.kind and any(each.metadata.name == target.name for each in objects):
            return f"there is a {_title(kind).lower()} of that name: use {kind}/{target.name}."
    return None


def _title(kind: str) -> str:
    return _TITLES.get(kind, "Pod")


def _listing(words: str, ports: list[tuple[int, str]]) -> str | None:
    if not ports:
        return None
    return f"{words} {', '.join(f'{n} ({name})' if name else str(n) for n, name in ports)}."
