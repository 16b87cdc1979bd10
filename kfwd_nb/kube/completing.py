"""What a word of a forward's line can become, and the names that fill it in.

The grammar is pure; `names` asks the cluster, once and without patience of its own: whoever asks
decides how long to wait.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from kfwd_nb.errors import KfwdError, UnavailableError
from kfwd_nb.ports import kind_of, split_target

if TYPE_CHECKING:
    from kfwd_nb.kube.kubeconfig import ClusterAccess
    from kfwd_nb.kube.objects import Object
    from kfwd_nb.ports import Target

PREFIXES = ("svc/", "deploy/", "rs/", "sts/", "ds/", "job/")
"""Kinds that a target can begin with; a bare name is a pod."""

PORTS = "ports "
"""How the kind begins of which `names` are the ports of a target: `ports svc/api`."""


UNPLACED = ("namespace", "node")
"""Kinds whose objects are in no namespace."""


@dataclass(frozen=True, slots=True)
class Completion:
    """What a word can become.

    Attributes:
        fixed: words that fit in every cluster.
        kind: kind of the objects whose names fit, too (see `names`); empty for none.
        prefix: stands before each of these names.
    """

    fixed: tuple[str, ...] = ()
    kind: str = ""
    prefix: str = ""


def complete_target(words: list[str], word: str) -> Completion:
    """What `word` can become after the words of a target and its ports that precede it."""
    kind, slash, _ = word.partition("/")
    if not words:
        short = kind_of(kind) if slash else None
        return Completion((), short, f"{kind}/") if short else Completion(PREFIXES, "pod")
    if len(words) == 1 and (short := kind_of(words[0])) and not (word[:1].isdigit() or ":" in word):
        return Completion((), short)
    try:
        target = split_target(words)[0]
    except KfwdError:
        return Completion()
    local, colon, _ = word.partition(":")
    return Completion((), f"{PORTS}{target}", f"{local}:" if colon else "")


def names(kind: str, access: ClusterAccess, namespace: str | None) -> tuple[str, ...]:
    """The names of all objects of a kind; of a target, the numbers of its ports.

    Args:
        kind: a value of `ports.KINDS`, one of `UNPLACED`, or `PORTS` and a target.
        access: the cluster.
        namespace: None means the context's own.

    Raises:
        KfwdError: the cluster cannot be asked.
    """
    from kfwd_nb.kube.api.client import list_objects
    from kfwd_nb.ports import parse_target

    access = replace(access, notice=_end_plugin)
    place = namespace or access.namespace
    if kind.startswith(PORTS):
        return _ports(parse_target(kind.removeprefix(PORTS)), access, place)
    found = list_objects(access, types()[kind], None if kind in UNPLACED else place)
    return tuple(sorted(each.metadata.name for each in found))


def _end_plugin(line: str) -> None:
    """At the Tab key nobody sees what an exec plugin asks for, so it is not left waiting for it.

    Raises:
        UnavailableError: always, through the wait for the plugin, which ends it.
    """
    raise UnavailableError(f"the exec plugin wants a person: {line}")


def types() -> dict[str, type[Object]]:
    """The type of each kind that a person can name."""
    from kfwd_nb.kube import objects

    return {
        "pod": objects.Pod,
        "svc": objects.Service,
        "deploy": objects.Deployment,
        "rs": objects.ReplicaSet,
        "sts": objects.StatefulSet,
        "ds": objects.DaemonSet,
        "job": objects.Job,
        "namespace": objects.Namespace,
        "node": objects.Node,
    }


def _ports(target: Target, access: ClusterAccess, namespace: str) -> tuple[str, ...]:
    """TCP ports that the target declares: a service its own, all others those of their pods."""
    from kfwd_nb.kube.api.client import list_objects
    from kfwd_nb.kube.objects import Pod, Service
    from kfwd_nb.kube.resolve import declared_ports
    from kfwd_nb.kube.selectors import selects

    if target.kind == "svc":
        services = list_objects(access, Service, namespace)
        found = [each for each in services if each.metadata.name == target.name]
        numbers = [port.port for each in found for port in each.spec.ports if _tcp(port.protocol)]
    else:
        pods = list_objects(access, Pod, namespace)
        if target.kind == "pod":
            pods = [pod for pod in pods if pod.metadata.name == target.name]
        else:
            owners = list_objects(access, types()[target.kind], namespace)
            chosen = [each for each in owners if each.metadata.name == target.name]
            pods = [
                pod
                for pod in pods
                for owner in chosen
                if selects(owner.spec.selector, pod.metadata.labels)  # type: ignore[attr-defined]
            ]
        declared = [port for pod in pods for port in declared_ports(pod)]
        numbers = [port.container_port for port in declared if _tcp(port.protocol)]
    return tuple(str(number) for number in dict.fromkeys(numbers))


def _tcp(protocol: str) -> bool:
    return protocol in ("", "TCP")
