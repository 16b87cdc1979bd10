"""Which isolation is taken, and what is said about it."""

from __future__ import annotations

import pytest

from kfwd_nb.agent.isolation import Possible
from kfwd_nb.cluster import isolation
from kfwd_nb.cluster.isolation import Chosen, choose
from kfwd_nb.errors import ClusterError

pytestmark = pytest.mark.pure


async def test_auto_takes_what_is_possible(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(isolation, "probe", lambda: Possible("netns", {}))
    assert await choose("auto") == Chosen("netns")


async def test_auto_says_what_it_could_not_have(monkeypatch: pytest.MonkeyPatch) -> None:
    reasons = {"netns": "Operation not permitted", "userns": "No space left on device"}
    monkeypatch.setattr(isolation, "probe", lambda: Possible("loopback", reasons))
    line = str(await choose("auto"))
    assert line.startswith("WARNING: isolation loopback: simulated isolation")
    assert "netns: Operation not permitted" in line
    assert "userns: No space left on device" in line


async def test_what_was_asked_for_is_not_replaced(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(isolation, "refusal", lambda name: "No space left on device")
    with pytest.raises(ClusterError, match="userns cannot be had here: No space left on device"):
        await choose("userns")


@pytest.mark.parametrize("name", ["netns", "userns", "loopback"])
async def test_what_was_asked_for_and_works(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    monkeypatch.setattr(isolation, "refusal", lambda name: None)
    assert await choose(name) == Chosen(name)
