"""The wires to a cluster, and which one is taken.

| dialect | spoken to |
|---|---|
| `connect` | a kfwd relay: one HTTP/2 CONNECT stream for each connection |
| `websocket` | API servers since 1.31: SPDY inside a WebSocket |
| `spdy` | any API server: SPDY after an HTTP/1.1 upgrade |
"""

from __future__ import annotations

import asyncio
from abc import ABC, abstractmethod
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, get_args

from kfwd_nb.client.dialing.pool import Budget, Pool
from kfwd_nb.client.parameters import DialectName
from kfwd_nb.errors import (
    ForbiddenError,
    LostError,
    NotFoundError,
    RemoteProtocolError,
    UsageError,
)
from kfwd_nb.kube.api.client import ApiClient
from kfwd_nb.kube.api.portforward import open_spdy, open_websocket
from kfwd_nb.kube.api.wire import connect
from kfwd_nb.kube.kubeconfig import ClusterAccess
from kfwd_nb.kube.objects import Pod
from kfwd_nb.protocol.connect import Authority
from kfwd_nb.protocol.hops import NOTES_HEADER
from kfwd_nb.transport.http1.client import UpgradeError
from kfwd_nb.transport.http2.client import Tunnel
from kfwd_nb.transport.spdy.client import PortforwardConnection
from kfwd_nb.transport.stream import ByteStream

if TYPE_CHECKING:
    from kfwd_nb.client.tracing.trace import Trace, Wire

Api = Callable[[], Awaitable[ApiClient]]
"""Gives a client that stands."""

MAX_POOLS = 100
"""Pods whose connections are kept; beyond it, those of the pod that was used least recently end."""


def checked(name: str | None) -> DialectName | None:
    """The dialect of that name; None for `auto`, or where nothing was said.

    Raises:
        UsageError: there is none.
    """
    if name in (None, "", "auto"):
        return None
    for each in get_args(DialectName):
        if name == each:
            found: DialectName = each
            return found
    raise UsageError(f'dialect "{name}" is unknown.', hint="use auto, connect, websocket or spdy.")


class Dialect(ABC):
    """One way to open ports of pods.

    Attributes:
        name: see the module.
        reason: why this one, in a clause.
        half_closes: an end of our direction reaches the pod, and the other direction lives on.
        trace: records what is opened from now on, over connections of its own. Any thread may set
            it; the next `open` heeds it.
    """

    name: DialectName

    def __init__(self, reason: str, *, half_closes: bool) -> None:
        self.reason = reason
        self.half_closes = half_closes
        self.trace: Trace | None = None

    @abstractmethod
    async def open(self, pod: Pod, port: int, *, fresh: bool = False) -> ByteStream:
        """Open a port of a pod; what is not known yet comes with the stream's `closed`.

        `fresh`: over nothing that idled, for that has failed.

        Raises:
            KfwdError: why it cannot be; `where` names the hop.
        """

    def retire(self, pod: Pod) -> None:  # noqa: B027 - most keep nothing for a pod
        """The pod is gone: no new connection will be asked for."""

    def close(self) -> None:  # noqa: B027
        """End everything."""


class ConnectDialect(Dialect):
    """One tunnel, whose streams have flow control and half-close of their own."""

    name: DialectName = "connect"

    def __init__(self, access: ClusterAccess, api: Api, reason: str) -> None:
        super().__init__(reason, half_closes=True)
        self._access = access
        self._api = api
        self._traced: tuple[Trace, Tunnel, int] | None = None
        self._left: set[Tunnel] = set()  # of former traces, until their streams are over
        self._turn = asyncio.Lock()

    async def open(self, pod: Pod, port: int, *, fresh: bool = False) -> ByteStream:
        """See `Dialect.open`; answered when the port inside the pod is connected."""
        tunnel = await self._tunnel()
        if tunnel is None:
            raise LostError("the relay does not speak HTTP/2 here (a proxy in between?).")
        authority = Authority("pod", pod.metadata.namespace, pod.metadata.name, port)
        traced = self._traced
        if traced is None or traced[1] is not tunnel:
            return await tunnel.connect(str(authority))
        stream = await tunnel.connect(str(authority), headers={NOTES_HEADER: "1"})
        traced[0].noted(traced[2], tunnel, stream.id)
        return stream

    async def _tunnel(self) -> Tunnel | None:
        """The API client's, which carries all else, too; under a trace one that does not."""
        if self.trace is None and self._traced is None:
            return (await self._api()).tunnel
        async with self._turn:
            trace = self.trace
            if self._traced is not None:
                of, tunnel, _ = self._traced
                if of is trace and tunnel.alive:
                    tunnel.renew(await self._access.headers())
                    return tunnel
                self._leave(tunnel)
                self._traced = None
            if trace is None:
                return (await self._api()).tunnel
            wires: list[Wire] = []

            def tapped() -> Wire:
                wires.append(trace.tap(self.name))
                return wires[-1]

            opened = await connect(self._access, tapped)
            if not isinstance(opened, Tunnel):
                return None
            self._traced = trace, opened, wires[-1].number
            return opened

    def _leave(self, tunnel: Tunnel) -> None:
        self._left.add(tunnel)
        tunnel.closed.add_done_callback(lambda _: self._left.discard(tunnel))
        tunnel.retire()

    def close(self) -> None:
        """See `Dialect.close`."""
        traced = [self._traced[1]] if self._traced is not None else []
        for tunnel in (*traced, *self._left):
            tunnel.close(LostError("the forward was stopped."))
        self._traced = None


