"""Finds the cause of a forward's first error: rights, the pod's state, its ports."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass

from kfwd_nb.errors import (
    ForbiddenError,
    KfwdError,
    NotFoundError,
    RefusedError,
    UnavailableError,
)
from kfwd_nb.kube.api.client import ApiClient
from kfwd_nb.kube.objects import Pod
from kfwd_nb.kube.podstate import explain
from kfwd_nb.kube.resolve import declared_ports, require_running

PREFLIGHT_LIMIT = 5.0
"""Seconds for all questions together; what is not answered by then is left out."""

SUBRESOURCE = "pods/portforward"

VERBS = ("get", "create")
"""A WebSocket needs both (it is a GET, and checked for create, too); SPDY needs create only."""


@dataclass(frozen=True, slots=True)
class Facts:
    """What was found out.

    Attributes:
        pod: as it is now; None: it is gone.
        may: of each verb, whether the server lets us; None where it does not say.
    """

    pod: Pod | None
    may: dict[str, bool | None]


async def explained(error: KfwdError, api: ApiClient, pod: Pod, port: int | None) -> KfwdError:
    """The error with its cause and its cure, as far as they can be found.

    Args:
        error: of a dialect that could not be opened (port None), or of a connection to `port`.
        api: asks what may be asked.
        pod: the one that was tried.
        port: inside the pod.
    """
    try:
        async with asyncio.timeout(PREFLIGHT_LIMIT):
            facts = await _facts(api, pod)
    except (TimeoutError, KfwdError):
        facts = Facts(pod, {})
    return cause(error, facts, pod, port)


async def require_create(api: ApiClient, pod: Pod) -> None:
    """Nothing, if ports of the pod may be forwarded, or where the server does not say.

    For the dialect that opens nothing before its first connection.

    Raises:
        ForbiddenError: they may not.
    """
    meta = pod.metadata
    if await api.may("create", SUBRESOURCE, meta.namespace, meta.name) is False:
        raise ForbiddenError(
            f'you may not "create" {SUBRESOURCE} in namespace "{meta.namespace}".',
            where="relay",
            hint=f"ask for a role with the verbs get and create on {SUBRESOURCE}.",
        )


async def _facts(api: ApiClient, pod: Pod) -> Facts:
    meta = pod.metadata
    now, get, create = await asyncio.gather(
        _now(api, pod),
        api.may("get", SUBRESOURCE, meta.namespace, meta.name),
        api.may("create", SUBRESOURCE, meta.namespace, meta.name),
    )
    return Facts(now, {"get": get, "create": create})


async def _now(api: ApiClient, pod: Pod) -> Pod | None:
    try:
        return await api.get(Pod, pod.metadata.namespace, pod.metadata.name)
    except NotFoundError:
        return None
    except KfwdError:
        return pod


def cause(error: KfwdError, facts: Facts, pod: Pod, port: int | None) -> KfwdError:
    """The error, or a better one in its place. Pure.

    Args:
        error: what failed.
        facts: what is known.
        pod: the one that was tried, as it was then.
        port: inside it; None: no port had been tried yet.
    """
    missing = [verb for verb in VERBS if facts.may.get(verb) is False]
    if missing and not isinstance(error, RefusedError):
        return _forbidden(error, missing, pod)
    name = pod.metadata.name
    now = facts.pod
    if now is None or now.metadata.uid != pod.metadata.uid:
        return UnavailableError(
            f'pod "{name}" is gone ({error.what.rstrip(".")}).',
            where="pod",
            hint="forward to its service or deployment: those find the pod that takes its place.",
        )
    try:
        require_running(now)
    except UnavailableError as better:
        better.where = "pod"
        return better
    return error if port is None else _of_port(error, now, port)


def _forbidden(error: KfwdError, missing: list[str], pod: Pod) -> ForbiddenError:
    verbs = " and ".join(f'"{verb}"' for verb in missing)
    cure = 'the dialect spdy needs "create" only: --dialect spdy; or ' if missing == ["get"] else ""
    return ForbiddenError(
        f'you may not {verbs} {SUBRESOURCE} in namespace "{pod.metadata.namespace}" '
        f"({error.what.rstrip('.')}).",
        where="relay",
        hint=f"{cure}ask for a role with the verbs get and create on {SUBRESOURCE}.",
    )


def _of_port(error: KfwdError, pod: Pod, port: int) -> KfwdError:
    """A port that does not answer: is it known to the pod at all?"""
    declared = declared_ports(pod)
    same = {each.protocol for each in declared if each.container_port == port}
    if same and "TCP" not in same:
        protocol = same.pop()
        return UnavailableError(
            f"port {port} of pod {pod.metadata.name} is declared for {protocol} only "
            f"({error.what.rstrip('.')}).",
            where="pod",
            hint="a forward carries TCP; name one of the pod's TCP ports.",
        )
    if not isinstance(error, RefusedError):
        return error
    return RefusedError(error.what, where=error.where or "pod", hint=_port_hint(pod, port))


def _port_hint(pod: Pod, port: int) -> str:
    if not pod.ready:
        return f"{explain(pod)}; its program may still be starting."
    streams = [each for each in declared_ports(pod) if each.protocol == "TCP"]
    if any(each.container_port == port for each in streams):
        return (
            "the pod declares that port, but nothing listens on it on its loopback address; "
            "does the program bind to another address?"
        )
    listed = ", ".join(
        f"{each.container_port} ({each.name})" if each.name else str(each.container_port)
        for each in streams
    )
    if not listed:
        return f"no container of the pod declares a port {port}; is it the right number?"
    return (
        f"no container of the pod declares port {port}; declared: {listed}. Of a headless "
        "service, the port is the pod's own, not the service's."
    )
