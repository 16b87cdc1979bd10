from __future__ import annotations

import itertools
from dataclasses import replace

import pytest

from kfwd_nb.agent.lifecycle import (
    BACKOFF_FIRST,
    BACKOFF_MAX,
    BACKOFF_RESET,
    BackoffOver,
    ContainerState,
    Exited,
    Probed,
    Start,
    Started,
    Wait,
    Watch,
    lost,
    step,
)
from kfwd_nb.agent.runtime import Exit

pytestmark = pytest.mark.pure

OK, BAD = Exit(0, "Completed"), Exit(3, "Error", "boom")
PHASES = ("creating", "running", "backoff", "ended")
EVENTS = (Started(), Exited(OK), Exited(BAD), BackoffOver(), Probed(True), Probed(False, "no"))
POLICIES = ("Always", "OnFailure", "Never")


@pytest.mark.parametrize(
    ("phase", "event", "policy", "after", "command"),
    [
        ("creating", Started(), "Always", "running", Watch()),
        ("creating", Exited(BAD), "Always", "backoff", Wait(BACKOFF_FIRST)),
        ("creating", Exited(BAD), "Never", "ended", None),
        ("running", Exited(OK), "Always", "backoff", Wait(BACKOFF_FIRST)),
        ("running", Exited(OK), "OnFailure", "ended", None),
        ("running", Exited(BAD), "OnFailure", "backoff", Wait(BACKOFF_FIRST)),
        ("running", Exited(BAD), "Never", "ended", None),
        ("running", Probed(True), "Always", "running", None),
        ("backoff", BackoffOver(), "Always", "creating", Start()),
        ("backoff", Probed(True), "Always", "backoff", None),
        ("ended", BackoffOver(), "Always", "ended", None),
        ("ended", Exited(BAD), "Always", "ended", None),
    ],
)
def test_transition(phase, event, policy, after, command):
    state, done = step(ContainerState(phase), event, policy, 100.0)
    assert (state.phase, done) == (after, command)


@pytest.mark.parametrize(
    ("phase", "event", "policy"), list(itertools.product(PHASES, EVENTS, POLICIES))
)
def test_every_event_in_every_phase_leaves_a_legal_state(phase, event, policy):
    before = ContainerState(phase, exit=BAD if phase in ("backoff", "ended") else None)
    state, command = step(before, event, policy, 100.0)
    assert state.phase in PHASES
    assert not state.ready or state.phase == "running"
    assert (state.phase in ("backoff", "ended")) <= (state.exit is not None)
    assert isinstance(command, Start) <= (state.phase == "creating")
    assert isinstance(command, Wait) <= (state.phase == "backoff")


def test_backoff_doubles_up_to_its_limit_and_restarts_are_counted():
    state, waits = ContainerState(), []
    for _ in range(10):
        state, _ = step(state, Started(), "Always", 0.0)
        state, command = step(state, Exited(BAD), "Always", 0.1)
        waits.append(command.seconds)
        state, _ = step(state, BackoffOver(), "Always", 0.2)
    assert waits[:4] == [BACKOFF_FIRST * 2**n for n in range(4)]
    assert waits[-1] == BACKOFF_MAX
    assert state.restarts == 10


def test_backoff_begins_anew_after_a_long_run():
    state = replace(ContainerState("running"), started=0.0, backoff=BACKOFF_MAX)
    _, command = step(state, Exited(BAD), "Always", BACKOFF_RESET - 1)
    assert command == Wait(BACKOFF_MAX)
    _, command = step(state, Exited(BAD), "Always", BACKOFF_RESET)
    assert command == Wait(BACKOFF_FIRST)


def test_a_restart_is_unready_until_probed_again():
    state, _ = step(ContainerState("running"), Probed(True), "Always", 1.0)
    assert state.ready
    state, _ = step(state, Exited(OK), "Always", 2.0)
    assert not state.ready
    state, _ = step(replace(state, phase="creating"), Started(), "Always", 3.0)
    assert not state.ready


@pytest.mark.parametrize("phase", PHASES[:3])
def test_a_container_whose_pod_is_lost_was_killed(phase):
    state = lost(ContainerState(phase, ready=phase == "running"), 9.0)
    assert (state.phase, state.ready, state.finished) == ("ended", False, 9.0)
    assert state.exit is not None
    assert (state.exit.code, state.exit.signal) == (137, 9)


def test_a_container_that_had_ended_keeps_its_exit():
    state = ContainerState("ended", exit=OK)
    assert lost(state, 9.0) is state
