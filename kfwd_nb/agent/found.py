"""The pods of a node that a container runtime has made: found, followed, entered; never changed.

Changes come by the runtime's events where it has them (containerd from 1.7), and by asking every
`LOOK` seconds elsewhere; the end of a sandbox is noticed at once by its process.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
from collections.abc import AsyncGenerator, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, NoReturn

import msgspec

from kfwd_nb.agent.connectors import Place
from kfwd_nb.agent.cri import CriClient, CriError, UnimplementedError
from kfwd_nb.agent.cri_pods import FoundPod, newest, pod_of
from kfwd_nb.agent.runtime import Sandbox, StartError
from kfwd_nb.agent.watchers import Watchers
from kfwd_nb.errors import ForbiddenError, LostError, NotFoundError, UnavailableError
from kfwd_nb.kube.objects import Container, Pod
from kfwd_nb.kube.timestamps import timestamp
from kfwd_nb.transport.stream import ByteStream

LOOK = 1.0
"""Seconds between two looks at a runtime that sends no events."""

LOOK_WITH_EVENTS = 10.0
"""Seconds between two looks at a runtime that does, for an event that was lost."""

LAST_WORDS = 2.0
"""Seconds that connections into a pod have to end by themselves when its sandbox has ended. Its
network is taken down with it, so an end that was still on its way never comes."""

MAX_FOUND = 500
"""Pods that are shown; five times what a kubelet runs by default."""

_ONLY_FOUND = (
    "this node's agent finds the pods of a container runtime: it neither starts nor ends any."
)

logger = logging.getLogger(__name__)


class FoundSandbox(Sandbox):
    """A sandbox of somebody else's.

    Args:
        ended: called once when its first process has ended.
    """

    def __init__(self, found: FoundPod, ended: asyncio.Event) -> None:
        self._pid = found.pid
        self._ended = ended
        self._process = _watched_process(found.pid)
        self._netns = _netns_of(found)
        self._streams: set[ByteStream] = set()
        self._name = "/".join(found.key)
        if self._process is not None:
            asyncio.get_running_loop().add_reader(self._process, self._process_ended)

    @property
    def pid(self) -> int:
        """See `Sandbox`."""
        return self._pid

    @property
    def netns(self) -> int | None:
        """See `Sandbox`."""
        return self._netns

    @property
    def ports(self) -> Mapping[int, int]:
        """See `Sandbox`: every port is what it is."""
        return {}

    @property
    def note(self) -> str:
        """See `Sandbox`."""
        return ""

    async def start(self, container: Container) -> NoReturn:
        """Refuse.

        Raises:
            StartError: always.
        """
        raise StartError(_ONLY_FOUND, where="node agent")

    async def stop(self, grace: float) -> None:
        """See `Sandbox`; here, only forget it."""
        self.forget()

    def entered(self, stream: ByteStream, over: asyncio.Future[Any]) -> None:
        """See `server.HeldPod`."""
        self._streams.add(stream)
        over.add_done_callback(lambda _: self._streams.discard(stream))

    def forget(self) -> None:
        """It is gone: close what is held of it, connections too, in a moment."""
        self._unwatch()
        if self._streams:
            asyncio.get_running_loop().call_later(LAST_WORDS, self._cut)
        if self._netns is not None:
            os.close(self._netns)
            self._netns = None

    def _cut(self) -> None:
        error = LostError(f"pod {self._name} is gone: its sandbox has ended.", where="pod")
        for stream in list(self._streams):
            stream.close(error)

    def _process_ended(self) -> None:
        self._unwatch()
        self._ended.set()

    def _unwatch(self) -> None:
        if self._process is not None:
            asyncio.get_running_loop().remove_reader(self._process)
            os.close(self._process)
            self._process = None


def _watched_process(pid: int) -> int | None:
    """A descriptor that is readable when the process has ended (pidfd_open(2))."""
    if not pid:
        return None
    try:
        return os.pidfd_open(pid)
    except OSError:  # it has ended since, or the agent is in another PID namespace
        return None


def _netns_of(found: FoundPod) -> int | None:
    """A descriptor of its network namespace.

    By its process first: a file that is opened by the runtime's path would keep the runtime from
    unmounting it where that does not detach.
    """
    paths = [f"/proc/{found.pid}/ns/net"] if found.pid else []
    for path in [*paths, found.netns]:
        with contextlib.suppress(OSError):
            return os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    return None


@dataclass(slots=True)
class Found:
    """One pod that was found; what `PodWorker` is for pods of our own.

    Attributes:
        pod: as it is shown.
        sandbox: None while its sandbox does not run.
    """

    record: FoundPod
    pod: Pod
    sandbox: FoundSandbox | None

    @property
    def name(self) -> str:
        """NAMESPACE/NAME."""
        return "/".join(self.record.key)

    def entered(self, stream: ByteStream, over: asyncio.Future[Any]) -> None:
        """See `server.HeldPod`."""
        if self.sandbox is not None:
            self.sandbox.entered(stream, over)

    @property
    def place(self) -> Place:
        """Where connectors reach the pod.

        Raises:
            UnavailableError: it does not run.
        """
        if self.sandbox is None:
            raise UnavailableError(
                "unable to forward port because pod is not running. "
                f"Current status={self.pod.status.phase}",
                where="node agent",
            )
        return Place(self.name, self.sandbox)


class FoundPods:
    """All of them. `start` it; `close` it."""

    def __init__(self, runtime: CriClient, node: str) -> None:
        self._runtime = runtime
        self._node = node
        self._found: dict[tuple[str, str], Found] = {}
        self._watchers = Watchers()
        self._news = asyncio.Event()
        self._interval = LOOK
        self._told = ""
        self._tasks: list[asyncio.Task[None]] = []

    async def start(self) -> None:
        """Look once, and follow from then on.

        Raises:
            CriError: the runtime does not answer.
        """
        self._take(await self._runtime.look())
        self._tasks = [
            asyncio.create_task(self._follow(), name="pods by CRI"),
            asyncio.create_task(self._listen(), name="events by CRI"),
        ]

    def list(self) -> list[Pod]:
        """All pods as they are now."""
        return [each.pod for each in self._found.values()]

    def find(self, namespace: str, name: str) -> Found:
        """One pod.

        Raises:
            NotFoundError: the runtime has none of that name.
        """
        found = self._found.get((namespace, name))
        if found is None:
            raise NotFoundError(
                f'pod "{name}" of namespace "{namespace}" is not on this node.', where="node agent"
            )
        return found

    async def put(self, pod: Pod) -> Pod:
        """Refuse.

        Raises:
            ForbiddenError: always.
        """
        raise ForbiddenError(_ONLY_FOUND, where="node agent")

    async def delete(self, namespace: str, name: str) -> Pod:
        """Refuse.

        Raises:
            NotFoundError: the runtime has no such pod.
            ForbiddenError: it has.
        """
        self.find(namespace, name)
        raise ForbiddenError(_ONLY_FOUND, where="node agent")

    def watch(self) -> AsyncGenerator[Pod, None]:
        """All pods, then each that changes, without end; one with a deletion timestamp is gone."""
        return self._watchers.watch(self.list())

    async def close(self) -> None:
        """Follow no more, and leave every pod as it is."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        for each in self._found.values():
            if each.sandbox is not None:
                each.sandbox.forget()
        self._found.clear()

    # -- following --------------------------------------------------------------------------------

    async def _follow(self) -> NoReturn:
        while True:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(self._interval):
                    await self._news.wait()
            self._news.clear()
            try:
                self._take(await self._runtime.look())
                self._told = ""
            except CriError as error:  # its containers live on without it: so do our pods
                self._tell_once(error.what)
                await asyncio.sleep(LOOK)

    async def _listen(self) -> None:
        """Let events wake the other task; ends where the runtime has none."""
        while True:
            try:
                async with contextlib.aclosing(self._runtime.events()) as events:
                    async for _ in events:
                        self._interval = LOOK_WITH_EVENTS
                        self._news.set()
            except UnimplementedError:
                return
            except CriError:
                self._interval = LOOK
                await asyncio.sleep(LOOK)

    def _tell_once(self, what: str) -> None:
        if what != self._told:
            self._told = what
            logger.warning("the container runtime does not answer: %s", what)

    def _take(self, looked: Iterable[FoundPod]) -> None:
        """Compare with what was known, and tell the watchers."""
        now = newest(looked)
        if len(now) > MAX_FOUND:
            self._tell_once(f"{len(now)} pods; the first {MAX_FOUND} are shown")
            now = dict(sorted(now.items())[:MAX_FOUND])
        for key in [key for key in self._found if key not in now]:
            self._gone(self._found.pop(key))
        for key, record in now.items():
            former = self._found.get(key)
            if former is None or former.record != record:
                self._changed(former, record)

    def _changed(self, former: Found | None, record: FoundPod) -> None:
        pod = pod_of(record, self._node)
        sandbox = former.sandbox if former is not None else None
        if former is not None and former.pod.metadata.uid != pod.metadata.uid:
            self._gone(former)
            sandbox = None
        elif former is not None and sandbox is not None and not _same_place(former.record, record):
            sandbox.forget()
            sandbox = None
        if sandbox is None and record.ready:
            sandbox = FoundSandbox(record, self._news)
        self._found[record.key] = Found(record, pod, sandbox)
        self._watchers.tell(pod)

    def _gone(self, found: Found) -> None:
        if found.sandbox is not None:
            found.sandbox.forget()
        metadata = msgspec.structs.replace(found.pod.metadata, deletion_timestamp=timestamp())
        self._watchers.tell(msgspec.structs.replace(found.pod, metadata=metadata))


def _same_place(one: FoundPod, other: FoundPod) -> bool:
    return (one.id, one.ready, one.pid) == (other.id, other.ready, other.pid)
