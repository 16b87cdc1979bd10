"""What a cluster holds, asked for when a magic or the Tab key wants it."""

from __future__ import annotations

import shlex
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, TypeVar

from kfwd_nb.errors import ForbiddenError, NotFoundError, UnavailableError
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
    from kfwd_nb.notebook.arguments.listing import ListOptions
    from kfwd_nb.notebook.arguments.nsenter import EnterOptions

    Kind = TypeVar("Kind", bound=Object)

Notice = Callable[[str], None]
"""Told what an exec plugin says, a line at a time, on another thread."""

TOOLS = "nicolaka/netshoot"
"""The image of network tools that `kubectl debug` is asked to take."""


def _unheard(line: str) -> None:
    """Where nobody waits for an exec plugin: at the Tab key."""


# The kube floor reads and writes JSON by msgspec, which %load_ext shall not pay for, so it is
# imported where it is used.


def pods(options: ListOptions, notice: Notice = _unheard) -> PodList:
    """The pods of a namespace; of all of them in an embedded cluster."""
    from kfwd_nb.kube.objects import Pod

    access, namespace, where = _scope(options, notice)
    found = _list_in(access, Pod, namespace)
    copied = _copied(options)
    return PodList(where, tuple(_pod_line(each, access.namespace, copied) for each in found))


def services(options: ListOptions, notice: Notice = _unheard) -> ServiceList:
    """The services of a namespace, a line for each port."""
    from kfwd_nb.kube.objects import Service

    access, namespace, where = _scope(options, notice)
    found = _list_in(access, Service, namespace)
    copied = _copied(options)
    lines = [line for each in found for line in _service_lines(each, access.namespace, copied)]
    return ServiceList(where, tuple(lines))


def status(
    forwards: int,
    isolation_line: str,
    notice: Notice = _unheard,
    options: ListOptions | None = None,
) -> ClusterStatus:
    """The cluster that magics use now, or the one that options name.

    Args:
        forwards: how many are running in this kernel.
        isolation_line: what the embedded cluster has said of its isolation; may be empty.
        notice: told what an exec plugin says.
        options: name another cluster.
    """
    from kfwd_nb.kube.objects import ISOLATION_ANNOTATION, Node, Pod

    context, kubeconfig = (options.context, options.kubeconfig) if options else (None, None)
    access = _access(context, kubeconfig, notice)
    refusals: list[str] = []
    nodes = tuple(
        (
            each.metadata.name,
            each.metadata.annotations.get(ISOLATION_ANNOTATION, "containers"),
            "ready" if each.ready else "not ready",
        )
        for each in _permitted(access, Node, refusals)
    )
    found = _permitted(access, Pod, refusals)
    ready = sum(each.ready for each in found)
    return ClusterStatus(
        access.context,
        access.server,
        access.embedded,
        nodes,
        (ready, len(found)),
        forwards,
        isolation_line if access.embedded else "",
        tuple(refusals),
    )


def _permitted(access: ClusterAccess, kind: type[Kind], refusals: list[str]) -> Sequence[Kind]:
    """All objects of a kind; where they may not be listed, none and the cluster's own words."""
    try:
        return _list(access, kind, None)
    except ForbiddenError as error:
        refusals.append(error.what)
        return ()


def process_of(options: EnterOptions, notice: Notice = _unheard) -> tuple[int, str]:
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

    access = _access(options.context, options.kubeconfig, notice)
    namespace = options.namespace or access.namespace
    known = {each.metadata.name: each for each in _list(access, Pod, namespace)}
    if options.pod not in known:
        raise NotFoundError(
            f'Pod "{options.pod}" not found in namespace "{namespace}".',
            hint=did_you_mean(options.pod, known),
        )
    pod = known[options.pod]
    if not access.embedded:
        raise UnavailableError(
            f"the pods of {access.context} are not those of %kfwd up, so no process of theirs can "
            "be entered from here.",
            hint=f"in a terminal: {debug_line(options, namespace)}",
        )
    pid = pod.metadata.annotations.get(PID_ANNOTATION, "")
    if not pid.isdigit() or pod.status.phase != "Running":  # a number may be another's by now
        raise UnavailableError(f'pod "{options.pod}" has no process now ({pod.status.phase}).')
    nodes = {each.metadata.name: each for each in _list(access, Node, None)}
    node = nodes.get(pod.spec.node_name)
    isolation = node.metadata.annotations.get(ISOLATION_ANNOTATION, "") if node else ""
    return int(pid), isolation


def debug_line(options: EnterOptions, namespace: str) -> str:
    """What does the same on any cluster: a container with network tools, in the pod's network."""
    words = ["kubectl", *_cluster_words(options), "debug", "-n", namespace, "-it", options.pod]
    return shlex.join([*words, f"--image={TOOLS}", "--profile=netadmin", "--", *options.command])


def names(kind: str, namespace: str | None, context: str | None) -> tuple[str, ...]:
    """The names of all objects of a kind, for completion; see `kube.completing.names`.

    `context` is a kind, too: of those that can be named, whatever cluster they lead to.
    """
    from kfwd_nb.kube import completing, kubeconfig

    if kind == "context":
        return kubeconfig.contexts()
    return completing.names(kind, _access(context), namespace)


def _access(
    context: str | None, kubeconfig: str | None = None, notice: Notice = _unheard
) -> ClusterAccess:
    from kfwd_nb.kube.kubeconfig import load

    return replace(load(kubeconfig, context), notice=notice)


def _cluster_words(options: ListOptions | EnterOptions) -> list[str]:
    """The options that lead to the same cluster again."""
    given = (("--context", options.context), ("--kubeconfig", options.kubeconfig))
    return [word for option, value in given if value is not None for word in (option, value)]


def _copied(options: ListOptions) -> str:
    """What a line to copy has to end with."""
    return "".join(f" {shlex.quote(word)}" for word in _cluster_words(options))


def _list(access: ClusterAccess, kind: type[Kind], namespace: str | None) -> Sequence[Kind]:
    from kfwd_nb.kube.api.client import list_objects

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
        try:
            known = sorted(each.metadata.name for each in _list(access, Namespace, None))
        except ForbiddenError:
            return found
        if namespace not in known:
            raise NotFoundError(
                f'Namespace "{namespace}" not found.', hint=did_you_mean(namespace, known)
            )
    return found


def elsewhere(kind: str, name: str, context: str | None) -> tuple[str, ...]:
    """The namespaces that have an object of this kind and name.

    Args:
        kind: a value of `ports.KINDS`.
        name: of the object.
        context: None means the current one.
    """
    from kfwd_nb.kube.completing import types

    found = _list(_access(context), types()[kind], None)
    return tuple(sorted(each.metadata.namespace for each in found if each.metadata.name == name))


def _scope(options: ListOptions, notice: Notice) -> tuple[ClusterAccess, str | None, str]:
    """(access, namespace to ask for or None for all, words that say so)."""
    access = _access(options.context, options.kubeconfig, notice)
    if options.everywhere or (access.embedded and options.namespace is None):
        return access, None, f"{access.context}, all namespaces"
    namespace = options.namespace or access.namespace
    return access, namespace, f"{access.context}/{namespace}"


def _pod_line(pod: Pod, namespace: str, copied: str) -> PodLine:
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
        f"{_namespace_option(meta.namespace, namespace)}{copied}"
        if declared
        else "",
    )


def _namespace_option(wanted: str, current: str) -> str:
    return "" if wanted == current else f" -n {wanted}"


def _service_lines(service: Service, namespace: str, copied: str) -> list[ServiceLine]:
    meta = service.metadata
    option = _namespace_option(meta.namespace, namespace) + copied
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
