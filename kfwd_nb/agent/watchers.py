"""Who watches the pods of a node."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Iterable

from kfwd_nb.kube.objects import Pod


class _Watcher:
    """What one watcher has not seen yet: of each pod only the newest, so it cannot grow."""

    def __init__(self) -> None:
        self.news: dict[str, Pod] = {}
        self.wake = asyncio.Event()

    def tell(self, pod: Pod) -> None:
        self.news[pod.metadata.uid] = pod
        self.wake.set()


class Watchers:
    """All of them."""

    def __init__(self) -> None:
        self._watchers: set[_Watcher] = set()

    def tell(self, pod: Pod) -> None:
        """The pod is another now; with a deletion timestamp, it is gone."""
        for watcher in self._watchers:
            watcher.tell(pod)

    async def watch(self, pods: Iterable[Pod]) -> AsyncGenerator[Pod, None]:
        """The given pods, then each that changes, without end."""
        watcher = _Watcher()
        for pod in pods:
            watcher.tell(pod)
        self._watchers.add(watcher)
        try:
            while True:
                await watcher.wake.wait()
                watcher.wake.clear()
                while watcher.news:
                    yield watcher.news.pop(next(iter(watcher.news)))
        finally:
            self._watchers.discard(watcher)
