"""Who may do what, in the terms of Kubernetes' RBAC, and the refusal in its words. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from kfwd_nb.errors import ForbiddenError
from kfwd_nb.kube.identities import MASTERS, NODES, node_user

if TYPE_CHECKING:
    from collections.abc import Iterable

    from kfwd_nb.relay.authentication import User
    from kfwd_nb.relay.config import Rule

NODE_VERBS = frozenset({"get", "create", "update"})
"""What an agent may do to its own node."""


@dataclass(frozen=True, slots=True)
class Attributes:
    """What somebody wants to do (authorization.k8s.io `ResourceAttributes`).

    Attributes:
        resource: with its subresource, as `pods/portforward`.
        namespace: None for what is not namespaced, and for a list over all namespaces.
        name: empty for a list, and where it is not known yet.
    """

    verb: str
    resource: str
    group: str = ""
    namespace: str | None = None
    name: str = ""


class Authorizer:
    """Decides by rules; what no rule allows is refused."""

    def __init__(self, rules: Iterable[Rule]) -> None:
        self._rules = tuple(rules)

    def allows(self, user: User, wanted: Attributes) -> bool:
        """The user may do it."""
        return (
            MASTERS in user.groups
            or _own_node(user, wanted)
            or any(_concerns(rule, user) and _grants(rule, wanted) for rule in self._rules)
        )

    def require(self, user: User, wanted: Attributes) -> None:
        """Nothing, if the user may do it.

        Raises:
            ForbiddenError: in Kubernetes' own words.
        """
        if not self.allows(user, wanted):
            raise forbidden(user, wanted)

    def rules_of(self, user: User, namespace: str) -> dict[str, Any]:
        """What the user may do in a namespace (authorization.k8s.io `SubjectRulesReviewStatus`)."""
        rules = [
            _shown(rule.verbs, rule.api_groups, rule.resources)
            for rule in self._rules
            if _concerns(rule, user) and not {"*", namespace}.isdisjoint(rule.namespaces)
        ]
        if MASTERS in user.groups:
            rules.append(_shown(("*",), ("*",), ("*",)))
        return {"resourceRules": rules, "nonResourceRules": [], "incomplete": False}


def forbidden(user: User, wanted: Attributes) -> ForbiddenError:
    """The refusal, as the Kubernetes API server words it."""
    resource = wanted.resource.partition("/")[0]
    thing = f'{resource} "{wanted.name}"' if wanted.name else resource
    scope = (
        "at the cluster scope"
        if wanted.namespace is None
        else f'in the namespace "{wanted.namespace}"'
    )
    return ForbiddenError(
        f'{thing} is forbidden: User "{user.name}" cannot {wanted.verb} resource '
        f'"{wanted.resource}" in API group "{wanted.group}" {scope}',
        where="relay",
        hint=f'a rule that allows verb "{wanted.verb}" on "{wanted.resource}" would let it pass.',
    )


def _shown(verbs: Iterable[str], groups: Iterable[str], resources: Iterable[str]) -> dict[str, Any]:
    return {"verbs": list(verbs), "apiGroups": list(groups), "resources": list(resources)}


def _own_node(user: User, wanted: Attributes) -> bool:
    return (
        NODES in user.groups
        and wanted.resource == "nodes"
        and wanted.verb in NODE_VERBS
        and user.name == node_user(wanted.name)
    )


def _concerns(rule: Rule, user: User) -> bool:
    return user.name in rule.users or "*" in rule.users or not user.groups.isdisjoint(rule.groups)


def _grants(rule: Rule, wanted: Attributes) -> bool:
    return (
        _among(wanted.verb, rule.verbs)
        and _among(wanted.group, rule.api_groups)
        and _names_resource(rule, wanted.resource)
        and ("*" in rule.namespaces or wanted.namespace in rule.namespaces)
    )


def _names_resource(rule: Rule, resource: str) -> bool:
    main, _, sub = resource.partition("/")
    known = {resource, "*"} | ({f"{main}/*", f"*/{sub}"} if sub else set())
    return not known.isdisjoint(rule.resources)


def _among(word: str, words: tuple[str, ...]) -> bool:
    return "*" in words or word in words
