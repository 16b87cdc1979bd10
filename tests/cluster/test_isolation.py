"""Which isolation is taken, and what is said about it."""

from __future__ import annotations

import pytest

from kfwd_nb.cluster import isolation
from kfwd_nb.cluster.isolation import MEANING, Chosen, choose
from kfwd_nb.errors import ClusterError

pytestmark = pytest.mark.pure


@pytest.fixture
def refusals(monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    """What the system says to each trial."""
    refused: dict[str, str] = {}

    async def trial(name: str) -> str:
        return refused.get(name, "")

    monkeypatch.setattr(isolation, "trial", trial)
    return refused


async def test_auto_takes_the_strongest(refusals: dict[str, str]) -> None:
    assert await choose("auto") == Chosen("netns")


async def test_auto_says_what_it_could_not_have(refusals: dict[str, str]) -> None:
    refusals["netns"] = "unshare: Operation not permitted"
    assert await choose("auto") == Chosen("userns", "no netns: unshare: Operation not permitted")
    refusals["userns"] = "No space left on device"
    last = await choose("auto")
    assert last.name == "loopback"
    assert "Operation not permitted" in str(last)
    assert "No space left" in str(last)
    assert "simulated isolation" in str(last)


async def test_what_was_asked_for_is_not_replaced(refusals: dict[str, str]) -> None:
    refusals["userns"] = "No space left on device"
    with pytest.raises(ClusterError, match="no userns: No space left on device"):
        await choose("userns")


async def test_loopback_is_not_tried(refusals: dict[str, str]) -> None:
    refusals["loopback"] = "never asked"
    assert (await choose("loopback")).name == "loopback"


def test_every_isolation_has_its_meaning() -> None:
    assert set(MEANING) == {"netns", "userns", "loopback"}
