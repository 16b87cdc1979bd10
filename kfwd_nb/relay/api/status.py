"""Refusals of API requests as Kubernetes `Status` objects, those included that only an API has."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec

from kfwd_nb.errors import ConfigError, KfwdError
from kfwd_nb.relay.store import AlreadyExistsError, ConflictError
from kfwd_nb.transport.http import Response, status_object, status_response

if TYPE_CHECKING:
    from collections.abc import Mapping


class MethodNotAllowedError(KfwdError):
    """The resource is known, and does not know this verb (405)."""


class InvalidError(ConfigError):
    """An object is not valid (422).

    Attributes:
        kind, name: the object's.
        field: the field that is wrong.
        problem: what is wrong with it.
    """

    def __init__(
        self, kind: str, name: str, field: str, problem: str, *, hint: str | None = None
    ) -> None:
        super().__init__(f'{kind} "{name}" is invalid: {field}: {problem}', hint=hint)
        self.kind = kind
        self.name = name
        self.field = field
        self.problem = problem

    @property
    def details(self) -> dict[str, Any]:
        """What clients make their own sentence of (apimachinery meta/v1 `StatusDetails`)."""
        cause = {"reason": "FieldValueInvalid", "message": self.problem, "field": self.field}
        return {"name": self.name, "kind": self.kind, "causes": [cause]}


class UnsupportedMediaTypeError(KfwdError):
    """The body is of a kind that is not known here (415)."""


_STATUSES: Mapping[type[KfwdError], tuple[int, str]] = {
    MethodNotAllowedError: (405, "MethodNotAllowed"),
    UnsupportedMediaTypeError: (415, "UnsupportedMediaType"),
    AlreadyExistsError: (409, "AlreadyExists"),
    ConflictError: (409, "Conflict"),
    InvalidError: (422, "Invalid"),
}
"""HTTP status and Kubernetes' reason of the errors that only an API has."""


def refusal(error: KfwdError) -> Response:
    """The answer that stands for the error."""
    own = _STATUSES.get(type(error))
    if own is None:
        return status_response(error)
    status = status_object(error, *own)
    if isinstance(error, InvalidError):
        status = with_details(status, error.details)
    return Response(own[0], msgspec.json.encode(status))


def with_details(status: dict[str, Any], details: dict[str, Any]) -> dict[str, Any]:
    """The status with more details; the causes that it has stay, at the end."""
    former = status.get("details", {}).get("causes", [])
    return status | {"details": details | {"causes": [*details["causes"], *former]}}
