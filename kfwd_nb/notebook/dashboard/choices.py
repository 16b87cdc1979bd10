"""What there is to forward to, asked for when the browser wants it: for the fields of the form."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from kfwd_nb.errors import KfwdError, printable

if TYPE_CHECKING:
    from kfwd_nb.kube.kubeconfig import ClusterAccess

KINDS = (("svc", "svc/"), ("deploy", "deploy/"), ("pod", ""))
"""Kinds that are offered, and what stands before their names; others can be typed."""

MAX_NAMES = 2000
"""Names of a kind that are offered."""


@dataclass(frozen=True, slots=True)
class Place:
    """What the form says already; empty for what it does not."""

    context: str = ""
    namespace: str = ""
    target: str = ""


def choices(place: Place) -> dict[str, Any]:
    """What each field can have, given the ones before it, as JSON.

    A list that the cluster does not give is empty, and `problem` says why in its words; a field can
    always be typed.
    """
    from kfwd_nb.kube import kubeconfig

    found: dict[str, Any] = {"contexts": [], "namespaces": [], "targets": [], "ports": []}
    problems: list[str] = []
    try:
        found["contexts"] = list(kubeconfig.contexts())
        access = kubeconfig.load(None, place.context or None)
    except KfwdError as error:
        return {**found, "context": "", "namespace": "", "problem": printable(str(error))}
    namespace = place.namespace or access.namespace
    found["namespaces"] = _names("namespace", access, None, problems)
    for kind, prefix in KINDS:
        found["targets"] += [prefix + name for name in _names(kind, access, namespace, problems)]
    if place.target:
        found["ports"] = _names(f"ports {place.target}", access, namespace, problems)
    problem = printable("; ".join(dict.fromkeys(problems)))
    return {**found, "context": access.context, "namespace": namespace, "problem": problem}


def _names(
    kind: str, access: ClusterAccess, namespace: str | None, problems: list[str]
) -> list[str]:
    from kfwd_nb.kube.completing import names

    try:
        return [printable(each) for each in names(kind, access, namespace)[:MAX_NAMES]]
    except KfwdError as error:
        problems.append(error.what)
        return []
