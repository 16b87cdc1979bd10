"""Label selectors of workloads: whom they select, and how a request says so. Pure.

Source: meta/v1 `LabelSelector` (`k8s.io/apimachinery`, `LabelSelectorAsSelector`).
"""

from __future__ import annotations

from collections.abc import Mapping

from kfwd_nb.errors import ConfigError
from kfwd_nb.kube.objects import LabelSelector, LabelSelectorRequirement

_FORMS = {
    "In": "{key} in ({values})",
    "NotIn": "{key} notin ({values})",
    "Exists": "{key}",
    "DoesNotExist": "!{key}",
}
"""Each operator in the language of `labelSelector`."""


def selects(selector: LabelSelector, labels: Mapping[str, str]) -> bool:
    """The labels fit; an empty selector selects nothing here, for no workload may have one."""
    if not (selector.match_labels or selector.match_expressions):
        return False
    return all(labels.get(key) == value for key, value in selector.match_labels.items()) and all(
        holds(requirement, labels.get(requirement.key))
        for requirement in selector.match_expressions
    )


def holds(requirement: LabelSelectorRequirement, value: str | None) -> bool:
    """The condition holds for a label's value; None: it is not there, which is `NotIn`, too."""
    match requirement.operator:
        case "In":
            return value is not None and value in requirement.values
        case "NotIn":
            return value is None or value not in requirement.values
        case "Exists":
            return value is not None
        case "DoesNotExist":
            return value is None


def selector_text(selector: LabelSelector) -> str:
    """The selector as the parameter `labelSelector` of list and watch.

    Raises:
        ConfigError: it is empty: as a parameter that would mean every pod.
    """
    terms = [f"{key}={value}" for key, value in sorted(selector.match_labels.items())]
    terms += [
        _FORMS[each.operator].format(key=each.key, values=",".join(each.values))
        for each in selector.match_expressions
    ]
    if not terms:
        raise ConfigError("the selector is empty.")
    return ",".join(terms)
