"""Names and refusals of the `connect` dialect: HTTP/2 CONNECT to a port of a pod (RFC 9113 §8.5).

`:authority` is `NAME.NAMESPACE.pod:PORT` or `NAME.NAMESPACE.svc:PORT`, so that any HTTP/2 proxy
client can use it. A refusal is a status with a `Proxy-Status` field (RFC 9209), which says which
hop refused, by a registered error type, and why in words.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Literal, cast, get_args

from kfwd_nb.errors import (
    ForbiddenError,
    Hop,
    KfwdError,
    LimitError,
    LostError,
    NotFoundError,
    RefusedError,
    RemoteProtocolError,
    ResetError,
    UnauthorizedError,
    UnavailableError,
)

AuthorityKind = Literal["pod", "svc"]

POD_HEADER = "kfwd-pod"
"""Response field of an accepted CONNECT: the pod that answers, as NAMESPACE/NAME."""

NODE_HEADER = "kfwd-node"
"""Response field of an accepted CONNECT: the node whose agent opened the port."""

MAX_DETAILS = 1000
"""Characters of a refusal's words that go over the wire."""


@dataclass(frozen=True, slots=True)
class Authority:
    """Where a CONNECT leads."""

    kind: AuthorityKind
    namespace: str
    name: str
    port: int

    def __str__(self) -> str:
        return f"{self.name}.{self.namespace}.{self.kind}:{self.port}"


def parse_authority(text: str) -> Authority:
    """Read `NAME.NAMESPACE.KIND:PORT`; NAME may hold dots itself.

    Raises:
        RemoteProtocolError: it has another form.
    """
    match = re.fullmatch(r"([a-z0-9.-]{1,253})\.([a-z0-9-]{1,63})\.(pod|svc):([0-9]{1,5})", text)
    if match is None or not 0 < int(match[4]) <= 65535:
        raise RemoteProtocolError(
            f"CONNECT needs NAME.NAMESPACE.pod:PORT or NAME.NAMESPACE.svc:PORT, not {text[:300]!r}."
        )
    kind: AuthorityKind = "pod" if match[3] == "pod" else "svc"
    return Authority(kind, match[2], match[1], int(match[4]))


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why a CONNECT was not granted, as it goes over the wire.

    Attributes:
        status: HTTP status.
        error: error type of RFC 9209 §2.3.
        details: one sentence for a person.
        hop: who refused.
        hint: what to do about it, if that is known.
    """

    status: int
    error: str
    details: str
    hop: Hop = "relay"
    hint: str | None = None

    def header(self) -> str:
        """The value of `Proxy-Status`: a structured-field token and parameters (RFC 8941)."""
        who = self.hop.replace(" ", "-")
        hint = f"; {_HINT}={_quoted(self.hint)}" if self.hint else ""
        return f"{who}; error={self.error}; details={_quoted(self.details)}{hint}"


_HINT = "kfwd-hint"
"""A parameter of our own, as RFC 9209 §2.1 allows."""


def _quoted(text: str) -> str:
    """A string of RFC 8941 §3.3.3: printable ASCII; all else is written as escapes."""
    words = text[:MAX_DETAILS].encode("ascii", "backslashreplace").decode()
    words = "".join(c if " " <= c <= "~" else " " for c in words)
    escaped = words.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'


_REFUSALS: tuple[tuple[type[KfwdError], int, str], ...] = (
    (UnauthorizedError, 401, "http_request_denied"),
    (ForbiddenError, 403, "http_request_denied"),
    (NotFoundError, 404, "destination_not_found"),
    (LimitError, 429, "connection_limit_reached"),
    (RefusedError, 502, "connection_refused"),
    (ResetError, 502, "connection_terminated"),
    (UnavailableError, 503, "destination_unavailable"),
    (LostError, 504, "connection_terminated"),
)
"""Each error that can refuse a CONNECT, its status and its type; read in both directions."""


def refusal_of(error: KfwdError, hop: Hop) -> Refusal:
    """The form on the wire of an error that happened at `hop`, or further on if it says so."""
    for kind, status, name in _REFUSALS:
        if isinstance(error, kind):
            return Refusal(status, name, error.what, error.where or hop, error.hint)
    if isinstance(error, RemoteProtocolError):
        return Refusal(400, "http_request_error", error.what, error.where or hop)
    return Refusal(500, "proxy_internal_error", error.what, error.where or hop)


def error_of(status: int, proxy_status: str | None) -> KfwdError:
    """The typed error that a refused CONNECT stands for; the reverse of `refusal_of`."""
    hop, parameters = _read_proxy_status(proxy_status or "")
    name, hint = parameters.get("error", ""), parameters.get(_HINT)
    what = parameters.get("details") or f"the relay answered {status}."
    for kind, code, error in _REFUSALS:
        if status == code and name in ("", error):
            return kind(what, where=hop, hint=hint)
    return UnavailableError(what, where=hop, hint=hint)


_MEMBER = re.compile(r'(?:[^,"]|"(?:[^"\\]|\\.)*"?)+')
_PARAMETER = re.compile(r';\s*([a-z_*][a-z0-9_.*-]*)=("(?:[^"\\]|\\.)*"|[^;,]*)')


def _read_proxy_status(value: str) -> tuple[Hop, dict[str, str]]:
    """The last member, which the hop nearest to us added: that hop, and the parameters."""
    value = (_MEMBER.findall(value) or [""])[-1]
    parameters = {
        name: re.sub(r"\\(.)", r"\1", text[1:-1]) if text.startswith('"') else text.strip()
        for name, text in _PARAMETER.findall(value)
    }
    who = value.partition(";")[0].strip().replace("-", " ")
    return (cast("Hop", who) if who in get_args(Hop) else "relay"), parameters
