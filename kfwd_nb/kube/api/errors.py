"""What an API server's refusals mean to the person who asked: its own words, and a hint."""

from __future__ import annotations

from typing import TYPE_CHECKING

from kfwd_nb.errors import KfwdError

if TYPE_CHECKING:
    from kfwd_nb.kube.kubeconfig.access import ClusterAccess


_HINTS = {
    401: "the credentials of {source} are not valid there, or not any more; log in again.",
    403: "the user of {source} lacks that right; ask for it, or take another context.",
    429: "the server is overloaded; try again in a moment.",
}


def refusal(error: KfwdError, status: int, access: ClusterAccess | None) -> KfwdError:
    """The error with a hint, where the server gave none."""
    if status >= 500 and error.hint is None:
        error.hint = "the server itself has trouble; try again in a moment."
    if error.hint is None and access is not None and status in _HINTS:
        error.hint = _HINTS[status].format(source=access.source)
    return error
