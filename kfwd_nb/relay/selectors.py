"""`labelSelector` and `fieldSelector` of a request: equality, joined by commas. Pure."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass

from kfwd_nb.errors import UsageError
from kfwd_nb.kube.objects import Object, Pod

MAX_SELECTOR = 4096
"""Characters of a selector."""

_TERM = re.compile(r"\s*([A-Za-z0-9./_-]+)\s*(==|=|!=)\s*([A-Za-z0-9._-]*)\s*")

FIELDS: dict[str, Callable[[Object], str]] = {
    "metadata.name": lambda item: item.metadata.name,
    "metadata.namespace": lambda item: item.metadata.namespace,
    "spec.nodeName": lambda item: item.spec.node_name if isinstance(item, Pod) else "",
    "status.phase": lambda item: item.status.phase if isinstance(item, Pod) else "",
}
"""The fields that can be selected by."""


@dataclass(frozen=True, slots=True)
class Selector:
    """Terms that all must hold: (key, value, equal or not)."""

    labels: tuple[tuple[str, str, bool], ...] = ()
    fields: tuple[tuple[str, str, bool], ...] = ()

    def matches(self, item: Object) -> bool:
        """The object is selected; a label that is not there is unequal to every value."""
        return all(
            (item.metadata.labels.get(key) == value) is equal for key, value, equal in self.labels
        ) and all((FIELDS[key](item) == value) is equal for key, value, equal in self.fields)


def parse_selector(labels: str = "", fields: str = "") -> Selector:
    """Read both parameters; an empty one selects all.

    Raises:
        UsageError: another form, or a field that cannot be selected by.
    """
    terms = _terms(fields, "field selector")
    for key, _, _ in terms:
        if key not in FIELDS:
            raise UsageError(
                f'field label "{key}" is not supported', hint=f"supported: {', '.join(FIELDS)}."
            )
    return Selector(_terms(labels, "label selector"), terms)


def _terms(text: str, name: str) -> tuple[tuple[str, str, bool], ...]:
    if len(text) > MAX_SELECTOR:
        raise UsageError(f"the {name} exceeds {MAX_SELECTOR} characters")
    terms = []
    for part in text.split(",") if text else []:
        match = _TERM.fullmatch(part)
        if match is None:
            raise UsageError(f'the {name} "{text}" is none of KEY=VALUE, KEY==VALUE, KEY!=VALUE')
        terms.append((match[1], match[3], match[2] != "!="))
    return tuple(terms)
