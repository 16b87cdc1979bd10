"""Which pods the manifests ask for, which of them are ready, and why the others are not."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from kfwd_nb.kube.objects import AnyObject, Deployment, Pod, matches
from kfwd_nb.kube.podstate import explain


@dataclass(frozen=True, slots=True)
class Readiness:
    """How far the cluster is.

    Attributes:
        ready: NAMESPACE/NAME of every pod that is ready.
        missing: for each pod or deployment that is not, one clause on why.
    """

    ready: tuple[str, ...]
    missing: tuple[str, ...]


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
    return Readiness(tuple(ready), tuple(missing))


def full_name(pod: Pod) -> str:
    """NAMESPACE/NAME."""
    return f"{pod.metadata.namespace}/{pod.metadata.name}"


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
