"""Keeps the pods of one node the same in the store and at its agent, over one tunnel.

Pods go down as PUT and DELETE, statuses come up as the lines of one watch. The agent is trusted
with the status of the pods that are bound to its node, and with those pods that it says it has
found there (`FOUND_ANNOTATION`): they are put into the store and taken out as it says, like a
kubelet's mirror pods, unless another pod has the name.
"""

from __future__ import annotations

import asyncio
import logging
from dataclasses import dataclass
from typing import TYPE_CHECKING, NoReturn

import msgspec

from kfwd_nb.errors import KfwdError, LimitError, LostError
from kfwd_nb.kube.objects import (
    PID_ANNOTATION,
    Namespace,
    ObjectMeta,
    Pod,
    PodStatus,
)
from kfwd_nb.kube.podstate import FINISHED, was_found
from kfwd_nb.relay.store import with_metadata
from kfwd_nb.transport.http import error_of_response

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from kfwd_nb.relay.store import Store
    from kfwd_nb.transport.http2.client import Tunnel

RETRY = 1.0
"""Seconds before an order that the agent did not carry out is given again."""

Key = tuple[str, str]
"""Namespace and name of a pod."""

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Orders:
    """What the agent is to be told now."""

    start: tuple[Pod, ...] = ()
    stop: tuple[Key, ...] = ()


def orders(bound: Iterable[Pod], held: Mapping[Key, str]) -> Orders:
    """Compare the pods bound to a node with those its agent holds (uid by key). Pure.

    A finished pod is not started again; what the store does not know, or wants deleted, is stopped.
    A pod that the agent has found gets no orders.
    """
    pods = {_key(pod): pod for pod in bound if not was_found(pod)}
    wanted = {key: pod for key, pod in pods.items() if pod.metadata.deletion_timestamp is None}
    return Orders(
        start=tuple(
            pod
            for key, pod in wanted.items()
            if held.get(key) != pod.metadata.uid and pod.status.phase not in FINISHED
        ),
        stop=tuple(key for key in {**pods, **held} if key not in wanted),
    )


