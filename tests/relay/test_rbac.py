"""Who is asking, and whether they may: tables."""

from __future__ import annotations

import pytest

from kfwd_nb.errors import ForbiddenError, UnauthorizedError
from kfwd_nb.relay.authentication import Authenticator, User
from kfwd_nb.relay.config import Rule, Token
from kfwd_nb.relay.rbac import Attributes, Authorizer
from kfwd_nb.transport.http import Identity, Request

pytestmark = pytest.mark.pure

RULES = (
    Rule(verbs=("create",), resources=("pods/portforward",), users=("ann",), namespaces=("a", "b")),
    Rule(verbs=("get", "list"), resources=("pods",), groups=("readers",)),
    Rule(verbs=("*",), resources=("pods/*",), groups=("forwarders",)),
    Rule(verbs=("get",), resources=("*/portforward",), users=("bob",)),
    Rule(verbs=("*",), resources=("*",), users=("apps",), api_groups=("apps",)),
    Rule(verbs=("list",), resources=("namespaces",), groups=("system:authenticated",)),
)
FORWARD = Attributes("create", "pods/portforward", "", "a", "web")


def user(name: str, *groups: str) -> User:
    return User(name, frozenset(groups))


def on(resource: str, verb: str, namespace: str | None = "a", name: str = "") -> Attributes:
    group = "apps" if resource == "deployments" else ""
    return Attributes(verb, resource, group, namespace, name)


@pytest.mark.parametrize(
    ("who", "wanted", "allowed"),
    [
        (user("root", "system:masters"), FORWARD, True),
        (user("root", "system:masters"), on("nodes", "delete", None), True),
        (user("ann"), FORWARD, True),
        (user("ann"), on("pods/portforward", "create", "b"), True),
        (user("ann"), on("pods/portforward", "create", "c"), False),
        (user("ann"), on("pods/portforward", "get"), False),
        (user("ann"), on("pods", "create"), False),
        (user("x", "readers"), on("pods", "list"), True),
        (user("x", "readers"), on("pods", "list", None), True),
        (user("x", "readers"), FORWARD, False),
        (user("x", "forwarders"), FORWARD, True),
        (user("x", "forwarders"), on("pods", "create"), False),
        (user("bob"), on("pods/portforward", "get"), True),
        (user("bob"), on("pods", "get"), False),
        (user("apps"), on("deployments", "delete"), True),
        (user("apps"), on("pods", "delete"), False),
        (user("x", "system:authenticated"), on("namespaces", "list", None), True),
        (user("nobody"), FORWARD, False),
        (user("system:node:n1", "system:nodes"), on("nodes", "update", None, "n1"), True),
        (user("system:node:n1", "system:nodes"), on("nodes", "update", None, "n2"), False),
        (user("system:node:n1", "system:nodes"), on("nodes", "delete", None, "n1"), False),
        (user("system:node:n1", "system:nodes"), on("nodes", "list", None), False),
        (user("system:node:n1", "system:nodes"), on("pods", "get", "a", "n1"), False),
        (user("system:node:n1"), on("nodes", "update", None, "n1"), False),
    ],
)
def test_rules(who: User, wanted: Attributes, allowed: bool) -> None:
    assert Authorizer(RULES).allows(who, wanted) is allowed


@pytest.mark.parametrize(
    ("wanted", "words"),
    [
        (
            FORWARD,
            (
                'pods "web" is forbidden: User "x" cannot create resource "pods/portforward" '
                'in API group "" in the namespace "a"'
            ),
        ),
        (
            on("deployments", "list", None),
            (
                'deployments is forbidden: User "x" cannot list resource "deployments" '
                'in API group "apps" at the cluster scope'
            ),
        ),
    ],
)
def test_a_refusal_is_worded_as_kubernetes_words_it(wanted: Attributes, words: str) -> None:
    with pytest.raises(ForbiddenError) as caught:
        Authorizer(()).require(user("x"), wanted)
    assert caught.value.what == words
    assert caught.value.where == "relay"


AUTHENTICATOR = Authenticator(
    [Token("good", "ann", ("dev",)), Token("late", "old", expires=1000.0)]
)


def request(identity: Identity | None = None, **headers: str) -> Request:
    fields = {name.replace("_", "-"): value for name, value in headers.items()}
    return Request("GET", "/", "relay", fields, identity=identity)


@pytest.mark.parametrize(
    ("asked", "name"),
    [
        (request(authorization="Bearer good"), "ann"),
        (request(authorization="bearer  good "), "ann"),
        (request(proxy_authorization="Bearer good"), "ann"),
        (request(authorization="Basic x", proxy_authorization="Bearer good"), "ann"),
        (request(authorization="Bearer late"), "old"),
        (request(Identity("cert", ("o",)), authorization="Bearer bad"), "cert"),
        (request(), None),
        (request(authorization="Basic Zm9vOmJhcg=="), None),
        (request(authorization="Bearer "), None),
    ],
)
def test_who_is_asking(asked: Request, name: str | None) -> None:
    found = AUTHENTICATOR.user(asked, now=999.0)
    assert (found.name if found else None) == name


def test_everybody_known_is_in_the_group_of_the_authenticated() -> None:
    found = AUTHENTICATOR.require(request(authorization="Bearer good"), now=0)
    assert found.groups == {"dev", "system:authenticated"}


@pytest.mark.parametrize("token", ["bad", "late", "good2", "Good"])
def test_a_wrong_or_expired_token_is_refused(token: str) -> None:
    with pytest.raises(UnauthorizedError) as caught:
        AUTHENTICATOR.user(request(authorization=f"Bearer {token}"), now=1000.0)
    assert caught.value.what == "the token is not known to this relay, or has expired."
    assert caught.value.where == "relay"
    assert token not in str(caught.value)


def test_no_credentials_are_another_refusal() -> None:
    with pytest.raises(UnauthorizedError, match="neither a bearer token nor a client cert"):
        AUTHENTICATOR.require(request(), now=0)
