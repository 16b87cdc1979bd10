"""What has looked the same, and for how long."""

from __future__ import annotations

import pytest

from kfwd_nb.client.hops.looks import Looks

pytestmark = pytest.mark.pure


def test_only_what_was_seen_before_can_be_said_to_stand():
    looks = Looks()
    assert looks.still("a", 1, 10.0) is None
    assert looks.still("a", 1, 12.5) == 2.5
    assert looks.still("a", 1, 13.0) == 3.0
    assert looks.still("a", 2, 14.0) == 0.0
    assert looks.still("a", 2, 15.0) == 1.0
    assert looks.still("b", 2, 15.0) is None


def test_what_is_gone_is_forgotten():
    looks = Looks()
    for thing in "ab":
        looks.still(thing, 1, 0.0)
    looks.keep({"b"})
    assert looks.still("a", 1, 1.0) is None
    assert looks.still("b", 1, 1.0) == 1.0
