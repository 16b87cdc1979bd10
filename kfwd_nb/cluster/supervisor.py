"""Starts a cluster's processes, keeps them running, and ends them all.

Order of a start: folder, isolation, certificates, relay, agents (side by side), manifests, pods.
Whatever ends the supervisor's work, an error, a signal or the end of its owner, `close` then ends
every process and removes the folder.
"""

from __future__ import annotations

import asyncio
import contextlib
import secrets
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

from kfwd_nb.cluster import kubeconfig, workload
from kfwd_nb.cluster.apply import create
from kfwd_nb.cluster.child import Child
from kfwd_nb.cluster.events import AnyEvent, Progress, Ready
from kfwd_nb.cluster.folder import Folder, ProcessId, sweep
from kfwd_nb.cluster.isolation import choose
from kfwd_nb.cluster.nodes import RELAY_HOST, Blueprint
from kfwd_nb.cluster.options import Options
from kfwd_nb.cluster.pki import Authority
from kfwd_nb.cluster.readiness import readiness
from kfwd_nb.errors import ClusterError, KfwdError
from kfwd_nb.kube.api.client import ApiClient
from kfwd_nb.kube.objects import AnyObject, Pod
from kfwd_nb.transport.endpoint import Endpoint
from kfwd_nb.transport.http2.client import Tunnel
from kfwd_nb.transport.tls import client_context

READY_LIMIT = 60.0
"""Seconds in which all pods must be ready; PostgreSQL's first start takes one or two of them."""

POLL = 0.05
"""Seconds between two looks at the pods while they start."""

REMIND = 3.0
"""Seconds after which it is said again what is still missing."""

RESTART_FIRST = 0.2
"""Seconds before an agent that died is started again; doubled each time it dies soon again."""

RESTART_LAST = 5.0
"""Largest such delay, and how long an agent must live for the next one to be short again."""


@dataclass(slots=True)
class Clock:
    """How long the start has taken, in all and by phase; seconds."""

    began: float = field(default_factory=time.monotonic)
    phases: dict[str, float] = field(default_factory=dict)

    @property
    def seconds(self) -> float:
        """Since the supervisor began."""
        return round(time.monotonic() - self.began, 3)

    @contextlib.contextmanager
    def phase(self, name: str) -> Iterator[None]:
        """Time what is done in the `with` block."""
        began = time.monotonic()
        yield
        self.phases[name] = round(time.monotonic() - began, 3)


