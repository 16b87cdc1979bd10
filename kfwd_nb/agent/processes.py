"""The `processes` runtime: a pod is namespaces with the host's own commands in them.

Each sandbox is one `podinit` program, a directory and, where there are namespaces, a network with
nothing in it but `lo`. In `loopback` isolation a pod's port is a free high port on 127.0.0.1.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from kfwd_nb.agent import highports
from kfwd_nb.agent.config import Isolation
from kfwd_nb.agent.environment import Surroundings, declared_ports, process_of, run_as_user
from kfwd_nb.agent.firstprocess import FirstProcess
from kfwd_nb.agent.netns import NamespaceThread
from kfwd_nb.agent.runtime import Exit, Runtime, Sandbox, SandboxError, SandboxEvents, StartError
from kfwd_nb.agent.scratch import PodDirectory, log_name, open_passage
from kfwd_nb.kube.objects import Container, Pod

CREATE_TIMEOUT = 10.0
"""Seconds for a pod's first process to make its namespaces."""

LOG_INTERVAL = 5.0
"""Seconds between two looks at the size of the logs."""


@dataclass(slots=True, eq=False)
class ProcessRuntime(Runtime):
    """Makes sandboxes out of processes.

    Attributes:
        isolation: as the node has it.
        scratch: directory that the pods' directories are made in.
        nofile: soft limit of open descriptors for pods.
        node: the node's name.
        namespaces: enters network namespaces; None in loopback isolation.
        variables: what every container has in its environment.
    """

    isolation: Isolation
    scratch: Path
    nofile: int
    node: str
    namespaces: NamespaceThread | None
    variables: Mapping[str, str] = field(default_factory=dict)
    sandboxes: set[ProcessSandbox] = field(default_factory=set)
    _trimming: asyncio.TimerHandle | None = None

    async def create(self, pod: Pod, events: SandboxEvents) -> Sandbox:
        """See `Runtime.create`."""
        if self._trimming is None:
            self._trim_logs()
        sandbox = ProcessSandbox(self, pod, events)
        self.sandboxes.add(sandbox)
        try:
            async with asyncio.timeout(CREATE_TIMEOUT):
                await sandbox.create()
        except BaseException as error:
            await sandbox.stop(0)
            if isinstance(error, TimeoutError):
                why = f"the pod's first process is not ready after {CREATE_TIMEOUT:.0f} s."
                raise SandboxError(why) from None
            if isinstance(error, OSError):
                raise SandboxError(f"{error}.") from None
            raise
        return sandbox

    def close(self) -> None:
        """See `Runtime.close`."""
        if self._trimming is not None:
            self._trimming.cancel()
        if self.namespaces is not None:
            self.namespaces.close()

    def free_port(self) -> int:
        """A high port for a pod in loopback isolation.

        Raises:
            SandboxError: there is none.
        """
        port = highports.choose({p for each in self.sandboxes for p in each.ports.values()})
        if port is None:
            raise SandboxError("no free port on 127.0.0.1.")
        return port

    def user(self, wanted: int | None) -> int | None:
        """The user that a container will really become; None when it stays the agent's own."""
        if self.isolation == "loopback" and os.geteuid() != 0:
            return None
        return wanted

    def _trim_logs(self) -> None:
        for sandbox in self.sandboxes:
            with contextlib.suppress(OSError):
                sandbox.trim_logs()
        self._trimming = asyncio.get_running_loop().call_later(LOG_INTERVAL, self._trim_logs)


