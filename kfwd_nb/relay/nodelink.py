"""The relay's one road to a node's agent: a tunnel, dialled again when it is lost."""

from __future__ import annotations

import asyncio
import logging
from contextlib import suppress
from typing import TYPE_CHECKING

import msgspec

from kfwd_nb.errors import KfwdError, LostError, UnavailableError
from kfwd_nb.kube.objects import PID_ANNOTATION, READY, Condition, Node, Pod, condition
from kfwd_nb.kube.podstate import FINISHED
from kfwd_nb.relay.podsync import PodSync
from kfwd_nb.relay.store import with_metadata

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping

    from kfwd_nb.relay.store import Store
    from kfwd_nb.transport.http2.client import Tunnel
    from kfwd_nb.transport.http2.tunnel_stream import TunnelStream

    Dial = Callable[[str, int, str], Awaitable[Tunnel]]
    """Opens a tunnel to host and port, whose certificate must be for the node's name."""

FIRST_REDIAL = 0.05
"""Seconds before a lost tunnel is dialled again; doubled each time."""

MAX_REDIAL = 2.0
"""Seconds between two dials at the most."""

NODE_LOST = "NodeLost"
"""Reason of pods whose node's agent cannot be reached."""

logger = logging.getLogger(__name__)


class NodeLink:
    """The link to one node's agent: a task that dials, keeps pods in step, and dials again.

    Attributes:
        name: the node's.
    """

    def __init__(self, name: str, store: Store, dial: Dial) -> None:
        self.name = name
        self._store = store
        self._dial = dial
        self._address: tuple[str, int] | None = None
        self._tunnel: Tunnel | None = None
        self._redirected = asyncio.Event()
        self._ended = False
        self._task = asyncio.get_running_loop().create_task(self._run(), name=f"node {name}")
        self._task.add_done_callback(_log_crash)

    def stands(self, address: tuple[str, int]) -> bool:
        """The tunnel is up, and leads there."""
        return address == self._address and self._tunnel is not None and self._tunnel.alive

    def redirect(self, address: tuple[str, int]) -> None:
        """Dial (host, port) now, whatever tunnel there was."""
        self._address = address
        self._redirected.set()
        if self._tunnel is not None:
            self._tunnel.close()

    def connect_early(self, authority: str) -> TunnelStream:
        """Open a port of one of the node's pods, and wait for no answer; see `Tunnel`.

        Raises:
            UnavailableError: the node is not ready.
            LostError: the agent went away meanwhile.
        """
        if self._tunnel is None:
            raise UnavailableError(f'Node "{self.name}" is not ready: {self._reason()}')
        return self._tunnel.connect_early(authority)

    async def connect(
        self, authority: str, *, headers: Mapping[str, str] | None = None
    ) -> TunnelStream:
        """Open a port of one of the node's pods.

        Raises:
            UnavailableError: the node is not ready.
            LostError: the agent went away meanwhile.
            KfwdError: the agent refuses; the kind says why.
        """
        if self._tunnel is None:
            raise UnavailableError(f'Node "{self.name}" is not ready: {self._reason()}')
        try:
            return await self._tunnel.connect(authority, headers=headers)
        except LostError as error:
            raise LostError(
                f'the agent of node "{self.name}" was lost: {error.what}', where="node agent"
            ) from None

    def end(self) -> None:
        """End the link for good, soon."""
        self._ended = True
        self._task.cancel()

    async def close(self) -> None:
        """End the link for good."""
        self.end()
        await asyncio.gather(self._task, return_exceptions=True)

    # -- the tunnel -------------------------------------------------------------------------------

    async def _run(self) -> None:
        wait = FIRST_REDIAL
        await self._redirected.wait()
        while True:
            if self._redirected.is_set():
                wait = FIRST_REDIAL
            self._redirected.clear()
            try:
                await self._session()
                wait = FIRST_REDIAL
            except KfwdError as error:
                self._lost(error)
            if self._ended:
                # A task group whose tasks fail while it is cancelled forgets that it was.
                return
            with suppress(TimeoutError):
                async with asyncio.timeout(wait):
                    await self._redirected.wait()
            wait = min(wait * 2, MAX_REDIAL)

    async def _session(self) -> None:
        """All that is done over one tunnel, until it is lost.

        Raises:
            KfwdError: the agent cannot be reached.
        """
        assert self._address is not None
        tunnel = self._tunnel = await self._dial(*self._address, self.name)
        self._set_ready(Condition(type=READY, status="True", reason="AgentReady"))
        try:
            await PodSync(self.name, self._store, tunnel).run()
        except* KfwdError as errors:
            self._tunnel = None
            self._lost(_first(errors))
        finally:
            self._tunnel = None
            tunnel.close()

    # -- what the store says of it ----------------------------------------------------------------

    def _lost(self, error: KfwdError) -> None:
        """Say it of the node, and of every pod that was there."""
        message = f"the node agent cannot be reached: {error.what}"
        if self._set_ready(
            Condition(type=READY, status="False", reason="AgentLost", message=message)
        ):
            logger.warning("node %s: %s", self.name, message)
        for pod in self._store.select(Pod):
            if pod.spec.node_name != self.name or pod.status.phase in FINISHED:
                continue
            if pod.metadata.deletion_timestamp is not None:
                self._store.delete(pod)
            else:
                self._store.update(without_node(pod, self._store.now()))

    def _set_ready(self, ready: Condition) -> bool:
        """Write the node's condition; False when it only repeats what is there."""
        node = self._store.get(Node, "", self.name)
        if node is None:
            return False
        former = condition(node.status.conditions)
        same = former is not None and former.status == ready.status
        at = former.last_transition_time if former is not None and same else self._store.now()
        ready = msgspec.structs.replace(ready, last_transition_time=at)
        status = msgspec.structs.replace(node.status, conditions=[ready])
        self._store.update(msgspec.structs.replace(node, status=status))
        return former is None or former.reason != ready.reason

    def _reason(self) -> str:
        node = self._store.get(Node, "", self.name)
        ready = condition(node.status.conditions) if node is not None else None
        return ready.message if ready is not None and ready.message else "its agent is not linked."


def without_node(pod: Pod, now: str) -> Pod:
    """The pod as it is known after its node was lost: not ready, reason NodeLost. Pure."""
    message = f'the agent of node "{pod.spec.node_name}" cannot be reached'
    former = condition(pod.status.conditions)
    if former is not None and former.reason == NODE_LOST:
        return pod
    lost = Condition(
        type=READY, status="False", reason=NODE_LOST, message=message, last_transition_time=now
    )
    conditions = [each for each in pod.status.conditions if each.type != READY]
    status = msgspec.structs.replace(
        pod.status, conditions=[*conditions, lost], reason=NODE_LOST, message=message
    )
    annotations = {k: v for k, v in pod.metadata.annotations.items() if k != PID_ANNOTATION}
    return msgspec.structs.replace(with_metadata(pod, annotations=annotations), status=status)


def _log_crash(task: asyncio.Task[None]) -> None:
    if not task.cancelled() and (error := task.exception()) is not None:
        logger.critical("%s: its link ended by a bug", task.get_name(), exc_info=error)


def _first(errors: BaseExceptionGroup[KfwdError]) -> KfwdError:
    found: BaseException = errors
    while isinstance(found, BaseExceptionGroup):
        found = found.exceptions[0]
    assert isinstance(found, KfwdError)
    return found
