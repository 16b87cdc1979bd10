"""`labelSelector` and `fieldSelector` of a request, in all of Kubernetes' forms. Pure."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass

from kfwd_nb.errors import UsageError
from kfwd_nb.kube.objects import Object, Pod

MAX_SELECTOR = 4096
"""Characters of a selector."""

_KEY = r"[A-Za-z0-9./_-]+"
_VALUE = r"[A-Za-z0-9._-]*"

_EQUALITY = re.compile(rf"({_KEY})\s*(==|=|!=)\s*({_VALUE})")
_SET = re.compile(rf"({_KEY})\s+(in|notin)\s*\(([^()]*)\)")
_EXISTS = re.compile(rf"(!?)\s*({_KEY})")
_COMMAS = re.compile(r",(?![^()]*\))")
"""Commas that separate terms; those inside parentheses separate values."""

FIELDS: dict[str, Callable[[Object], str]] = {
    "metadata.name": lambda item: item.metadata.name,
    "metadata.namespace": lambda item: item.metadata.namespace,
    "spec.nodeName": lambda item: item.spec.node_name if isinstance(item, Pod) else "",
    "status.phase": lambda item: item.status.phase if isinstance(item, Pod) else "",
    "status.podIP": lambda item: item.status.pod_ip if isinstance(item, Pod) else "",
    "spec.restartPolicy": lambda item: item.spec.restart_policy if isinstance(item, Pod) else "",
}
"""The fields that can be selected by."""


@dataclass(frozen=True, slots=True)
class Term:
    """One condition on a label or a field.

    Attributes:
        values: those that it may have, or may not have; None stands for any that is there.
        wanted: the condition holds when it has one of them; False turns it around.
    """

    key: str
    values: frozenset[str] | None
    wanted: bool

    def holds(self, value: str | None) -> bool:
        """The condition holds for that value; what is not there is unequal to every value."""
        found = value is not None and (self.values is None or value in self.values)
        return found is self.wanted


@dataclass(frozen=True, slots=True)
class Selector:
    """Terms that all must hold."""

    labels: tuple[Term, ...] = ()
    fields: tuple[Term, ...] = ()

    def matches(self, item: Object) -> bool:
        """The object is selected."""
        labels = item.metadata.labels
        return all(term.holds(labels.get(term.key)) for term in self.labels) and all(
            term.holds(FIELDS[term.key](item)) for term in self.fields
        )


def parse_selector(labels: str = "", fields: str = "") -> Selector:
    """Read both parameters; an empty one selects all.

    Raises:
        UsageError: another form, or a field that cannot be selected by.
    """
    parts = _parts(fields, "field selector")
    terms = tuple(_equality(part, fields) for part in parts if part)  # as kr8s writes them: `a=b,`
    for term in terms:
        if term.key not in FIELDS:
            raise UsageError(
                f'field label "{term.key}" is not supported',
                hint=f"supported: {', '.join(FIELDS)}.",
            )
    return Selector(tuple(_label(part, labels) for part in _parts(labels, "label selector")), terms)


def _parts(text: str, name: str) -> list[str]:
    if len(text) > MAX_SELECTOR:
        raise UsageError(f"the {name} exceeds {MAX_SELECTOR} characters")
    return [part.strip() for part in _COMMAS.split(text)] if text.strip() else []


def _equality(part: str, whole: str) -> Term:
    match = _EQUALITY.fullmatch(part)
    if match is None:
        raise UsageError(f'the field selector "{whole}" is none of KEY=VALUE, KEY!=VALUE')
    return Term(match[1], frozenset((match[3],)), match[2] != "!=")


def _label(part: str, whole: str) -> Term:
    if match := _SET.fullmatch(part):
        values = frozenset(value.strip() for value in match[3].split(","))
        if all(re.fullmatch(_VALUE, value) for value in values):
            return Term(match[1], values, match[2] == "in")
    if match := _EXISTS.fullmatch(part):
        return Term(match[2], None, not match[1])
    if match := _EQUALITY.fullmatch(part):
        return Term(match[1], frozenset((match[3],)), match[2] != "!=")
    raise UsageError(
        f'the label selector "{whole}" is none of KEY=VALUE, KEY!=VALUE, KEY in (A,B), '
        "KEY notin (A,B), KEY, !KEY"
    )
