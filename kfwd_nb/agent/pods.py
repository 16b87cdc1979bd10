"""The pods that this node runs at the relay's word."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator

import msgspec

from kfwd_nb.agent.connectors import Connector
from kfwd_nb.agent.runtime import Runtime
from kfwd_nb.agent.watchers import Watchers
from kfwd_nb.agent.worker import PodWorker
from kfwd_nb.errors import LimitError, NotFoundError, UnavailableError
from kfwd_nb.kube.objects import Pod
from kfwd_nb.kube.timestamps import timestamp

MAX_PODS = 110
"""Pods on one node, the kubelet's own default."""

_Key = tuple[str, str]


class Pods:
    """Starts and ends pods; `runtime` makes them, `connector` reaches into them."""

    def __init__(self, runtime: Runtime, connector: Connector) -> None:
        self._runtime = runtime
        self._connector = connector
        self._workers: dict[_Key, PodWorker] = {}
        self._watchers = Watchers()
        self._closed = False

    def list(self) -> list[Pod]:
        """All pods as they are now."""
        return [worker.pod for worker in self._workers.values()]

    def find(self, namespace: str, name: str) -> PodWorker:
        """One pod.

        Raises:
            NotFoundError: this node has none of that name.
        """
        worker = self._workers.get((namespace, name))
        if worker is None:
            raise NotFoundError(
                f'pod "{name}" of namespace "{namespace}" is not on this node.', where="node agent"
            )
        return worker

    async def put(self, pod: Pod) -> Pod:
        """Run a pod. One with another uid is ended first; the same uid changes nothing.

        Raises:
            LimitError: the node has `MAX_PODS`.
            UnavailableError: it is being closed.
        """
        key = (pod.metadata.namespace, pod.metadata.name)
        while (worker := self._workers.get(key)) is not None:
            if worker.pod.metadata.uid == pod.metadata.uid:
                return worker.pod
            await self._end(worker)
        if self._closed:
            raise UnavailableError("the node is ending: it takes no pods.", where="node agent")
        if len(self._workers) >= MAX_PODS:
            raise LimitError(f"the node runs {MAX_PODS} pods, its limit.", where="node agent")
        self._workers[key] = worker = PodWorker(
            pod, self._runtime, self._connector, self._watchers.tell
        )
        return worker.pod

    async def delete(self, namespace: str, name: str) -> Pod:
        """End a pod; returns its last form when no process of it is left.

        Raises:
            NotFoundError: this node has none of that name.
        """
        return await self._end(self.find(namespace, name))

    def watch(self) -> AsyncGenerator[Pod, None]:
        """All pods, then each that changes, without end; one with a deletion timestamp is gone."""
        return self._watchers.watch(self.list())

    async def close(self, grace: float) -> None:
        """End all pods, each with at most `grace` seconds, and take no new ones."""
        self._closed = True
        workers = list(self._workers.values())
        await asyncio.gather(*(self._end(each, grace) for each in workers))

    async def _end(self, worker: PodWorker, most: float | None = None) -> Pod:
        asked = worker.pod.spec.termination_grace_period_seconds
        await worker.stop(asked if most is None else min(asked, most))
        meta = worker.pod.metadata
        if self._workers.get((meta.namespace, meta.name)) is worker:
            del self._workers[meta.namespace, meta.name]
            gone = msgspec.structs.replace(meta, deletion_timestamp=timestamp())
            worker.pod = msgspec.structs.replace(worker.pod, metadata=gone)
            self._watchers.tell(worker.pod)
        return worker.pod
