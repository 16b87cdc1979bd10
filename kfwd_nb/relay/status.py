"""Refusals of API requests as Kubernetes `Status` objects, those included that only an API has."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from kfwd_nb.errors import KfwdError
from kfwd_nb.relay.store import AlreadyExistsError, ConflictError, ExpiredError
from kfwd_nb.transport.http import Response, status_object, status_response

if TYPE_CHECKING:
    from collections.abc import Mapping


class MethodNotAllowedError(KfwdError):
    """The resource is known, and does not know this verb (405)."""


_STATUSES: Mapping[type[KfwdError], tuple[int, str]] = {
    MethodNotAllowedError: (405, "MethodNotAllowed"),
    AlreadyExistsError: (409, "AlreadyExists"),
    ConflictError: (409, "Conflict"),
    ExpiredError: (410, "Expired"),
}
"""HTTP status and Kubernetes' reason of the errors that only an API has."""


def refusal(error: KfwdError) -> Response:
    """The answer that stands for the error."""
    own = _STATUSES.get(type(error))
    if own is None:
        return status_response(error)
    return Response(own[0], msgspec.json.encode(status_object(error, *own)))