class PodSync:
    """One session with a node's agent; it ends with the tunnel.

    Args:
        node: the node's name.
        tunnel: stands, and is closed by the caller.
    """

    def __init__(self, node: str, store: Store, tunnel: Tunnel) -> None:
        self._node = node
        self._store = store
        self._tunnel = tunnel
        self._held: dict[Key, str] = {}
        self._busy: set[Key] = set()
        self._again = asyncio.Event()

    async def run(self) -> NoReturn:
        """Work until the tunnel is lost.

        Raises:
            ExceptionGroup: of the `KfwdError` that ended it.
        """
        async with asyncio.TaskGroup() as group:
            group.create_task(self._follow_statuses())
            group.create_task(self._follow_store())
            while True:
                self._again.clear()
                self._give_orders(group)
                await self._again.wait()

    # -- pods to the agent ------------------------------------------------------------------------

    async def _follow_store(self) -> NoReturn:
        while True:
            seen = self._store.revision
            self._again.set()
            await self._store.changed(seen)

    def _give_orders(self, group: asyncio.TaskGroup) -> None:
        """Start what is to be done. A pod has one order at a time; the next follows on its end."""
        bound = [pod for pod in self._store.select(Pod) if pod.spec.node_name == self._node]
        now = orders(bound, self._held)
        for pod in now.start:
            if (key := _key(pod)) not in self._busy:
                self._busy.add(key)
                group.create_task(self._start(pod))
        for key in now.stop:
            if key not in self._busy:
                self._busy.add(key)
                group.create_task(self._stop(key))

    async def _start(self, pod: Pod) -> None:
        key = _key(pod)
        error = await self._order("PUT", key, msgspec.json.encode(pod))
        if error is None:
            self._held[key] = pod.metadata.uid
        else:
            refused = PodStatus(phase="Failed", reason="Refused", message=error.what)
            self._report(pod, refused)
        self._done(key)

    async def _stop(self, key: Key) -> None:
        error = await self._order("DELETE", key)
        if error is not None:
            logger.warning("node %s: pod %s/%s does not end: %s", self._node, *key, error.what)
            await asyncio.sleep(RETRY)
        else:
            self._held.pop(key, None)
            pod = self._store.get(Pod, *key)
            if pod is not None and pod.metadata.deletion_timestamp is not None:
                self._store.delete(pod)
        self._done(key)

    async def _order(self, method: str, key: Key, body: bytes = b"") -> KfwdError | None:
        """The agent's refusal, if it refuses; an order that it is slow to answer is repeated."""
        while True:
            try:
                reply = await self._tunnel.request(method, f"/pods/{key[0]}/{key[1]}", body=body)
            except LostError:
                if not self._tunnel.alive:
                    raise
                await asyncio.sleep(RETRY)
                continue
            if reply.status < 400 or (method == "DELETE" and reply.status == 404):
                return None
            return error_of_response(reply.status, reply.body)

    def _done(self, key: Key) -> None:
        self._busy.discard(key)
        self._again.set()

    # -- statuses from the agent ------------------------------------------------------------------

    async def _follow_statuses(self) -> NoReturn:
        await self._forget_lost()
        async for line in self._tunnel.lines("/pods?watch=1"):
            try:
                pod = msgspec.json.decode(line, type=Pod)
            except msgspec.MsgspecError as error:
                raise LostError(f"the agent sent no Pod: {error}.", where="node agent") from None
            self._status_came(pod)
        raise LostError("the agent ended its report.", where="node agent")

    async def _forget_lost(self) -> None:
        """Take out the pods that the agent had found before, and that went while it was away."""
        known = [pod for pod in self._store.select(Pod) if self._is_ours(pod)]
        if not known:
            return
        reply = await self._tunnel.request("GET", "/pods")
        try:
            held = msgspec.json.decode(reply.body, type=_PodList).items
        except msgspec.MsgspecError as error:
            raise LostError(f"the agent sent no pods: {error}.", where="node agent") from None
        living = {(*_key(pod), pod.metadata.uid) for pod in held}
        for pod in known:
            if (*_key(pod), pod.metadata.uid) not in living:
                self._store.delete(pod)

    def _is_ours(self, pod: Pod | None) -> bool:
        """The pod is one that this node's agent has found."""
        return pod is not None and was_found(pod) and pod.spec.node_name == self._node

    def _found_came(self, reported: Pod) -> None:
        """A pod that the agent has found is there, is another now, or is gone."""
        known = self._store.get(Pod, *_key(reported))
        if known is not None and not self._is_ours(known):
            logger.warning("node %s: the name of its pod %s/%s is taken", self._node, *_key(known))
            return
        gone = reported.metadata.deletion_timestamp is not None
        same = known is not None and known.metadata.uid == reported.metadata.uid
        if known is not None and gone == same:  # itself is gone, or another has taken its place
            self._store.delete(known)
            known = None
        if gone:
            return
        spec = msgspec.structs.replace(reported.spec, node_name=self._node)
        pod = msgspec.structs.replace(reported, spec=spec)
        if known is not None:
            created = known.metadata.creation_timestamp
            self._store.update(with_metadata(pod, creation_timestamp=created))
            return
        space = Namespace(metadata=ObjectMeta(name=pod.metadata.namespace))
        try:
            if self._store.get(Namespace, "", space.metadata.name) is None:
                self._store.create(space)
            self._store.create(pod, uid=pod.metadata.uid)
        except LimitError as error:
            logger.warning("node %s: pod %s/%s: %s", self._node, *_key(pod), error.what)

    def _status_came(self, pod: Pod) -> None:
        if was_found(pod):
            self._found_came(pod)
            return
        status = pod.status
        if pod.metadata.deletion_timestamp is not None and status.phase not in FINISHED:
            status = msgspec.structs.replace(status, phase="Failed")
        if status.phase not in FINISHED:
            self._held[_key(pod)] = pod.metadata.uid
        if not self._report(pod, status):
            self._again.set()

    def _report(self, reported: Pod, status: PodStatus) -> bool:
        """Write a status into the store; False when the store has no such pod on this node."""
        pod = self._store.get(Pod, *_key(reported))
        if (
            pod is None
            or pod.metadata.uid != reported.metadata.uid
            or pod.spec.node_name != self._node
        ):
            return False
        annotations = {**pod.metadata.annotations, **reported.metadata.annotations}
        if status.phase in FINISHED or PID_ANNOTATION not in reported.metadata.annotations:
            annotations.pop(PID_ANNOTATION, None)
        pod = with_metadata(pod, annotations=annotations)
        self._store.update(msgspec.structs.replace(pod, status=status))
        return True


class _PodList(msgspec.Struct):
    """An agent's answer to `GET /pods`."""

    items: list[Pod]


def _key(pod: Pod) -> Key:
    return pod.metadata.namespace, pod.metadata.name
