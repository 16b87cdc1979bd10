"""Which pod gets the next connection: tables of pods, and what was chosen before."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kfwd_nb.client.dialing.choice import Choice, hopeless, usable
from kfwd_nb.kube.objects import Condition, ContainerStatus, ObjectMeta, Pod, PodSpec, PodStatus

pytestmark = pytest.mark.pure


def pod(
    name: str,
    *,
    ready: bool = True,
    phase: Any = "Running",
    going: bool = False,
    since: str = "2026-01-01T00:00:00Z",
    containers: list[dict[str, Any]] | None = None,
    reason: str = "",
) -> Pod:
    return Pod(
        metadata=ObjectMeta(
            name=name,
            uid=f"uid-{name}",
            deletion_timestamp="2026-01-02T00:00:00Z" if going else None,
        ),
        spec=PodSpec(node_name="node-1", containers=[]),
        status=PodStatus(
            phase=phase,
            reason=reason,
            conditions=[
                Condition(
                    type="Ready", status="True" if ready else "False", last_transition_time=since
                )
            ],
            container_statuses=[
                ContainerStatus(name=f"c{number}", state=state)
                for number, state in enumerate(containers or [{"running": {}}])
            ],
        ),
    )


def name_of(found: Pod | None) -> str | None:
    return None if found is None else found.metadata.name


RUNNING: dict[str, Any] = {"running": {}}
CRASHED: dict[str, Any] = {"waiting": {"reason": "CrashLoopBackOff"}}
COMPLETED: dict[str, Any] = {"terminated": {"reason": "Completed", "exitCode": 0}}


@pytest.mark.parametrize(
    ("one", "may"),
    [
        (pod("ready"), True),
        (pod("not-ready", ready=False), True),
        (pod("going", going=True), False),
        (pod("pending", phase="Pending"), False),
        (pod("done", phase="Succeeded"), False),
        (pod("failed", phase="Failed"), False),
        (pod("lost", reason="NodeLost"), False),
        (pod("crashing", ready=False, containers=[CRASHED]), False),
        (pod("done-inside", ready=False, containers=[COMPLETED]), False),
        (pod("a-helper-crashes", ready=False, containers=[RUNNING, CRASHED]), True),
        (pod("a-helper-is-done", ready=False, containers=[COMPLETED, RUNNING]), True),
    ],
    ids=lambda value: value.metadata.name if isinstance(value, Pod) else "",
)
def test_whom_a_connection_may_be_given_to(one, may):
    assert usable(one) is may


@pytest.mark.parametrize(
    ("one", "is_so"),
    [
        (pod("pending", phase="Pending"), False),
        (pod("going", going=True), False),
        (pod("done", phase="Succeeded"), True),
        (pod("failed", phase="Failed"), True),
        (pod("crashing", containers=[CRASHED]), False),
        (pod("no-image", phase="Pending", containers=[{"waiting": {"reason": "ErrImagePull"}}]), 1),
        (pod("x", phase="Pending", containers=[{"waiting": {"reason": "ContainerCreating"}}]), 0),
    ],
    ids=lambda value: value.metadata.name if isinstance(value, Pod) else "",
)
def test_for_whom_it_makes_no_sense_to_wait(one, is_so):
    assert hopeless(one) == bool(is_so)


OLD, NEW = "2026-01-01T00:00:00Z", "2026-02-01T00:00:00Z"


def test_the_first_choice_is_kubectls():
    choice = Choice(balance=False)
    assert name_of(choice.next([pod("new", since=NEW), pod("old", since=OLD)], unready=False)) == (
        "old"
    )


@pytest.mark.parametrize("balance", [False, True])
def test_there_may_be_none(balance):
    choice = Choice(balance=balance)
    assert choice.next([], unready=True) is None
    assert choice.next([pod("a", going=True), pod("b", phase="Pending")], unready=True) is None
    assert choice.next([pod("a", ready=False)], unready=False) is None
    assert name_of(choice.next([pod("a", ready=False)], unready=True)) == "a"


def test_one_pod_is_kept_while_it_lasts():
    choice = Choice(balance=False)
    assert name_of(choice.next([pod("b", since=NEW)], unready=False)) == "b"
    # A better one comes, and is not taken.
    both = [pod("a", since=OLD), pod("b", since=NEW)]
    assert [name_of(choice.next(both, unready=False)) for _ in range(3)] == ["b"] * 3
    # Not ready, but nobody else is: kept. Somebody else is: left.
    assert name_of(choice.next([pod("b", ready=False)], unready=False)) == "b"
    assert name_of(choice.next([pod("a"), pod("b", ready=False)], unready=False)) == "a"
    # And there it stays when the first one is ready again.
    assert name_of(choice.next([pod("a"), pod("b")], unready=False)) == "a"
    assert name_of(choice.next([pod("a", going=True), pod("b")], unready=False)) == "b"


def test_balance_takes_turns_least_recently_used_first():
    choice = Choice(balance=True)
    pods = [pod("a"), pod("b"), pod("c")]
    turns = [name_of(choice.next(pods, unready=False)) for _ in range(7)]
    assert turns == ["a", "b", "c", "a", "b", "c", "a"]
    # One goes, one comes: the new one is next, then who has waited longest.
    pods = [pod("a"), pod("c"), pod("d")]
    assert [name_of(choice.next(pods, unready=False)) for _ in range(4)] == ["d", "c", "a", "d"]


def test_balance_leaves_out_who_is_not_ready():
    choice = Choice(balance=True)
    pods = [pod("a"), pod("b", ready=False), pod("c", going=True)]
    assert {name_of(choice.next(pods, unready=True)) for _ in range(4)} == {"a"}


A_POD = st.builds(
    pod,
    st.sampled_from("abcde"),
    ready=st.booleans(),
    phase=st.sampled_from(["Pending", "Running", "Failed"]),
    going=st.booleans(),
)


@given(
    st.booleans(), st.lists(st.lists(A_POD, max_size=5, unique_by=lambda each: each.metadata.uid))
)
def test_whoever_is_chosen_is_usable_and_whoever_is_left_is_worse(balance, rounds):
    choice = Choice(balance=balance)
    before = None
    for pods in rounds:
        chosen = choice.next(pods, unready=False)
        if before not in [each.metadata.uid for each in pods if usable(each)]:
            before = None  # it is forgotten
        ready = [each for each in pods if usable(each) and each.ready]
        if chosen is None:
            assert not ready
            continue
        assert chosen in pods
        assert usable(chosen)
        assert chosen.ready or not ready
        if not balance and before in [each.metadata.uid for each in ready]:
            assert chosen.metadata.uid == before, "the one that was in use is kept"
        before = chosen.metadata.uid
