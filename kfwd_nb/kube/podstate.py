"""What a pod is doing, in a word and in a clause, as `kubectl get` and `describe` say it."""

from __future__ import annotations

from typing import Any

from kfwd_nb.kube.objects import FOUND_ANNOTATION, ContainerStatus, Pod, condition

FINISHED = ("Succeeded", "Failed")
"""Phases that a pod does not leave."""

MAX_MESSAGE = 300
"""Characters of a container's own message that a sentence repeats."""


def was_found(pod: Pod) -> bool:
    """The pod is one that its node's agent has found: nobody here starts or ends it."""
    return FOUND_ANNOTATION in pod.metadata.annotations


def status_word(pod: Pod) -> str:
    """The STATUS column of `kubectl get pods`: Running, Pending, CrashLoopBackOff or NodeLost."""
    if pod.metadata.deletion_timestamp is not None:
        return "Terminating"
    if pod.status.reason:
        return pod.status.reason
    if pod.status.phase in ("Pending", "Running"):
        waiting = [_waiting_reason(status) for status in pod.status.container_statuses]
        if waiting and all(waiting):
            return waiting[0]
    return pod.status.phase


def explain(pod: Pod) -> str:
    """One clause on why the pod is not ready: the container, its reason, its last message."""
    name = f'pod "{pod.metadata.name}"'
    for status in pod.status.container_statuses:
        if not status.ready and (cause := _cause(status)):
            return f'{name}: container "{status.name}" {cause}'
    if pod.status.reason or pod.status.message:
        return f"{name}: {_joined(pod.status.reason, pod.status.message)}"
    for kind in ("PodScheduled", "Ready"):
        found = condition(pod.status.conditions, kind)
        if found is not None and found.status != "True" and (found.reason or found.message):
            return f"{name}: {_joined(found.reason, found.message)}"
    return f"{name}: {status_word(pod)}, not ready" if not pod.ready else f"{name}: ready"


def _waiting_reason(status: ContainerStatus) -> str:
    return str(status.state.get("waiting", {}).get("reason", ""))


def _cause(status: ContainerStatus) -> str:
    """Why a container does not run, and how it ended: a kubelet's back-off does not say that."""
    if waiting := status.state.get("waiting"):
        last = status.last_state.get("terminated", {})
        words = (waiting.get("message"), _exit_code(last), last.get("message"))
        return _joined(_waiting_reason(status), ", ".join(str(each) for each in words if each))
    if end := status.state.get("terminated"):
        return _joined(str(end.get("reason", "")), str(end.get("message") or _exit_code(end)))
    return ""


def _exit_code(end: dict[str, Any]) -> str:
    return f"exit code {end['exitCode']}" if "exitCode" in end else ""


def _joined(reason: str, message: str) -> str:
    message = " ".join(message.split())[:MAX_MESSAGE].rstrip(".")
    return f"{reason}: {message}" if reason and message else reason or message
