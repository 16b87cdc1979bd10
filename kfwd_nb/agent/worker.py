"""Drives one pod: makes its sandbox, starts and restarts its containers, probes them, ends it.

The kubelet calls this a pod worker. What happens comes in as events in one queue; `lifecycle` says
what follows; this does it and publishes the pod's new status.
"""

from __future__ import annotations

import asyncio
import dataclasses
import logging
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import msgspec

from kfwd_nb.agent import lifecycle, status
from kfwd_nb.agent.connectors import Connector, Place
from kfwd_nb.agent.lifecycle import ContainerState, Event
from kfwd_nb.agent.probes import Prober
from kfwd_nb.agent.runtime import Exit, Runtime, Sandbox, SandboxError, StartError
from kfwd_nb.errors import UnavailableError
from kfwd_nb.kube.objects import PID_ANNOTATION, Container, Pod
from kfwd_nb.kube.podstate import FINISHED
from kfwd_nb.transport.stream import ByteStream

logger = logging.getLogger(__name__)

SANDBOX_RETRY_MAX = 10.0
"""Seconds between two attempts to make a pod's sandbox, at most."""

SANDBOX_KILLED = "SandboxKilled"
"""Reason of a failed pod whose first process has ended under it."""


@dataclass(frozen=True, slots=True)
class SandboxEnded:
    """The pod's sandbox is gone, and it was not us who ended it."""