class UpgradedDialect(Dialect):
    """SPDY, in a WebSocket or plain, over a pool of connections for each pod."""

    def __init__(
        self, access: ClusterAccess, name: DialectName, reason: str, *, half_closes: bool
    ) -> None:
        super().__init__(reason, half_closes=half_closes)
        self.name = name
        self._access = access
        self._budget = Budget()
        self._pools: dict[str, Pool] = {}
        self._heeded: Trace | None = None  # whose connections the pools hold

    async def open(self, pod: Pod, port: int, *, fresh: bool = False) -> ByteStream:
        """See `Dialect.open`; nothing is waited for but a free connection."""
        try:
            connection = await self._pool(pod).take(fresh=fresh)
        except UpgradeError as error:
            raise error.cause from None
        return connection.open(port)

    async def warm(self, pod: Pod) -> None:
        """Have one connection ready: the first proof that we may.

        Raises:
            UpgradeError: the server refuses.
            KfwdError: it cannot be reached.
        """
        await self._pool(pod).warm()

    def retire(self, pod: Pod) -> None:
        """See `Dialect.retire`."""
        pool = self._pools.pop(pod.metadata.uid, None)
        if pool is not None:
            pool.retire()

    def close(self) -> None:
        """See `Dialect.close`."""
        for pool in self._pools.values():
            pool.close(LostError("the forward was stopped."))
        self._pools.clear()

    def _pool(self, pod: Pod) -> Pool:
        trace, uid = self.trace, pod.metadata.uid
        if trace is not self._heeded:
            self._heeded = trace
            while self._pools:
                self._pools.popitem()[1].retire("the connections are opened anew, for a trace.")
        pool = self._pools.pop(uid, None)
        if pool is None:
            pool = Pool(lambda: self._open_one(pod, trace), self._budget)
            while len(self._pools) >= MAX_POOLS:
                self._pools.pop(next(iter(self._pools))).retire()
        self._pools[uid] = pool  # the last one is the one that was used last
        return pool

    async def _open_one(self, pod: Pod, trace: Trace | None) -> PortforwardConnection:
        opener = open_websocket if self.name == "websocket" else open_spdy
        tap = None if trace is None else lambda: trace.tap(self.name)
        return await opener(self._access, pod.metadata.namespace, pod.metadata.name, tap)


async def is_relay(api: ApiClient) -> bool:
    """The server says that it is a kfwd relay; one that does not say who it is is none."""
    try:
        return "kfwd" in await api.version()
    except (ForbiddenError, NotFoundError):
        return False


async def choose(access: ClusterAccess, api: Api, pod: Pod, wanted: DialectName | None) -> Dialect:
    """The dialect for this cluster, with a connection to `pod` where it needs one.

    Raises:
        KfwdError: none works; the error is that of the last one tried.
    """
    relay = await is_relay(await api())
    if wanted == "connect" or (wanted is None and relay):
        if not relay:
            raise UsageError(
                f"{access.server} is no kfwd relay, and only those speak the dialect connect.",
                hint="leave --dialect out, or use websocket or spdy.",
            )
        reason = "asked for" if wanted else "the server is a kfwd relay"
        return ConnectDialect(access, api, reason)
    if wanted is not None:
        dialect = UpgradedDialect(access, wanted, "asked for", half_closes=relay)
        await _warmed(dialect, pod)
        return dialect
    first = UpgradedDialect(access, "websocket", "the server agrees to it", half_closes=relay)
    try:
        return await _warmed(first, pod)
    except UpgradeError as error:
        reason = f"the server refused WebSocket ({error.status}: {error.what.rstrip('.')})"
    except (LostError, RemoteProtocolError) as error:
        reason = f"no WebSocket could be agreed on ({error.what.rstrip('.')})"
    second = UpgradedDialect(access, "spdy", reason, half_closes=relay)
    return await _warmed(second, pod)


async def _warmed(dialect: UpgradedDialect, pod: Pod) -> Dialect:
    try:
        await dialect.warm(pod)
    except BaseException:
        dialect.close()
        raise
    return dialect
