"""Acting as somebody else: `kubectl --as`, for those who may `impersonate`.

Source: Kubernetes authentication, "User impersonation". Header fields: `Impersonate-User`, and
`Impersonate-Group` once for each group.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from kfwd_nb.errors import ForbiddenError, UsageError
from kfwd_nb.relay.authentication import AUTHENTICATED, User
from kfwd_nb.relay.rbac import Attributes

if TYPE_CHECKING:
    from collections.abc import Mapping

    from kfwd_nb.relay.rbac import Authorizer

USER_HEADER = "impersonate-user"
GROUP_HEADER = "impersonate-group"

MAX_GROUPS = 100
"""Groups of one request."""


def acting(user: User, headers: Mapping[str, str], authorizer: Authorizer) -> User:
    """Who the request is from: the user, or whom they act as.

    Raises:
        ForbiddenError: they may not act as that user, or as a member of that group; or the request
            names a UID or extra fields, which are not known here.
        UsageError: groups without a user, or too many.
    """
    name = headers.get(USER_HEADER, "")
    groups = [each.strip() for each in headers.get(GROUP_HEADER, "").split(",") if each.strip()]
    if any(each.startswith(("impersonate-uid", "impersonate-extra-")) for each in headers):
        raise ForbiddenError("impersonation of a UID or of extra fields is not supported here.")
    if not name and not groups:
        return user
    if not name or len(groups) > MAX_GROUPS:
        raise UsageError(
            f"requested the groups {groups[:3]} without impersonating a user"
            if not name
            else f"the request names more than {MAX_GROUPS} groups"
        )
    authorizer.require(user, Attributes("impersonate", "users", name=name))
    for group in groups:
        authorizer.require(user, Attributes("impersonate", "groups", name=group))
    return User(name, frozenset((*groups, AUTHENTICATED)))
