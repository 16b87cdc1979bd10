"""What a target means in terms of pods: selectors for lists and watches."""

from __future__ import annotations

from dataclasses import dataclass

from kfwd_nb.errors import UnavailableError
from kfwd_nb.kube.api.client import ApiClient
from kfwd_nb.kube.objects import (
    DaemonSet,
    Deployment,
    Job,
    LabelSelector,
    ReplicaSet,
    Service,
    StatefulSet,
    Workload,
)
from kfwd_nb.kube.selectors import selector_text
from kfwd_nb.ports import Target

WORKLOADS: dict[str, type[Workload]] = {
    "deploy": Deployment,
    "rs": ReplicaSet,
    "sts": StatefulSet,
    "ds": DaemonSet,
    "job": Job,
}
"""What makes pods, by the short names of `ports.KINDS`."""


@dataclass(frozen=True, slots=True)
class Selection:
    """The pods of a target.

    Attributes:
        labels: `labelSelector` of a list or watch.
        fields: `fieldSelector`.
        service: the target itself, if it is a service.
    """

    labels: str = ""
    fields: str = ""
    service: Service | None = None


async def selection(api: ApiClient, target: Target, namespace: str) -> Selection:
    """Ask for the target, and for nothing else, so that narrow rights are enough.

    Raises:
        NotFoundError: there is none.
        UnavailableError: it selects no pods at all.
        KfwdError: the request fails; the kind says why.
    """
    if target.kind == "pod":
        return Selection(fields=f"metadata.name={target.name}")
    if target.kind == "svc":
        service = await api.get(Service, namespace, target.name)
        return Selection(selector_text(service_selector(service)), service=service)
    workload = await api.get(WORKLOADS[target.kind], namespace, target.name)
    selector = workload.spec.selector
    if not (selector.match_labels or selector.match_expressions):
        raise UnavailableError(f"{target} has no selector, so no pods.")
    return Selection(selector_text(selector))


def service_selector(service: Service) -> LabelSelector:
    """The labels by which a service selects its pods.

    Raises:
        UnavailableError: it leads elsewhere; the text says why.
    """
    name = service.metadata.name
    if service.spec.type == "ExternalName":
        raise UnavailableError(
            f"Service {name} is an ExternalName: another name for a host outside, with no pods.",
            hint="connect to that host itself.",
        )
    if not service.spec.selector:
        raise UnavailableError(
            f"Service {name} is defined without a selector, so it has no pods of its own.",
            hint="its Endpoints were written by hand; forward to a pod behind it, by name.",
        )
    return LabelSelector(match_labels=service.spec.selector)
