"""What a cluster holds, asked for when a magic or the Tab key wants it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, TypeVar

from kfwd_nb.errors import NotFoundError, UnavailableError
from kfwd_nb.notebook.results import (
    ClusterStatus,
    PodLine,
    PodList,
    ServiceLine,
    ServiceList,
)

if TYPE_CHECKING:
    from kfwd_nb.kube.kubeconfig import ClusterAccess
    from kfwd_nb.kube.objects import Object, Pod, Service
    from kfwd_nb.notebook.arguments import EnterOptions, ListOptions

    Kind = TypeVar("Kind", bound=Object)

# The kube floor reads and writes JSON by msgspec, which %load_ext shall not pay for, so it is
# imported where it is used.


def pods(options: ListOptions) -> PodList:
    """The pods of a namespace; of all of them in an embedded cluster."""
    from kfwd_nb.kube.objects import Pod

    access, namespace, where = _scope(options)
    found = _list_in(access, Pod, namespace)
    return PodList(where, tuple(_pod_line(each, access.namespace) for each in found))


def services(options: ListOptions) -> ServiceList:
    """The services of a namespace, a line for each port."""
    from kfwd_nb.kube.objects import Service

    access, namespace, where = _scope(options)
    found = _list_in(access, Service, namespace)
    lines = [line for each in found for line in _service_lines(each, access.namespace)]
    return ServiceList(where, tuple(lines))


def status(forwards: int, isolation_line: str) -> ClusterStatus:
    """The cluster that magics use now.

    Args:
        forwards: how many are running in this kernel.
        isolation_line: what the embedded cluster has said of its isolation; may be empty.
    """
    from kfwd_nb.kube.objects import ISOLATION_ANNOTATION, Node, Pod, is_true

    access = _access(None)
    nodes = tuple(
        (
            each.metadata.name,
            each.metadata.annotations.get(ISOLATION_ANNOTATION, "containers"),
            "ready" if is_true(each.status.conditions) else "not ready",
        )
        for each in _list(access, Node, None)
    )
    found = _list(access, Pod, None)
    ready = sum(each.ready for each in found)
    return ClusterStatus(
        access.context,
        access.server,
        access.embedded,
        nodes,
        (ready, len(found)),
        forwards,
        isolation_line if access.embedded else "",
    )


def process_of(options: EnterOptions) -> tuple[int, str]:
    """(PID, isolation) of a pod that runs on this machine.

    Raises:
        NotFoundError: there is no such pod.
        UnavailableError: it runs elsewhere, or not now.
    """
    from kfwd_nb.kube.nearest import did_you_mean
    from kfwd_nb.kube.objects import (
        ISOLATION_ANNOTATION,
        PID_ANNOTATION,
        Node,
        Pod,
    )

    access = _access(options.context)
    namespace = options.namespace or access.namespace
    if not access.embedded:
        raise UnavailableError(
            f"the pods of {access.context} do not run on this machine.",
            hint="%kfwd nsenter is for the cluster that %kfwd up starts.",
        )
    known = {each.metadata.name: each for each in _list(access, Pod, namespace)}
    if options.pod not in known:
        raise NotFoundError(
            f'Pod "{options.pod}" not found in namespace "{namespace}".',
            hint=did_you_mean(options.pod, known),
        )
    pod = known[options.pod]
    pid = pod.metadata.annotations.get(PID_ANNOTATION, "")
    if not pid.isdigit() or pod.status.phase != "Running":  # a number may be another's by now
        raise UnavailableError(f'pod "{options.pod}" has no process now ({pod.status.phase}).')
    nodes = {each.metadata.name: each for each in _list(access, Node, None)}
    node = nodes.get(pod.spec.node_name)
    isolation = node.metadata.annotations.get(ISOLATION_ANNOTATION, "") if node else ""
    return int(pid), isolation


def names(kind: str, namespace: str | None, context: str | None) -> tuple[str, ...]:
    """The names of all objects of a kind, for completion.

    Args:
        kind: `pod`, `svc`, `deploy` or `namespace`.
        namespace: None means the context's own.
        context: None means the current one.
    """
    access = _access(context)
    place = None if kind == "namespace" else namespace or access.namespace
    return tuple(sorted(each.metadata.name for each in _list(access, _kinds()[kind], place)))


def _access(context: str | None) -> ClusterAccess:
    from kfwd_nb.kube import kubeconfig

    return kubeconfig.load(context=context)


def _list(access: ClusterAccess, kind: type[Kind], namespace: str | None) -> Sequence[Kind]:
    from kfwd_nb.kube.api import list_objects

    return list_objects(access, kind, namespace)


def _list_in(access: ClusterAccess, kind: type[Kind], namespace: str | None) -> Sequence[Kind]:
    """The objects of a namespace that must be there; of all of them, if None.

    Raises:
        NotFoundError: there is no such namespace; the hint has the nearest names.
    """
    from kfwd_nb.kube.nearest import did_you_mean
    from kfwd_nb.kube.objects import Namespace

    found = _list(access, kind, namespace)
    if not found and namespace is not None:
        known = sorted(each.metadata.name for each in _list(access, Namespace, None))
        if namespace not in known:
            raise NotFoundError(
                f'Namespace "{namespace}" not found.', hint=did_you_mean(namespace, known)
            )
    return found


def elsewhere(kind: str, name: str, context: str | None) -> tuple[str, ...]:
    """The namespaces that have an object of this kind and name.

    Args:
        kind: `pod`, `svc` or `deploy`.
        name: of the object.
        context: None means the current one.
    """
    found = _list(_access(context), _kinds()[kind], None)
    return tuple(sorted(each.metadata.namespace for each in found if each.metadata.name == name))


def _kinds() -> dict[str, type[Object]]:
    from kfwd_nb.kube import objects

    return {
        "pod": objects.Pod,
        "svc": objects.Service,
        "deploy": objects.Deployment,
        "namespace": objects.Namespace,
    }


def _scope(options: ListOptions) -> tuple[ClusterAccess, str | None, str]:
    """(access, namespace to ask for or None for all, words that say so)."""
    access = _access(options.context)
    if options.everywhere or (access.embedded and options.namespace is None):
        return access, None, f"{access.context}, all namespaces"
    namespace = options.namespace or access.namespace
    return access, namespace, f"{access.context}/{namespace}"


def _pod_line(pod: Pod, namespace: str) -> PodLine:
    from kfwd_nb.kube.objects import PID_ANNOTATION
    from kfwd_nb.kube.podstate import status_word

    statuses = pod.status.container_statuses
    meta = pod.metadata
    declared = [port for each in pod.spec.containers for port in each.ports]
    return PodLine(
        namespace=pod.metadata.namespace,
        name=pod.metadata.name,
        ready=f"{sum(each.ready for each in statuses)}/{len(pod.spec.containers)}",
        status=status_word(pod),
        restarts=sum(each.restart_count for each in statuses),
        ports=", ".join(str(port.container_port) for port in declared),
        node=pod.spec.node_name,
        pid=pod.metadata.annotations.get(PID_ANNOTATION, ""),
        line=f"%portforward {meta.name} :{declared[0].container_port}"
        f"{_namespace_option(meta.namespace, namespace)}"
        if declared
        else "",
    )


def _namespace_option(wanted: str, current: str) -> str:
    return "" if wanted == current else f" -n {wanted}"


def _service_lines(service: Service, namespace: str) -> list[ServiceLine]:
    meta = service.metadata
    option = _namespace_option(meta.namespace, namespace)
    return [
        ServiceLine(
            namespace=meta.namespace,
            name=meta.name,
            port=port.port,
            port_name=port.name,
            line=f"%portforward svc/{meta.name} :{port.port}{option}",
        )
        for port in service.spec.ports
    ]
