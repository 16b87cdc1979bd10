"""Opens connections to a target's port: resolves it, and keeps the tunnel that they share."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass

from kfwd_nb.errors import KfwdError, LostError, NotFoundError, UnavailableError
from kfwd_nb.kube.api import ApiClient, open_tunnel
from kfwd_nb.kube.kubeconfig import ClusterAccess
from kfwd_nb.kube.resolve import find_service, resolve, service_port
from kfwd_nb.ports import Target
from kfwd_nb.protocol.connect import NODE_HEADER, POD_HEADER, Authority
from kfwd_nb.transport.tunnel import Tunnel
from kfwd_nb.transport.tunnel_stream import TunnelStream


@dataclass(frozen=True, slots=True)
class Dialed:
    """A connection into the pod."""

    stream: TunnelStream
    pod: str
    node: str
    port: int


class Dialer:
    """Dials one target in one namespace of one cluster.

    `trouble` is told in words when the tunnel is lost, and "" when there is one again.

    Attributes:
        dialect: the wire to the cluster.
        isolation: how the cluster keeps its pods apart; empty where nothing says.
    """

    dialect = "connect"

    def __init__(
        self,
        access: ClusterAccess,
        target: Target,
        namespace: str,
        trouble: Callable[[str], None] = lambda _: None,
    ) -> None:
        self.isolation = ""
        self._trouble = trouble
        self._closed = False
        self._access = access
        self._target = target
        self._namespace = namespace
        self._authorities: dict[int | str, Authority] = {}
        self._tunnel: Tunnel | None = None
        self._opening = asyncio.Lock()

    async def start(self, remotes: list[int | str]) -> None:
        """Connect to the cluster and find every port of the target once.

        Raises:
            KfwdError: the cluster cannot be reached, refuses, or has no such target or port.
        """
        tunnel = await self._live_tunnel()
        client = ApiClient(tunnel)
        version = await client.version()
        if "kfwd" not in version:
            raise UnavailableError(
                f"{self._access.server} is no kfwd relay; this version speaks to no other.",
                hint="`%kfwd up` starts an embedded cluster.",
            )
        _, self.isolation = await asyncio.gather(self._find(client, remotes), client.isolation())

    async def dial(self, remote: int | str) -> Dialed:
        """Open one connection to a port of the target.

        A tunnel that was lost is opened anew, and a pod that is gone is looked for once more.

        Raises:
            KfwdError: why it cannot be had; `where` names the hop.
        """
        try:
            return await self._dial_once(remote)
        except LostError:
            if self._tunnel is not None and self._tunnel.alive:
                raise
        except (NotFoundError, UnavailableError):
            if self._target.kind != "deploy":
                raise
            await self._find(ApiClient(await self._live_tunnel()), [remote])
        return await self._dial_once(remote)

    async def _dial_once(self, remote: int | str) -> Dialed:
        authority = self._authorities[remote]
        stream = await (await self._live_tunnel()).connect(str(authority))
        return Dialed(
            stream,
            stream.headers.get(POD_HEADER, ""),
            stream.headers.get(NODE_HEADER, ""),
            authority.port,
        )

    def close(self) -> None:
        """End the tunnel, and every connection on it."""
        self._closed = True
        if self._tunnel is not None:
            self._tunnel.close(LostError("the forward was stopped."))

    async def _live_tunnel(self) -> Tunnel:
        async with self._opening:
            if self._tunnel is None or not self._tunnel.alive:
                self._tunnel = await open_tunnel(self._access)
                self._tunnel.closed.add_done_callback(self._lost)
                self._trouble("")
            return self._tunnel

    def _lost(self, closed: asyncio.Future[KfwdError | None]) -> None:
        if not self._closed:
            error = closed.result()
            why = f" ({error.what.rstrip('.')})" if error is not None else ""
            self._trouble(f"the tunnel to the relay was lost{why}; a new connection opens another.")

    async def _find(self, client: ApiClient, remotes: list[int | str]) -> None:
        """What each port means now.

        A service's name goes to the relay as it is, which spreads its connections; only the choice
        of a Deployment's pod is ours.
        """
        inventory = await client.inventory(self._namespace)
        for remote in remotes:
            if self._target.kind == "svc":
                service = find_service(self._target.name, inventory)
                port = service_port(service, remote).port
                self._authorities[remote] = Authority(
                    "svc", self._namespace, self._target.name, port
                )
                continue
            destination = resolve(self._target, remote, inventory)
            self._authorities[remote] = Authority(
                "pod", self._namespace, destination.pod.metadata.name, destination.port
            )

    def port_number(self, remote: int | str) -> int:
        """The number of a port that `start` has found."""
        return self._authorities[remote].port