class ProcessSandbox(Sandbox):
    """One pod. Made by `ProcessRuntime.create`.

    Attributes:
        directory: the pod's directory; None before it is made.
        over: the first process has ended, and the pod with it.
    """

    def __init__(self, runtime: ProcessRuntime, pod: Pod, events: SandboxEvents) -> None:
        self._netns: int | None = None
        self._ports: dict[int, int] = {}
        self._runtime = runtime
        self._pod = pod
        self._events = events
        self.directory: PodDirectory | None = None
        self.over = False
        self._init = FirstProcess(self._exited, self._ended)
        self._running: dict[str, int] = {}  # container → size of its log when it was started
        self._idle = asyncio.Event()
        self._idle.set()

    @property
    def name(self) -> str:
        """NAMESPACE/NAME of the pod."""
        return f"{self._pod.metadata.namespace}/{self._pod.metadata.name}"

    @property
    def pid(self) -> int:
        """See `Sandbox`."""
        return self._init.pid

    @property
    def netns(self) -> int | None:
        """See `Sandbox`."""
        return self._netns

    @property
    def ports(self) -> Mapping[int, int]:
        """See `Sandbox`."""
        return self._ports

    @property
    def note(self) -> str:
        """See `Sandbox`."""
        users = (run_as_user(self._pod, each) for each in self._pod.spec.containers)
        ignored = {uid for uid in users if self._runtime.user(uid) != uid} - {os.geteuid()}
        if ignored:
            return f"runAsUser {min(ignored, key=str)} is ignored: only root can change users here."
        if self._runtime.isolation == "loopback" and self.directory and self.directory.cover:
            return f"its user cannot reach KFWD_SCRATCH: {self.directory.cover} is closed."
        return self._init.note

    async def create(self) -> None:
        """Make directory, processes and network.

        Raises:
            SandboxError: the system refuses; the text says what.
            OSError: the same, from here.
        """
        loopback = self._runtime.isolation == "loopback"
        for port in declared_ports(self._pod):
            self._ports[port] = self._runtime.free_port() if loopback else port
        users = self._outside_users()
        if users and loopback:
            open_passage(self._runtime.scratch)
        meta = self._pod.metadata
        self.directory = PodDirectory.make(self._runtime.scratch, meta.name, users)
        await self._init.spawn(
            {
                "pod": self.name,
                "isolation": self._runtime.isolation,
                "hostname": meta.name,
                "directory": str(self.directory.path),
                "scratch": str(self.directory.private),
                "cover": str(self._cover() or ""),
            }
        )
        if self._runtime.namespaces is not None:
            self._netns = os.open(f"/proc/{self.pid}/ns/net", os.O_RDONLY)
            await self._runtime.namespaces.loopback_up(self._netns)

    def _outside_users(self) -> list[int]:
        """Users of the pod who are, seen from the host, others than the agent's own."""
        if self._runtime.isolation == "userns":
            return []
        users = (run_as_user(self._pod, each) for each in self._pod.spec.containers)
        really = (self._runtime.user(uid) for uid in users)
        return [uid for uid in really if uid is not None and uid != os.geteuid()]

    def _cover(self) -> Path | None:
        """What the private directory is mounted over, where there are mount namespaces."""
        if self.directory is None or self._runtime.isolation == "loopback":
            return None
        return self.directory.cover

    async def start(self, container: Container) -> None:
        """See `Sandbox.start`."""
        if self.directory is None:
            raise StartError("the pod has no sandbox.")
        if self._runtime.isolation == "loopback":
            self._replace_taken_ports(container)
        path = os.environ.get("PATH", os.defpath)
        scratch = self._cover() or self.directory.private
        runtime = self._runtime
        around = Surroundings(runtime.node, str(scratch), self.ports, runtime.variables, path)
        process = process_of(self._pod, container, around)
        if not process.argv:
            raise StartError("no command: containers here run the host's programs, not an image.")
        self._running[container.name] = self.directory.size(container.name)
        self._idle.clear()
        try:
            await self._init.start(
                container.name,
                *_user_fields(self._runtime.user(process.uid)),
                str(self._runtime.nofile),
                process.cwd,
                log_name(container.name),
                str(len(process.argv)),
                *process.argv,
                *(f"{name}={value}" for name, value in process.env.items()),
            )
        except BaseException:
            self._forget(container.name)
            raise

    def _replace_taken_ports(self, container: Container) -> None:
        """Give a container that starts another port where a stranger has taken the one it had."""
        for port in (p.container_port for p in container.ports if p.protocol == "TCP"):
            if not highports.is_free(self.ports[port]):
                self._ports[port] = self._runtime.free_port()

    async def stop(self, grace: float) -> None:
        """See `Sandbox.stop`."""
        for name in self._running:
            self._init.signal(name, signal.SIGTERM)
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._idle.wait(), grace)
        await self._init.end()
        if self._runtime.isolation == "loopback":
            await asyncio.to_thread(_kill_strays, self._pod.metadata.uid)
        if self._netns is not None:
            os.close(self._netns)
            self._netns = None
        if self.directory is not None:
            await asyncio.to_thread(self.directory.remove)
        self._runtime.sandboxes.discard(self)

    def trim_logs(self) -> None:
        """Keep the logs short."""
        if self.directory is not None:
            self.directory.trim_logs()

    def _exited(self, name: str, status: int) -> None:
        start = self._forget(name)
        words = self.directory.last_words(name, start) if status and self.directory else ""
        self._events.container_exited(name, exit_of(status, words))

    def _ended(self) -> None:
        self.over = True
        self._idle.set()
        self._events.sandbox_ended()

    def _forget(self, name: str) -> int:
        start = self._running.pop(name, 0)
        if not self._running:
            self._idle.set()
        return start


def exit_of(status: int, words: str) -> Exit:
    """A process's status, negative for a signal, in Kubernetes' terms."""
    if status == 0:
        return Exit(0, "Completed")
    number = max(-status, 0)
    return Exit(128 + number if number else status, "Error", words, number)


def _user_fields(uid: int | None) -> tuple[str, str]:
    """UID and GID for podinit; -1 for staying who we are.

    The group is the user's own. Kubernetes takes group 0 for a user that the image does not know;
    on the host's file system that would be a gift.
    """
    import pwd  # not on Windows

    if uid is None:
        return "-1", "-1"
    try:
        return str(uid), str(pwd.getpwuid(uid).pw_gid)
    except KeyError:
        return str(uid), str(uid)


def _kill_strays(uid: str) -> None:
    """Kill what is left of a pod without a PID namespace: all that has its uid in the environment.

    A process that left its session is known by nothing else when the pod's first process was
    killed.
    """
    import psutil

    for process in psutil.process_iter():
        with contextlib.suppress(psutil.Error, OSError):
            if uid and process.environ().get("KFWD_POD_UID") == uid:
                process.kill()