class Supervisor:
    """One cluster, from its folder to its pods.

    Args:
        options: what is asked for.
        owner: the process that it belongs to.
        supervisor: this process.
        emit: takes every event.
    """

    def __init__(
        self,
        options: Options,
        owner: ProcessId,
        supervisor: ProcessId,
        emit: Callable[[AnyEvent], None],
    ) -> None:
        self._options = options
        self._processes = (owner, supervisor)
        self._emit = emit
        self._clock = Clock()
        self._folder: Folder | None = None
        self._relay: Child | None = None
        self._agents: dict[str, Child] = {}

    async def run(self) -> None:
        """Start everything, then keep it running until cancelled.

        Raises:
            KfwdError: something could not be started, or has ended and cannot be started again.
        """
        try:
            async with asyncio.TaskGroup() as tasks:
                await self._start(tasks)
        except BaseExceptionGroup as group:
            raise _first(group) from None

    async def close(self) -> None:
        """End every process, agents with their pods, and remove what was written."""
        children = [*self._agents.values(), *filter(None, [self._relay])]
        await asyncio.gather(*(child.stop() for child in children))
        if self._folder is not None:
            if self._options.kubeconfig is not None:
                kubeconfig.remove(self._options.kubeconfig, self._folder.name)
            self._folder.remove()

    async def _start(self, tasks: asyncio.TaskGroup) -> None:
        clock, options = self._clock, self._options
        with clock.phase("folder"):
            objects = workload.read(options.file)
            if options.kubeconfig is not None:
                kubeconfig.check_replaceable(options.kubeconfig)
            for path in sweep():
                self._say(f"removed {path}, which a killed cluster had left behind")
            self._folder = folder = Folder.create(*self._processes)
        with clock.phase("isolation"):
            isolation = await choose(options.isolation)
            self._say(str(isolation))
        with clock.phase("certificates"):
            authority, token = Authority(f"kfwd {folder.name}"), secrets.token_urlsafe(32)
            plan = Blueprint(folder, authority, token, isolation.name, options.connector)
            plan.write_ca()
        with clock.phase("relay"):
            self._relay = await Child.start("relay", plan.relay())
            tasks.create_task(self._watch_relay(self._relay))
            port = int(self._relay.said["listening"])
            server = f"https://{RELAY_HOST}:{port}"
            self._say(f"relay listens on {server}")
        with clock.phase("agents"):
            await self._start_agents(tasks, plan, port)
        with clock.phase("manifests"):
            context = client_context(ca_data=authority.certificate)
            headers = {"authorization": f"Bearer {token}"}
            tunnel = await Tunnel.open(Endpoint(RELAY_HOST, port, context), headers=headers)
            await create(tunnel, objects)
        with clock.phase("pods"):
            pods = await self._wait_for_pods(ApiClient(tunnel), objects)
        tunnel.close()
        content = kubeconfig.kubeconfig(folder.name, server, authority.certificate, token)
        folder.write(folder.kubeconfig.name, content)
        if options.kubeconfig is not None:
            kubeconfig.write(options.kubeconfig, content)
        self._emit(
            Ready(
                name=folder.name,
                kubeconfig=str(options.kubeconfig or folder.kubeconfig),
                relay=server,
                isolation=isolation.name,
                pods=list(pods),
                seconds=clock.seconds,
                phases=clock.phases,
                pod_seconds=pods,
            )
        )

    async def _start_agents(self, tasks: asyncio.TaskGroup, plan: Blueprint, port: int) -> None:
        names = [f"node-{number}" for number in range(1, self._options.nodes + 1)]
        commands = {name: plan.agent(name, port) for name in names}
        async with asyncio.TaskGroup() as starts:
            for name in names:
                starts.create_task(self._start_agent(name, commands[name]))
        for name in names:
            tasks.create_task(self._keep_agent(name, commands[name]))
        self._say(f"{len(names)} node agents registered" if len(names) > 1 else "node-1 registered")

    async def _start_agent(self, name: str, command: list[str]) -> None:
        self._agents[name] = await Child.start(f"agent of {name}", command)

    async def _watch_relay(self, relay: Child) -> None:
        """The relay holds the cluster's objects; without it there is no cluster."""
        raise ClusterError(f"the {await relay.ended()}, and the cluster with it.", where="relay")

    async def _keep_agent(self, name: str, command: list[str]) -> None:
        """Start an agent again whenever it dies; its pods died with it, and the relay knows."""
        delay = RESTART_FIRST
        while True:
            began = time.monotonic()
            self._say(f"{await self._agents[name].ended()}; it is started again")
            if time.monotonic() - began > RESTART_LAST:
                delay = RESTART_FIRST
            started = False
            while not started:
                await asyncio.sleep(delay)
                delay = min(2 * delay, RESTART_LAST)
                try:
                    await self._start_agent(name, command)
                    started = True
                except ClusterError as error:
                    self._say(error.what)

    async def _wait_for_pods(self, api: ApiClient, objects: list[AnyObject]) -> dict[str, float]:
        """Wait until every pod is ready; returns NAMESPACE/NAME of each, and when it was.

        Raises:
            ClusterError: not within `READY_LIMIT`, or one of them never; says which, and why.
        """
        began = reminded = time.monotonic()
        ready: dict[str, float] = {}
        while True:
            state = readiness(objects, await api.list_all(Pod))
            now = time.monotonic()
            for name in state.ready:
                if name not in ready:
                    ready[name] = round(now - began, 3)
                    self._say(f"pod {name} is ready")
            if not state.missing:
                return {name: ready[name] for name in state.ready}
            if state.hopeless:
                raise ClusterError(f"not all pods can start: {'; '.join(state.hopeless)}.")
            if now - began > READY_LIMIT:
                raise ClusterError(
                    f"not all pods were ready within {READY_LIMIT:g} s: {'; '.join(state.missing)}."
                )
            if now - reminded > REMIND:
                reminded = now
                self._say(f"waiting for {'; '.join(state.missing)}")
            await asyncio.sleep(POLL)

    def _say(self, text: str) -> None:
        self._emit(Progress(text=text, seconds=self._clock.seconds))


def _first(group: BaseExceptionGroup[BaseException]) -> BaseException:
    """Of several errors at once, the one to show: one for people before one for us."""
    errors = [
        _first(each) if isinstance(each, BaseExceptionGroup) else each for each in group.exceptions
    ]
    return next((each for each in errors if isinstance(each, KfwdError)), errors[0])
