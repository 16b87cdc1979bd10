"""Patches: JSON merge patch (RFC 7396) and Kubernetes' strategic merge patch. Pure.

The second one differs in lists: those whose elements have a key are merged by it, element by
element, and a few fields whose names begin with `$` give directives (Kubernetes, "Update API
Objects in Place Using kubectl patch").
"""

from __future__ import annotations

from typing import Any

from kfwd_nb.errors import RemoteProtocolError

Tree = dict[str, Any]

MERGE_KEYS: dict[str, tuple[str, ...]] = {
    "addresses": ("type",),
    "conditions": ("type",),
    "containers": ("name",),
    "env": ("name",),
    "ownerReferences": ("uid",),
    "ports": ("containerPort", "port"),
}
"""Lists that are merged, by their fields' names, and the keys of their elements."""

_ORDER = "$setElementOrder/"
_DELETE = "$deleteFromPrimitiveList/"
_KEEP = "$retainKeys"

MAX_DEPTH = 50
"""Levels of a patch."""


def merge(tree: Any, patch: Any, depth: int = 0) -> Any:
    """The tree with a JSON merge patch applied (RFC 7396 §2).

    Raises:
        RemoteProtocolError: it is too deep.
    """
    _check_depth(depth)
    if not isinstance(patch, dict):
        return patch
    merged = dict(tree) if isinstance(tree, dict) else {}
    for key, value in patch.items():
        if value is None:
            merged.pop(key, None)
        else:
            merged[key] = merge(merged.get(key), value, depth + 1)
    return merged


def strategic_merge(tree: Tree, patch: Tree, depth: int = 0) -> Tree:
    """The tree with a strategic merge patch applied.

    Raises:
        RemoteProtocolError: a directive or an element cannot be meant.
    """
    _check_depth(depth)
    how = patch.get("$patch", "merge")
    if how == "replace":
        return _without_directives(patch)
    if how == "delete":
        return {}
    if how != "merge":
        raise RemoteProtocolError(f"the patch has the unknown directive $patch: {how!r}")
    merged = dict(tree)
    for key, value in patch.items():
        if key.startswith(_DELETE):
            name = key.removeprefix(_DELETE)
            gone = _listed(key, value)
            merged[name] = [each for each in _list(merged.get(name)) if each not in gone]
        elif key.startswith("$"):
            continue
        elif value is None:
            merged.pop(key, None)
        else:
            merged[key] = _value(key, merged.get(key), value, depth)
    return _arranged(merged, patch)


def _arranged(merged: Tree, patch: Tree) -> Tree:
    """Obey the directives that say what stays, and in which order."""
    for key, value in patch.items():
        if key.startswith(_ORDER):
            name = key.removeprefix(_ORDER)
            if name in merged:
                merged[name] = _ordered(name, _list(merged[name]), _listed(key, value))
    if _KEEP in patch:
        kept = _listed(_KEEP, patch[_KEEP])
        merged = {key: each for key, each in merged.items() if key in kept}
    return merged


def _value(key: str, former: Any, value: Any, depth: int) -> Any:
    if isinstance(value, dict):
        return strategic_merge(former if isinstance(former, dict) else {}, value, depth + 1)
    if isinstance(value, list) and key in MERGE_KEYS:
        return _merged_list(key, _list(former), value, depth)
    return value


def _merged_list(key: str, former: list[Any], patch: list[Any], depth: int) -> list[Any]:
    others = [each for each in patch if not _is_directive(each, "replace")]
    if len(others) != len(patch):
        former, patch = [], others
    merged = {_identity(key, each): each for each in former}
    for each in patch:
        identity = _identity(key, each)
        if _is_directive(each, "delete"):
            merged.pop(identity, None)
        else:
            merged[identity] = strategic_merge(merged.get(identity, {}), each, depth + 1)
    return list(merged.values())


def _ordered(key: str, former: list[Any], order: list[Any]) -> list[Any]:
    """The elements that the order names come first, in that order."""
    if key not in MERGE_KEYS:
        return sorted(former, key=lambda each: _position(each, order))
    wanted = [_identity(key, each) for each in order]
    return sorted(former, key=lambda each: _position(_identity(key, each), wanted))


def _position(identity: object, order: list[Any]) -> int:
    return order.index(identity) if identity in order else len(order)


def _identity(key: str, element: Any) -> tuple[str, object]:
    for name in MERGE_KEYS[key]:
        if isinstance(element, dict) and isinstance(element.get(name), str | int):
            return name, element[name]
    names = " or ".join(MERGE_KEYS[key])
    raise RemoteProtocolError(f"the patch has an element of {key} without {names}")


def _is_directive(element: Any, name: str) -> bool:
    return isinstance(element, dict) and element.get("$patch") == name


def _list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []


def _listed(key: str, value: Any) -> list[Any]:
    if not isinstance(value, list):
        raise RemoteProtocolError(f"the patch's directive {key} must have a list")
    return value


def _without_directives(patch: Tree) -> Tree:
    return {key: value for key, value in patch.items() if not key.startswith("$")}


def _check_depth(depth: int) -> None:
    if depth > MAX_DEPTH:
        raise RemoteProtocolError(f"the patch has more than {MAX_DEPTH} levels")