class PodWorker:
    """One pod of this node.

    Args:
        pod: as the relay wants it.
        runtime: makes its sandbox.
        connector: opens its ports for probes.
        changed: called with the pod each time that its status is another one.

    Attributes:
        pod: with the status it has now. A new object at each change.
    """

    def __init__(
        self, pod: Pod, runtime: Runtime, connector: Connector, changed: Callable[[Pod], None]
    ) -> None:
        self.pod = pod
        self._runtime = runtime
        self._connector = connector
        self._changed = changed
        self._sandbox: Sandbox | None = None
        self._state = status.PodState()
        self._specs = {each.name: each for each in pod.spec.containers}
        self._containers = dict.fromkeys(self._specs, ContainerState())
        self._events: asyncio.Queue[tuple[str, Event] | SandboxEnded] = asyncio.Queue()
        self._probing: dict[str, asyncio.Task[None]] = {}
        self._waiting: dict[str, asyncio.TimerHandle] = {}
        self._publish()
        self._task = _logged(asyncio.create_task(self._run(), name=f"pod {self.name}"))
        self._ending: asyncio.Task[None] | None = None

    @property
    def name(self) -> str:
        """NAMESPACE/NAME."""
        return f"{self.pod.metadata.namespace}/{self.pod.metadata.name}"

    @property
    def place(self) -> Place:
        """Where connectors reach the pod.

        Raises:
            UnavailableError: it does not run.
        """
        if self._sandbox is None or self._state.stopping or self.pod.status.phase != "Running":
            raise UnavailableError(
                "unable to forward port because pod is not running. "
                f"Current status={self.pod.status.phase}",
                where="node agent",
            )
        return Place(self.name, self._sandbox)

    def entered(self, stream: ByteStream, over: asyncio.Future[Any]) -> None:
        """Nothing: the pod's processes hold the other ends, which end with them."""

    async def stop(self, grace: float | None = None) -> None:
        """End the pod; returns when nothing of it is left. May be called again and again.

        Args:
            grace: seconds between SIGTERM and SIGKILL; by default what the pod asks for.
        """
        if self._ending is None:
            if grace is None:
                grace = self.pod.spec.termination_grace_period_seconds
            self._ending = asyncio.create_task(self._stop(grace), name=f"end of {self.name}")
        await asyncio.shield(self._ending)

    # -- runtime.SandboxEvents --------------------------------------------------------------------

    def container_exited(self, name: str, exit_: Exit) -> None:
        """See `SandboxEvents`."""
        self._post(name, lifecycle.Exited(exit_))

    def sandbox_ended(self) -> None:
        """See `SandboxEvents`."""
        self._events.put_nowait(SandboxEnded())

    # -- the pod's course -------------------------------------------------------------------------

    async def _run(self) -> None:
        await self._make_sandbox()
        for name in self._specs:
            await self._start(name)
        while self.pod.status.phase not in FINISHED:
            event = await self._events.get()
            if isinstance(event, SandboxEnded):
                self._lose()
            else:
                await self._apply(*event)
        await self.stop(0)  # the same task that a `stop` from outside waits for

    async def _make_sandbox(self) -> None:
        delay = lifecycle.BACKOFF_FIRST
        while self._sandbox is None:
            try:
                self._sandbox = await self._runtime.create(self.pod, self)
            except SandboxError as error:
                self._state = status.PodState(message=f"no sandbox yet: {error.what}")
                self._publish()
                await asyncio.sleep(delay)
                delay = min(2 * delay, SANDBOX_RETRY_MAX)
                self._events = asyncio.Queue()  # without the end of what was tried
        self._state = status.PodState(message=self._sandbox.note)
        self._publish()

    async def _start(self, name: str) -> None:
        assert self._sandbox is not None
        try:
            await self._sandbox.start(self._specs[name])
        except StartError as error:
            self._post(name, lifecycle.Exited(Exit(128, "StartError", error.what)))
        else:
            await self._apply(name, lifecycle.Started())

    async def _apply(self, name: str, event: Event) -> None:
        state, command = lifecycle.step(
            self._containers[name], event, self.pod.spec.restart_policy, time.time()
        )
        self._containers[name] = state
        if state.phase != "running" and name in self._probing:
            self._probing.pop(name).cancel()
        self._publish()
        match command:
            case lifecycle.Start():
                await self._start(name)
            case lifecycle.Wait(seconds):
                loop = asyncio.get_running_loop()
                over = lifecycle.BackoffOver()
                self._waiting[name] = loop.call_later(seconds, self._post, name, over)
            case lifecycle.Watch():
                self._watch(self._specs[name])

    def _watch(self, container: Container) -> None:
        assert self._sandbox is not None
        name = container.name
        prober = Prober(self._connector, Place(self.name, self._sandbox), container)
        watching = prober.watch(lambda ready, why: self._post(name, lifecycle.Probed(ready, why)))
        self._probing[name] = _logged(asyncio.create_task(watching, name=f"probe of {self.name}"))

    def _lose(self) -> None:
        """The sandbox is gone: the pod has failed, and only another pod can take its place."""
        now = time.time()
        self._containers = {n: lifecycle.lost(s, now) for n, s in self._containers.items()}
        message = "the pod's first process has ended, and all others with it."
        self._state = status.PodState(failed=SANDBOX_KILLED, message=message)
        self._publish()

    async def _stop(self, grace: float) -> None:
        self._state = dataclasses.replace(self._state, stopping=True)
        self._publish()
        self._task.cancel()
        await asyncio.wait([self._task])
        await self._clear(grace)

    async def _clear(self, grace: float) -> None:
        for task in self._probing.values():
            task.cancel()
        for timer in self._waiting.values():
            timer.cancel()
        sandbox, self._sandbox = self._sandbox, None
        if sandbox is not None:
            await sandbox.stop(grace)
            self._publish()

    def _post(self, name: str, event: Event) -> None:
        self._events.put_nowait((name, event))

    def _publish(self) -> None:
        now = status.pod_status(self.pod, self._state, self._containers, time.time())
        metadata = self.pod.metadata
        annotations = {k: v for k, v in metadata.annotations.items() if k != PID_ANNOTATION}
        if self._sandbox is not None and now.phase not in FINISHED:
            annotations[PID_ANNOTATION] = str(self._sandbox.pid)
        if annotations != metadata.annotations:
            metadata = msgspec.structs.replace(metadata, annotations=annotations)
        if now != self.pod.status or metadata is not self.pod.metadata:
            self.pod = msgspec.structs.replace(self.pod, metadata=metadata, status=now)
            self._changed(self.pod)


def _logged(task: asyncio.Task[None]) -> asyncio.Task[None]:
    """The task, which will not end by a bug in silence."""

    def look(ended: asyncio.Task[None]) -> None:
        if not ended.cancelled() and (error := ended.exception()) is not None:
            logger.critical("%s ended by a bug", ended.get_name(), exc_info=error)

    task.add_done_callback(look)
    return task
