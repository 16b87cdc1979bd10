"""What a person types for ports and targets: `8080:80`, `:80`, `web`, `svc/api`, `pod web 8080:80`.

Grammar and words are kubectl's (kubectl `pkg/cmd/portforward`), with one addition: the target may
be two words, `KIND NAME`.
"""

from __future__ import annotations

from dataclasses import dataclass

from kfwd_nb.errors import UsageError

KINDS = {
    "pod": "pod",
    "pods": "pod",
    "po": "pod",
    "service": "svc",
    "services": "svc",
    "svc": "svc",
    "deployment": "deploy",
    "deployments": "deploy",
    "deploy": "deploy",
    "replicaset": "rs",
    "replicasets": "rs",
    "rs": "rs",
    "statefulset": "sts",
    "statefulsets": "sts",
    "sts": "sts",
    "daemonset": "ds",
    "daemonsets": "ds",
    "ds": "ds",
    "job": "job",
    "jobs": "job",
}
"""Every spelling of a resource kind, and the short one that this project shows."""

GROUPS = {
    "deploy": "apps",
    "rs": "apps",
    "sts": "apps",
    "ds": "apps",
    "job": "batch",
}
"""The API group of a kind that is in one; `deployments.apps` and `deployments.v1.apps` name it."""

MAX_PORT = 65535


@dataclass(frozen=True, slots=True)
class Target:
    """What to forward to: `kind` is one of the values of `KINDS`."""

    kind: str
    name: str

    def __str__(self) -> str:
        return f"{self.kind}/{self.name}"


@dataclass(frozen=True, slots=True)
class PortSpec:
    """One port argument.

    Attributes:
        local: the port to listen on; 0 means any free one, None the remote port's own number.
        remote: the pod's or the service's port: a number (1 to 65535) or a name.
    """

    local: int | None
    remote: int | str

    def __str__(self) -> str:
        return str(self.remote) if self.local is None else f"{self.local or ''}:{self.remote}"


def parse_port(text: str) -> PortSpec:
    """Read `LOCAL:REMOTE`, `PORT`, `:REMOTE` or `0:REMOTE`; REMOTE may be a port's name.

    Raises:
        UsageError: with kubectl's words, and what would be valid.
    """
    left, colon, right = text.rpartition(":")
    if not right or ":" in left:
        raise _invalid(text)
    remote: int | str = right if _is_name(right) else _number(right, text)
    if remote == 0:
        raise UsageError(
            f"invalid port format '{text}': the remote port cannot be 0.",
            hint="the port inside the pod comes last, as in 8080:80.",
        )
    if not colon:
        return PortSpec(remote if isinstance(remote, int) else None, remote)
    return PortSpec(_number(left or "0", text), remote)


def parse_ports(texts: tuple[str | int, ...] | list[str]) -> tuple[PortSpec, ...]:
    """Read every port argument; a local port given twice is refused.

    Raises:
        UsageError: no port, an invalid one, or a local port named twice.
    """
    if not texts:
        raise UsageError("no port given.", hint="name the pod's port, as in 8080:80 or :80.")
    specs = tuple(parse_port(str(text)) for text in texts)
    fixed = [spec.local for spec in specs if spec.local]
    for port in fixed:
        if fixed.count(port) > 1:
            raise UsageError(f"local port {port} is given twice.")
    return specs


def kind_of(word: str) -> str | None:
    """The short name of a kind in any spelling that kubectl takes, `deployments.apps` too."""
    plain, dot, group = word.lower().partition(".")
    short = KINDS.get(plain)
    if short is None or (dot and group.removeprefix("v1.") != GROUPS.get(short)):
        return None
    return short


def parse_target(text: str) -> Target:
    """Read `NAME`, `KIND/NAME`; a bare name is a pod.

    Raises:
        UsageError: an empty name or an unknown kind.
    """
    kind, slash, name = text.partition("/")
    if not slash:
        kind, name = "pod", text
    short = kind_of(kind)
    if short is None:
        raise UsageError(
            f"'{kind}' is no resource kind that can be forwarded to.",
            hint="use pod/NAME, svc/NAME, deploy/NAME, or rs, sts, ds, job.",
        )
    if not name or "/" in name:
        raise UsageError(f"invalid target '{text}'.", hint="use NAME, or KIND/NAME as in svc/api.")
    return Target(short, name)


def split_target(words: list[str]) -> tuple[Target, list[str]]:
    """Take the target off a line's words; what remains are its ports.

    `KIND NAME PORT...` counts as two words only when the first is a kind and the second no port, so
    `pod 8888:80` is the pod called `pod`.

    Raises:
        UsageError: no word at all, or no target among them.
    """
    if not words:
        raise UsageError("no target given.", hint="name a pod and its port, as in web 8080:80.")
    first, *rest = words
    if kind_of(first) and rest and not _is_port(rest[0]):
        return parse_target(f"{first}/{rest[0]}"), rest[1:]
    return parse_target(first), rest


def bracketed(address: str) -> str:
    """An address as it stands before `:PORT`: IPv6 in brackets (RFC 3986 §3.2.2)."""
    return f"[{address}]" if ":" in address else address


def _is_port(text: str) -> bool:
    local, colon, remote = text.partition(":")
    return local.isdigit() or (bool(colon) and not local and bool(remote))


def _is_name(text: str) -> bool:
    """True for a service name: letters, digits and hyphens, not only digits (RFC 6335 §5.1)."""
    plain = text.replace("-", "")
    return (
        len(text) <= 15
        and plain.isascii()
        and plain.isalnum()
        and not plain.isdigit()
        and not text.startswith("-")
        and not text.endswith("-")
    )


def _number(text: str, whole: str) -> int:
    if not (text.isascii() and text.isdigit() and len(text) < 10) or int(text) > MAX_PORT:
        raise _invalid(whole)
    return int(text)


def _invalid(text: str) -> UsageError:
    return UsageError(
        f"invalid port format '{text}'.",
        hint="use 8080:80, 80, :80 (any free local port) or a port's name; ports go to 65535.",
    )
