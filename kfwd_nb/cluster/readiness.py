"""Which pods the manifests ask for, which of them are ready, and why the others are not."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterable
from dataclasses import dataclass

from kfwd_nb.kube.objects import AnyObject, ContainerStatus, Deployment, Pod, matches
from kfwd_nb.kube.podstate import explain

CRASHES = 3
"""Ends of a container during the start after which nobody waits for its pod any more."""

NEVER = (
    *map(os.strerror, (errno.ENOENT, errno.EACCES, errno.ENOTDIR, errno.ENOEXEC)),
    "not found in PATH",
)
"""How the message of a command that cannot be executed ends, where the next attempt is no better;
in the words of `agent.podinit` and the system."""


@dataclass(frozen=True, slots=True)
class Readiness:
    """How far the cluster is.

    Attributes:
        ready: NAMESPACE/NAME of every pod that is ready.
        missing: for each pod or deployment that is not, one clause on why.
        hopeless: for each pod that will not be, one clause on why.
    """

    ready: tuple[str, ...]
    missing: tuple[str, ...]
    hopeless: tuple[str, ...] = ()


def readiness(wanted: Iterable[AnyObject], pods: Iterable[Pod]) -> Readiness:
    """Compare what the manifests ask for with the pods that there are."""
    there = {full_name(pod): pod for pod in pods if pod.metadata.deletion_timestamp is None}
    missing: list[str] = []
    for each in wanted:
        if isinstance(each, Pod):
            missing += _pod(full_name(each), there)
        elif isinstance(each, Deployment):
            missing += _deployment(each, there.values())
    ready = sorted(name for name, pod in there.items() if pod.ready)
    hopeless = [explain(pod) for pod in there.values() if not pod.ready and _cannot_start(pod)]
    return Readiness(tuple(ready), tuple(missing), tuple(hopeless))


def full_name(pod: Pod) -> str:
    """NAMESPACE/NAME."""
    return f"{pod.metadata.namespace}/{pod.metadata.name}"


def _cannot_start(pod: Pod) -> bool:
    return any(map(_is_stuck, pod.status.container_statuses))


def _is_stuck(status: ContainerStatus) -> bool:
    """Its command cannot be executed, or ends each time."""
    end = status.state.get("terminated") or status.last_state.get("terminated") or {}
    if end.get("reason") == "StartError" and str(end.get("message", "")).endswith(NEVER):
        return True
    waiting = status.state.get("waiting", {}).get("reason") == "CrashLoopBackOff"
    return waiting and status.restart_count + 1 >= CRASHES


def _pod(name: str, there: dict[str, Pod]) -> list[str]:
    pod = there.get(name)
    if pod is None:
        return [f'pod "{name}": gone']
    return [] if pod.ready else [explain(pod)]


def _deployment(deployment: Deployment, pods: Iterable[Pod]) -> list[str]:
    namespace, labels = deployment.metadata.namespace, deployment.spec.selector.match_labels
    own = [
        pod
        for pod in pods
        if pod.metadata.namespace == namespace and matches(labels, pod.metadata.labels)
    ]
    ready = sum(pod.ready for pod in own)
    if ready >= deployment.spec.replicas:
        return []
    why = next((f": {explain(pod)}" for pod in own if not pod.ready), "")
    name = f"{namespace}/{deployment.metadata.name}"
    return [f'deployment "{name}": {ready} of {deployment.spec.replicas} pods ready{why}']
