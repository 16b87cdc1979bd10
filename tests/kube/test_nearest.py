"""Hints with the nearest names."""

from __future__ import annotations

import pytest

from kfwd_nb.kube.nearest import did_you_mean

pytestmark = pytest.mark.pure


@pytest.mark.parametrize(
    ("name", "names", "hint"),
    [
        ("wbe", ["web", "db"], 'did you mean "web"?'),
        ("api", ["api-5d7f-abcde", "db"], 'did you mean "api-5d7f-abcde"?'),
        ("xyz", ["web", "db"], 'known: "web", "db".'),
        ("xyz", [f"p{n}" for n in range(7)], 'known: "p0", "p1", "p2", "p3", "p4" and 2 more.'),
        ("", ["web"], 'known: "web".'),
        ("web", [], None),
    ],
)
def test_hints(name: str, names: list[str], hint: str | None) -> None:
    assert did_you_mean(name, names) == hint
