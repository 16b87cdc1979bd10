"""Patches: RFC 7396's own cases, and strategic merges as kubectl writes them."""

from __future__ import annotations

import contextlib
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kfwd_nb.errors import KfwdError, RemoteProtocolError
from kfwd_nb.relay.api.patches import merge, strategic_merge

pytestmark = pytest.mark.pure


@pytest.mark.parametrize(
    ("tree", "patch", "result"),
    [  # RFC 7396, appendix A
        ({"a": "b"}, {"a": "c"}, {"a": "c"}),
        ({"a": "b"}, {"b": "c"}, {"a": "b", "b": "c"}),
        ({"a": "b"}, {"a": None}, {}),
        ({"a": "b", "b": "c"}, {"a": None}, {"b": "c"}),
        ({"a": ["b"]}, {"a": "c"}, {"a": "c"}),
        ({"a": "c"}, {"a": ["b"]}, {"a": ["b"]}),
        ({"a": {"b": "c"}}, {"a": {"b": "d", "c": None}}, {"a": {"b": "d"}}),
        ({"a": [{"b": "c"}]}, {"a": [1]}, {"a": [1]}),
        (["a", "b"], ["c", "d"], ["c", "d"]),
        ({"a": "b"}, ["c"], ["c"]),
        ({"a": "foo"}, None, None),
        ({"e": None}, {"a": 1}, {"e": None, "a": 1}),
        ([1, 2], {"a": "b", "c": None}, {"a": "b"}),
        ({}, {"a": {"bb": {"ccc": None}}}, {"a": {"bb": {}}}),
    ],
)
def test_merge_patch(tree: Any, patch: Any, result: Any) -> None:
    assert merge(tree, patch) == result


def one(name: str, **more: Any) -> dict[str, Any]:
    return {"name": name, **more}


@pytest.mark.parametrize(
    ("tree", "patch", "result"),
    [
        ({"a": 1, "b": 2}, {"a": None, "c": 3}, {"b": 2, "c": 3}),
        (
            {"containers": [one("a", image="1"), one("b")]},
            {"containers": [one("a", image="2"), one("c")]},
            {"containers": [one("a", image="2"), one("b"), one("c")]},
        ),
        (
            {"containers": [one("a", env=[one("X", value="1"), one("Y", value="1")])]},
            {"containers": [one("a", env=[one("X", value="2")])]},
            {"containers": [one("a", env=[one("X", value="2"), one("Y", value="1")])]},
        ),
        (
            {"containers": [one("a"), one("b")]},
            {"containers": [one("a", **{"$patch": "delete"})]},
            {"containers": [one("b")]},
        ),
        (
            {"containers": [one("a"), one("b")]},
            {"containers": [one("c"), {"$patch": "replace"}]},
            {"containers": [one("c")]},
        ),
        (
            {"containers": [one("a"), one("b")]},
            {
                "containers": [one("c")],
                "$setElementOrder/containers": [one("c"), one("b"), one("a")],
            },
            {"containers": [one("c"), one("b"), one("a")]},
        ),
        (
            {"ports": [{"port": 80}, {"port": 81}]},
            {"ports": [{"port": 80, "targetPort": 8080}]},
            {"ports": [{"port": 80, "targetPort": 8080}, {"port": 81}]},
        ),
        ({"args": ["a", "b"]}, {"args": ["c"]}, {"args": ["c"]}),
        ({"args": ["a", "b"]}, {"$deleteFromPrimitiveList/args": ["a"]}, {"args": ["b"]}),
        (
            {"strategy": {"type": "a", "rolling": 1}},
            {"strategy": {"type": "b", "$retainKeys": ["type"]}},
            {"strategy": {"type": "b"}},
        ),
        (
            {"labels": {"a": "1"}},
            {"labels": {"b": "2", "$patch": "replace"}},
            {"labels": {"b": "2"}},
        ),
        ({"labels": {"a": "1"}}, {"labels": {"$patch": "delete"}}, {"labels": {}}),
    ],
)
def test_strategic_merge_patch(tree: Any, patch: Any, result: Any) -> None:
    assert strategic_merge(tree, patch) == result


@pytest.mark.parametrize(
    "patch",
    [
        {"$patch": "frob"},
        {"containers": [{"image": "x"}]},
        {"containers": ["a"]},
        {"containers": [{"$patch": "replace"}, 1]},
        {"$deleteFromPrimitiveList/args": 3},
        {"$setElementOrder/containers": 3},
        {"$setElementOrder/containers": [{}]},
        {"$retainKeys": 3},
    ],
)
def test_patches_that_cannot_be_meant(patch: Any) -> None:
    with pytest.raises(RemoteProtocolError):
        strategic_merge({"containers": [one("a")], "args": ["x"]}, patch)


def test_deep_patches_are_refused() -> None:
    deep: Any = 1
    for _ in range(100):
        deep = {"a": deep}
    for apply in (merge, strategic_merge):
        with pytest.raises(RemoteProtocolError):
            apply({}, deep)


KEYS = st.sampled_from(
    ["a", "containers", "ports", "args", "name", "port", "$patch", "$retainKeys"]
    + [
        f"{each}/{name}"
        for each in ("$setElementOrder", "$deleteFromPrimitiveList")
        for name in ("containers", "args")
    ]
)
TREES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.sampled_from(["a", "replace", "delete"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KEYS, inner, max_size=4),
    max_leaves=12,
)


@given(st.dictionaries(KEYS, TREES, max_size=4), st.dictionaries(KEYS, TREES, max_size=4))
def test_any_patch_is_applied_or_refused(tree: Any, patch: Any) -> None:
    for apply in (merge, strategic_merge):
        with contextlib.suppress(KfwdError):
            assert isinstance(apply(tree, patch), dict)


@given(st.dictionaries(KEYS, TREES, max_size=4))
def test_a_merge_patch_of_itself_changes_nothing_but_nulls(tree: Any) -> None:
    once = merge({}, tree)
    assert merge(once, tree) == once
