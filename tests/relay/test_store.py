"""The store: names, versions, events, limits."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from kfwd_nb.errors import ExpiredError, LimitError, NotFoundError
from kfwd_nb.kube.objects import Namespace, ObjectMeta, Pod
from kfwd_nb.relay import store as store_module
from kfwd_nb.relay.store import AlreadyExistsError, Store, with_metadata

pytestmark = pytest.mark.pure


def pod(name: str = "web", namespace: str = "default", **labels: str) -> Pod:
    return Pod(metadata=ObjectMeta(name=name, namespace=namespace, labels=labels))


@pytest.fixture
def store() -> Store:
    return Store(now=lambda: "2026-01-01T00:00:00Z")


def test_a_new_object_gets_uid_version_and_time(store: Store) -> None:
    made = store.create(pod())
    assert made.metadata.uid
    assert made.metadata.resource_version == "1"
    assert made.metadata.creation_timestamp == "2026-01-01T00:00:00Z"
    assert store.get(Pod, "default", "web") is made


def test_a_name_is_taken_once_in_each_namespace_and_kind(store: Store) -> None:
    store.create(pod())
    store.create(pod(namespace="staging"))
    store.create(Namespace(metadata=ObjectMeta(name="web")))
    with pytest.raises(AlreadyExistsError, match='pods "web" already exists'):
        store.create(pod())
    assert [each.metadata.namespace for each in store.select(Pod)] == ["default", "staging"]
    assert len(store.select(Pod, "staging")) == 1


def test_what_is_not_there_is_named_with_its_neighbours(store: Store) -> None:
    store.create(pod("web"))
    store.create(pod("wbe-elsewhere", "staging"))
    with pytest.raises(NotFoundError) as caught:
        store.require(Pod, "default", "wbe")
    assert str(caught.value) == 'pods "wbe" not found\nhint: did you mean "web"?'


def test_an_update_without_a_difference_is_no_event(store: Store) -> None:
    made = store.create(pod())
    assert store.update(made) is made
    assert store.update(with_metadata(made, resource_version="stale")) is made
    assert store.revision == 1
    assert store.update(with_metadata(made, labels={"a": "b"})).metadata.resource_version == "2"


def test_another_object_of_the_same_name_is_not_updated(store: Store) -> None:
    former = store.create(pod())
    store.delete(former)
    store.create(pod())
    with pytest.raises(NotFoundError, match="replaced by another"):
        store.update(former)


def test_events_follow_a_version(store: Store) -> None:
    made = store.create(pod())
    store.update(with_metadata(made, labels={"a": "b"}))
    store.delete(made)
    assert [event.type for event in store.events(0)] == ["ADDED", "MODIFIED", "DELETED"]
    (last,) = store.events(2)
    assert last.item.metadata.labels == {"a": "b"}
    assert last.item.metadata.resource_version == "3"
    assert store.events(3) == []
    with pytest.raises(ExpiredError, match=r"too old resource version: 4 \(3\)"):
        store.events(4)


def test_history_and_objects_have_limits(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(store_module, "HISTORY", 3)
    monkeypatch.setattr(store_module, "MAX_OBJECTS", 5)
    store = Store()
    for number in range(5):
        store.create(pod(f"p{number}"))
    assert len(store.events(2)) == 3
    with pytest.raises(ExpiredError):
        store.events(1)
    with pytest.raises(LimitError, match="the relay holds 5 pods"):
        store.create(pod("p5"))


async def test_a_waiter_wakes_at_the_next_change_and_leaves_nothing_behind(store: Store) -> None:
    waiter = asyncio.create_task(store.changed(0))
    await asyncio.sleep(0)
    assert not waiter.done()
    store.create(pod())
    await asyncio.wait_for(waiter, 5)
    await asyncio.wait_for(store.changed(0), 5)
    await store.changed(1, timeout=0.001)
    cancelled = asyncio.create_task(store.changed(1))
    await asyncio.sleep(0)
    cancelled.cancel()
    await asyncio.gather(cancelled, return_exceptions=True)
    assert not store._waiting


NAMES = st.sampled_from(["a", "b", "c"])


class Follower(RuleBasedStateMachine):
    """Whoever lists once and then follows the events has what the store has."""

    def __init__(self) -> None:
        super().__init__()
        self.store = Store()
        self.seen = 0
        self.copy: dict[str, Any] = {}

    @rule(name=NAMES, value=st.text(max_size=2))
    def write(self, name: str, value: str) -> None:
        former = self.store.get(Pod, "default", name)
        if former is None:
            self.store.create(pod(name, x=value))
        else:
            self.store.update(with_metadata(former, labels={"x": value}))

    @rule(name=NAMES)
    def delete(self, name: str) -> None:
        former = self.store.get(Pod, "default", name)
        if former is not None:
            self.store.delete(former)

    @rule()
    def follow(self) -> None:
        for event in self.store.events(self.seen):
            if event.type == "DELETED":
                del self.copy[event.item.metadata.name]
            else:
                assert (event.type == "ADDED") == (event.item.metadata.name not in self.copy)
                self.copy[event.item.metadata.name] = event.item
        self.seen = self.store.revision

    @invariant()
    def the_copy_is_right_once_it_has_followed(self) -> None:
        if self.seen == self.store.revision:
            there = {each.metadata.name: each for each in self.store.select(Pod)}
            assert self.copy == there


TestFollower = Follower.TestCase
TestFollower.settings = settings(max_examples=50, stateful_step_count=30, deadline=None)
