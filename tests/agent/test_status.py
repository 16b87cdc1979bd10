from __future__ import annotations

from dataclasses import replace

import msgspec
import pytest

from kfwd_nb.agent.lifecycle import ContainerState
from kfwd_nb.agent.runtime import Exit
from kfwd_nb.agent.status import PodState, pod_phase, pod_status
from kfwd_nb.kube.objects import Pod, condition
from kfwd_nb.kube.podstate import explain, status_word

pytestmark = pytest.mark.pure

OK, BAD = Exit(0, "Completed"), Exit(3, "Error", "boom\nlast line")
CREATING, RUNNING = ContainerState(), ContainerState("running", started=50.0)
READY = replace(RUNNING, ready=True)
BACKOFF = ContainerState("backoff", exit=BAD, backoff=0.4)
DONE, FAILED = ContainerState("ended", exit=OK), ContainerState("ended", exit=BAD)
POD = msgspec.convert(
    {
        "metadata": {"name": "web", "namespace": "shop", "uid": "u1"},
        "spec": {"containers": [{"name": "a"}, {"name": "b"}]},
    },
    Pod,
)


@pytest.mark.parametrize(
    ("states", "phase"),
    [
        ((CREATING, CREATING), "Pending"),
        ((RUNNING, CREATING), "Pending"),
        ((RUNNING, RUNNING), "Running"),
        ((RUNNING, BACKOFF), "Running"),
        ((BACKOFF, replace(CREATING, exit=BAD, restarts=1)), "Running"),
        ((DONE, RUNNING), "Running"),
        ((DONE, DONE), "Succeeded"),
        ((DONE, FAILED), "Failed"),
    ],
)
def test_phase(states, phase):
    assert pod_phase(PodState(), dict(zip("ab", states, strict=True))) == phase


def test_a_lost_sandbox_fails_the_pod_whatever_its_containers_do():
    status = pod_status(POD, PodState("SandboxKilled", "gone"), {"a": READY, "b": DONE}, 100.0)
    assert (status.phase, status.reason, status.message) == ("Failed", "SandboxKilled", "gone")
    assert condition(status.conditions).status == "False"


@pytest.mark.parametrize(
    ("state", "stopping", "ready"),
    [(READY, False, "True"), (RUNNING, False, "False"), (READY, True, "False")],
)
def test_ready_is_when_all_containers_are_and_the_pod_is_not_being_ended(state, stopping, ready):
    status = pod_status(POD, PodState(stopping=stopping), {"a": READY, "b": state}, 100.0)
    assert condition(status.conditions).status == ready
    assert condition(status.conditions, "ContainersReady").status == ready


def test_the_unready_container_is_named_with_the_reason():
    state = replace(RUNNING, unready="nobody listens on port 80 yet")
    message = condition(
        pod_status(POD, PodState(), {"a": READY, "b": state}, 1.0).conditions
    ).message
    assert message == "containers with unready status: [b]; nobody listens on port 80 yet"


def test_a_condition_keeps_its_transition_time_until_it_changes():
    first = pod_status(POD, PodState(), {"a": READY, "b": READY}, 100.0)
    pod = msgspec.structs.replace(POD, status=first)
    second = pod_status(pod, PodState(), {"a": READY, "b": READY}, 200.0)
    assert second == first
    third = pod_status(pod, PodState(), {"a": READY, "b": BACKOFF}, 300.0)
    assert condition(third.conditions).last_transition_time == "1970-01-01T00:05:00Z"
    assert condition(third.conditions, "Initialized").last_transition_time == (
        "1970-01-01T00:01:40Z"
    )


def test_a_crash_loop_says_when_it_goes_on_and_why_it_crashed():
    status = pod_status(POD, PodState(), {"a": READY, "b": BACKOFF}, 100.0)
    waiting = status.container_statuses[1].state["waiting"]
    assert waiting["reason"] == "CrashLoopBackOff"
    assert waiting["message"] == "back-off 0.4s restarting failed container=b pod=web_shop"
    last = status.container_statuses[1].last_state["terminated"]
    assert (last["exitCode"], last["message"]) == (3, "boom\nlast line")
    pod = msgspec.structs.replace(POD, status=status)
    assert explain(pod).endswith("pod=web_shop, exit code 3, boom last line")


def test_a_restarted_container_that_runs_shows_its_last_end():
    state = replace(READY, restarts=2, exit=BAD)
    status = pod_status(POD, PodState(), {"a": state, "b": READY}, 100.0).container_statuses[0]
    assert (status.restart_count, status.ready) == (2, True)
    assert "running" in status.state
    assert status.last_state["terminated"]["reason"] == "Error"


def test_status_word_of_a_pod_whose_containers_all_crash():
    status = pod_status(POD, PodState(), {"a": BACKOFF, "b": BACKOFF}, 100.0)
    assert status_word(msgspec.structs.replace(POD, status=status)) == "CrashLoopBackOff"
