"""A pod's status as Kubernetes writes it, from what its containers are doing. No I/O.

Phases and conditions: the Kubernetes documentation, "Pod Lifecycle"; reasons and messages are the
kubelet's.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from kfwd_nb.agent.lifecycle import ContainerState
from kfwd_nb.kube.objects import (
    Condition,
    Container,
    ContainerStatus,
    Pod,
    PodPhase,
    PodStatus,
    condition,
)
from kfwd_nb.kube.timestamps import timestamp

ContainerStates = Mapping[str, ContainerState]


@dataclass(frozen=True, slots=True)
class PodState:
    """Where a pod is, apart from its containers.

    Attributes:
        failed: Kubernetes' word for why the pod itself is lost, as SandboxKilled; empty if it is
            not.
        message: what people should know about it.
        stopping: it is being ended.
    """

    failed: str = ""
    message: str = ""
    stopping: bool = False


def pod_phase(pod: PodState, containers: ContainerStates) -> PodPhase:
    """The one word for the whole pod."""
    states = containers.values()
    if pod.failed:
        return "Failed"
    if not states or any(s.phase == "creating" and s.exit is None for s in states):
        return "Pending"
    if any(state.phase != "ended" for state in states):
        return "Running"
    return "Succeeded" if all(s.exit is not None and s.exit.code == 0 for s in states) else "Failed"


def pod_status(pod: Pod, state: PodState, containers: ContainerStates, now: float) -> PodStatus:
    """The status that replaces `pod.status`; conditions that stay keep their transition time."""
    before = pod.status
    phase = pod_phase(state, containers)
    unready = [name for name, each in containers.items() if not each.ready or state.failed]
    names = f"[{' '.join(unready)}]"
    if phase == "Succeeded":
        reason, message = "PodCompleted", ""
    else:
        reason, message = "ContainersNotReady", f"containers with unready status: {names}"
        message += "".join(f"; {s.unready}" for s in containers.values() if s.unready)
    is_ready = not unready and not state.stopping and phase == "Running"
    conditions = [
        Condition(type="PodScheduled", status="True"),
        Condition(type="Initialized", status="True"),
        *(
            Condition(type=kind, status="True")
            if is_ready
            else Condition(type=kind, status="False", reason=reason, message=message)
            for kind in ("ContainersReady", "Ready")
        ),
    ]
    return PodStatus(
        phase=phase,
        conditions=[_dated(each, before, now) for each in conditions],
        container_statuses=[
            container_status(pod, container, containers.get(container.name, ContainerState()))
            for container in pod.spec.containers
        ],
        reason=state.failed,
        message=state.message,
        host_ip="127.0.0.1",
        start_time=before.start_time or timestamp(now),
    )


def container_status(pod: Pod, container: Container, state: ContainerState) -> ContainerStatus:
    """One container's part of the status."""
    return ContainerStatus(
        name=container.name,
        ready=state.ready,
        restart_count=state.restarts,
        state=_state(pod, container, state),
        last_state={"terminated": _terminated(state)}
        if state.exit is not None and state.phase != "ended"
        else {},
        image=container.image,
    )


def _state(pod: Pod, container: Container, state: ContainerState) -> dict[str, dict[str, Any]]:
    match state.phase:
        case "running":
            return {"running": {"startedAt": timestamp(state.started)}}
        case "ended":
            return {"terminated": _terminated(state)}
        case "backoff":
            message = (
                f"back-off {state.backoff:g}s restarting failed container={container.name} "
                f"pod={pod.metadata.name}_{pod.metadata.namespace}"
            )
            return {"waiting": {"reason": "CrashLoopBackOff", "message": message}}
        case "creating":
            return {"waiting": {"reason": "ContainerCreating"}}


def _terminated(state: ContainerState) -> dict[str, Any]:
    assert state.exit is not None
    fields: dict[str, Any] = {"exitCode": state.exit.code, "reason": state.exit.reason}
    if state.exit.signal:
        fields["signal"] = state.exit.signal
    if state.exit.message:
        fields["message"] = state.exit.message
    if state.started:
        fields["startedAt"] = timestamp(state.started)
    return fields | {"finishedAt": timestamp(state.finished)}


def _dated(new: Condition, before: PodStatus, now: float) -> Condition:
    old = condition(before.conditions, new.type)
    same = old is not None and old.status == new.status and old.last_transition_time
    new.last_transition_time = old.last_transition_time if old and same else timestamp(now)
    return new
