"""Requests and responses, whichever HTTP version carried them, and who answers them."""

from __future__ import annotations

import json
from abc import abstractmethod
from collections.abc import AsyncGenerator, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol

from kfwd_nb.errors import (
    ConfigError,
    ExpiredError,
    ForbiddenError,
    Hop,
    KfwdError,
    LimitError,
    NotFoundError,
    RemoteProtocolError,
    UnauthorizedError,
    UnavailableError,
    UsageError,
)
from kfwd_nb.transport.stream import ByteStream

if TYPE_CHECKING:
    import asyncio

    from kfwd_nb.transport.notes import Notes

MAX_BODY = 8 << 20
"""Octets of a request's or a gathered response's body. Kubernetes takes requests of 3 MiB."""


@dataclass(frozen=True, slots=True)
class Identity:
    """Who a client certificate says its owner is: CN, and every O as a group."""

    name: str
    groups: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Request:
    """A request. `path` has its query; header names are lowercase; the body is whole."""

    method: str
    path: str
    authority: str
    headers: Mapping[str, str]
    body: bytes = b""
    identity: Identity | None = None


@dataclass(slots=True)
class Response:
    """A response; a body that is a generator is sent as it comes (a watch)."""

    status: int
    body: bytes | AsyncGenerator[bytes, None] = b""
    headers: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Switch:
    """The answer 101: after it the connection is `protocol`'s (RFC 9110 §15.2.2).

    `protocol` gets `connection_made`, then what the client sent too early, then the rest.
    `headers` names the agreement; `connection: Upgrade` is added to it.
    """

    headers: dict[str, str]
    protocol: asyncio.BaseProtocol


class OfferedStream(ByteStream):
    """The stream that a CONNECT asks for: who couples it accepts it first.

    Attributes:
        notes: what happens to it, if the client wants that noted.
    """

    __slots__ = ()

    notes: Notes | None

    @abstractmethod
    def accept(self, headers: dict[str, str] | None = None) -> None:
        """Answer 200, with those fields: bytes may pass."""


class Handler(Protocol):
    """The application behind a server."""

    hop: Hop
    """Named in refusals, so that a person sees where on the chain it failed."""

    async def request(self, request: Request) -> Response:
        """Answer an API request; a `KfwdError` becomes a Kubernetes Status object."""

    async def admit(self, request: Request) -> None:
        """Return if who asks may hear of the connections of their own tunnel (`http2.hops`).

        A `KfwdError` refuses.
        """

    async def upgrade(self, request: Request) -> Response | Switch:
        """Answer an HTTP/1.1 request that offers to switch protocols (its `upgrade` field).

        Whoever knows no such protocol answers as if nothing had been offered (RFC 9110 §7.8). A
        `KfwdError` refuses, as a Status object.
        """

    async def connect(self, request: Request, stream: OfferedStream) -> None:
        """Accept `stream` and couple it; a `KfwdError` before `accept` refuses it."""


def header_lines(fields: Mapping[str, str]) -> list[tuple[str, str]]:
    """Fields as they go out; a value that holds NUL is several lines of its name.

    Only `Impersonate-Group` and `Impersonate-Extra-*` need that: API servers take no commas there.
    """
    return [(name, each) for name, value in fields.items() for each in value.split("\0")]


_STATUSES: tuple[tuple[type[KfwdError], int, str], ...] = (
    (UsageError, 400, "BadRequest"),
    (RemoteProtocolError, 400, "BadRequest"),
    (UnauthorizedError, 401, "Unauthorized"),
    (ForbiddenError, 403, "Forbidden"),
    (NotFoundError, 404, "NotFound"),
    (ExpiredError, 410, "Expired"),
    (ConfigError, 422, "Invalid"),
    (LimitError, 429, "TooManyRequests"),
    (UnavailableError, 503, "ServiceUnavailable"),
)
"""HTTP status and Kubernetes' reason for each kind of error; read in both directions."""


_HINT = "Hint"
"""Reason of the cause in a Status object that carries an error's hint."""


def status_response(error: KfwdError) -> Response:
    """The error as a `Status` object (Kubernetes apimachinery, meta/v1 `Status`)."""
    for kind, code, reason in _STATUSES:
        if isinstance(error, kind):
            return Response(code, json.dumps(status_object(error, code, reason)).encode())
    status = status_object(error, 500, "InternalError")
    return Response(500, json.dumps(status).encode())


def status_object(error: KfwdError, code: int, reason: str) -> dict[str, Any]:
    """A `Status` of apimachinery's meta/v1, with the error's hint as a cause."""
    status: dict[str, Any] = {
        "kind": "Status",
        "apiVersion": "v1",
        "metadata": {},
        "status": "Failure",
        "message": error.what,
        "reason": reason,
        "details": {},  # always there: `kubectl debug` looks into it
        "code": code,
    }
    if error.hint:
        status["details"]["causes"] = [{"reason": _HINT, "message": error.hint}]
    return status


def error_of_response(status: int, body: bytes) -> KfwdError:
    """The typed error that an answer of 400 or more stands for, in the server's own words."""
    try:
        answer = json.loads(body)
        message = str(answer["message"])
        causes = (answer.get("details") or {}).get("causes") or []
        hint = next((str(each["message"]) for each in causes if each.get("reason") == _HINT), None)
    except (ValueError, KeyError, TypeError, AttributeError):
        message, hint = f"the answer is {status}, and not that of a Kubernetes API server.", None
    for kind, code, _ in _STATUSES:
        if code == status:
            return kind(message, where="relay", hint=hint)
    return KfwdError(message, where="relay", hint=hint)


def identity_of(certificate: Mapping[str, Any] | None) -> Identity | None:
    """Read `SSLSocket.getpeercert`'s form: CN is the name, each O a group (Kubernetes x509)."""
    if not certificate:
        return None
    pairs = [pair for names in certificate.get("subject", ()) for pair in names]
    name = next((value for key, value in pairs if key == "commonName"), None)
    if name is None:
        return None
    return Identity(name, tuple(value for key, value in pairs if key == "organizationName"))
