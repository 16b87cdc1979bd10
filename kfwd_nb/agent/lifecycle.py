"""The kubelet's decisions about a container, as a table: what follows an event, and what to do.

No clock and no I/O: time comes in as an argument, in seconds since the epoch; what is to be done
goes out as a command.

    creating ──Started──▶ running ──Exited──▶ backoff ──BackoffOver──▶ creating
        └──────Exited (the command cannot be started)──▲      or ended, as the restart policy says

Behaviour after the Kubernetes documentation, "Pod Lifecycle". Its back-off of 10 s to 5 min suits
servers; a person who repairs a command in a notebook waits less here.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Literal

from kfwd_nb.agent.runtime import Exit

BACKOFF_FIRST = 0.2
"""Seconds before the first restart; doubled for each further one."""

BACKOFF_MAX = 10.0
"""Seconds between restarts at most."""

BACKOFF_RESET = 20.0
"""Seconds that a container must have run for its next back-off to be the first one again."""

RestartPolicy = Literal["Always", "OnFailure", "Never"]

Phase = Literal["creating", "running", "backoff", "ended"]


@dataclass(frozen=True, slots=True)
class ContainerState:
    """Where a container is.

    Attributes:
        phase: see the module's picture.
        ready: it may get connections.
        restarts: how often it was started again.
        backoff: seconds to wait before the next restart.
        started: when it last began to run.
        finished: when it last ended.
        exit: how it last ended; None while it never did.
        unready: why it is not ready although it runs, for people.
    """

    phase: Phase = "creating"
    ready: bool = False
    restarts: int = 0
    backoff: float = BACKOFF_FIRST
    started: float = 0.0
    finished: float = 0.0
    exit: Exit | None = None
    unready: str = ""


@dataclass(frozen=True, slots=True)
class Started:
    """The command runs."""


@dataclass(frozen=True, slots=True)
class Exited:
    """The command has ended, or could not be started."""

    exit: Exit


@dataclass(frozen=True, slots=True)
class BackoffOver:
    """The time that `Wait` asked for is over."""


@dataclass(frozen=True, slots=True)
class Probed:
    """Readiness as the probe sees it, and why not."""

    ready: bool
    why: str = ""


Event = Started | Exited | BackoffOver | Probed


@dataclass(frozen=True, slots=True)
class Start:
    """Do: start the command."""


@dataclass(frozen=True, slots=True)
class Wait:
    """Do: send `BackoffOver` after so many seconds."""

    seconds: float


@dataclass(frozen=True, slots=True)
class Watch:
    """Do: probe whether it is ready."""


Command = Start | Wait | Watch
Step = tuple[ContainerState, Command | None]


def step(state: ContainerState, event: Event, policy: RestartPolicy, now: float) -> Step:
    """What follows `event` in `state`; an event that comes too late changes nothing."""
    transition = _TRANSITIONS.get((state.phase, type(event)))
    return (state, None) if transition is None else transition(state, event, policy, now)


def wants_restart(policy: RestartPolicy, code: int) -> bool:
    """Whether a container that ended with `code` is to be started again."""
    return policy == "Always" or (policy == "OnFailure" and code != 0)


def lost(state: ContainerState, now: float) -> ContainerState:
    """The state of a container whose whole pod is gone: killed, and not started again."""
    if state.phase == "ended":
        return state
    killed = Exit(137, "Error", "the pod's sandbox is gone", 9)
    return replace(state, phase="ended", ready=False, finished=now, exit=killed, unready="")


def _run(state: ContainerState, _event: Event, _policy: RestartPolicy, now: float) -> Step:
    return replace(state, phase="running", ready=False, started=now, unready=""), Watch()


def _end(state: ContainerState, event: Event, policy: RestartPolicy, now: float) -> Step:
    assert isinstance(event, Exited)
    ended = replace(state, ready=False, finished=now, exit=event.exit, unready="")
    if not wants_restart(policy, event.exit.code):
        return replace(ended, phase="ended"), None
    ran = now - state.started if state.phase == "running" else 0.0
    backoff = BACKOFF_FIRST if ran >= BACKOFF_RESET else state.backoff
    return replace(ended, phase="backoff", backoff=backoff), Wait(backoff)


def _again(state: ContainerState, _event: Event, _policy: RestartPolicy, _now: float) -> Step:
    backoff = min(2 * state.backoff, BACKOFF_MAX)
    return replace(state, phase="creating", restarts=state.restarts + 1, backoff=backoff), Start()


def _probe(state: ContainerState, event: Event, _policy: RestartPolicy, _now: float) -> Step:
    assert isinstance(event, Probed)
    return replace(state, ready=event.ready, unready=event.why), None


_TRANSITIONS: dict[
    tuple[Phase, type[Event]], Callable[[ContainerState, Event, RestartPolicy, float], Step]
] = {
    ("creating", Started): _run,
    ("creating", Exited): _end,
    ("running", Exited): _end,
    ("running", Probed): _probe,
    ("backoff", BackoffOver): _again,
}
