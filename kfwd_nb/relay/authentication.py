"""Who is asking: a client certificate, or a bearer token."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import TYPE_CHECKING

from kfwd_nb.errors import UnauthorizedError

if TYPE_CHECKING:
    from collections.abc import Iterable

    from kfwd_nb.relay.config import Token
    from kfwd_nb.transport.http import Request

AUTHENTICATED = "system:authenticated"
"""The group of everybody who said who they are, and was believed."""

TOKEN_HEADERS = ("authorization", "proxy-authorization")
"""Where a token may be; HTTP/2 proxy clients can set only the second."""


@dataclass(frozen=True, slots=True)
class User:
    """A name, and the groups that it belongs to."""

    name: str
    groups: frozenset[str] = frozenset()


class Authenticator:
    """Knows the tokens. They are kept as hashes: looking one up takes no time that tells of it."""

    def __init__(self, tokens: Iterable[Token]) -> None:
        self._tokens = {_hash(token.token): token for token in tokens}

    def user(self, request: Request, now: float) -> User | None:
        """Who sent the request; None where nobody says who they are. `now` is an epoch in seconds.

        A client certificate comes first: TLS has proved it.

        Raises:
            UnauthorizedError: the token is not known, or has expired.
        """
        if request.identity is not None:
            return _member(request.identity.name, request.identity.groups)
        text = bearer(request)
        if text is None:
            return None
        token = self._tokens.get(_hash(text))
        if token is None or (token.expires is not None and token.expires <= now):
            raise UnauthorizedError(
                "the token is not known to this relay, or has expired.",
                where="relay",
                hint="the kubeconfig may belong to a cluster that was started anew; take its "
                "present one.",
            )
        return _member(token.user, token.groups)

    def require(self, request: Request, now: float) -> User:
        """Who sent the request.

        Raises:
            UnauthorizedError: the token is missing, not known, or has expired.
        """
        user = self.user(request, now)
        if user is None:
            raise UnauthorizedError(
                "the request carries neither a bearer token nor a client certificate.",
                where="relay",
                hint="the kubeconfig's user needs one of them.",
            )
        return user


def bearer(request: Request) -> str | None:
    """The request's bearer token (RFC 6750 §2.1), from whichever header has it."""
    for name in TOKEN_HEADERS:
        scheme, _, token = request.headers.get(name, "").partition(" ")
        if scheme.lower() == "bearer" and token.strip():
            return token.strip()
    return None


def _member(name: str, groups: Iterable[str]) -> User:
    return User(name, frozenset((*groups, AUTHENTICATED)))


def _hash(token: str) -> bytes:
    return hashlib.sha256(token.encode()).digest()
