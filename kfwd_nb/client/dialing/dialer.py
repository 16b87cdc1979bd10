"""The one door to a target's port: which pod, by which dialect, and again if that fails."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from kfwd_nb.client import events
from kfwd_nb.client.dialing.dialects import Dialect, UpgradedDialect, choose
from kfwd_nb.client.dialing.dialed_stream import DialedStream
from kfwd_nb.client.dialing.podsource import PodSource
from kfwd_nb.client.parameters import DialectName
from kfwd_nb.errors import (
    ConfigError,
    ForbiddenError,
    KfwdError,
    LimitError,
    LostError,
    UnauthorizedError,
    UnavailableError,
    UsageError,
)
from kfwd_nb.kube.api.client import ApiClient
from kfwd_nb.kube.kubeconfig import ClusterAccess
from kfwd_nb.kube.objects import Pod
from kfwd_nb.kube.preflight import explained, require_create
from kfwd_nb.kube.resolve import Inventory, remote_port, service_port
from kfwd_nb.ports import Target
from kfwd_nb.transport.endpoint import NoServerError
from kfwd_nb.transport.http2.client import Tunnel
from kfwd_nb.transport.stream import ByteStream

MAX_REDIALS = 50
"""Pods that one connection tries."""

REDIAL_PAUSE = 0.1
"""Seconds between two of them."""

GONE = "the embedded cluster of this process has ended; `%kfwd up` starts another."
"""What it means when the relay of an embedded cluster is not there: it does not come back."""

FINAL = (ConfigError, ForbiddenError, LimitError, UnauthorizedError, UsageError)
"""Errors that another pod would not mend."""


class DialObserver(Protocol):
    """Who is told how far a connection has come; a redial tells it anew."""

    def waits(self) -> None:
        """No pod can take it now."""

    def dials(self, pod: str, node: str, port: int, dialect: str) -> None:
        """A pod (NAMESPACE/NAME) is there, and its port is tried."""

    def redialed(self) -> None:
        """Another pod has taken its place, before a byte had come."""


@dataclass(frozen=True, slots=True)
class Dialed:
    """A connection into the pod."""

    stream: ByteStream


@dataclass(slots=True)
class _Attempt:
    """One connection on its way: what it wants, and whom it has tried."""

    remote: int | str
    observer: DialObserver
    gone: Callable[[], bool | None]
    pod: Pod | None = None
    port: int = 0
    tries: int = 0


class Dialer:
    """Dials one target in one namespace of one cluster.

    Args:
        trouble: is told in words what is wrong with the way to the cluster or the pods, and the
            cause alone, which stays the same while only counts change; "" when nothing is any more.
        tell: is told events: the dialect that was chosen, pods that go and come.
        dialect: the one that was asked for; None chooses.

    Attributes:
        dialect: the wire to the cluster, once it has started.
        isolation: how the cluster keeps its pods apart; empty where nothing says.
    """

    def __init__(
        self,
        access: ClusterAccess,
        target: Target,
        namespace: str,
        trouble: Callable[[str, str], None] = lambda *_: None,
        tell: Callable[[events.Event], None] = lambda _: None,
        *,
        dialect: DialectName | None = None,
        balance: bool = False,
    ) -> None:
        self.isolation = ""
        self.dialect: Dialect | None = None
        self._wanted = dialect
        self._trouble = trouble
        self._tell = tell
        self._lost = ""
        self._closed = False
        self._access = access
        self._target = target
        self._namespace = namespace
        self._client: ApiClient | None = None
        self._opening = asyncio.Lock()
        self._ports: dict[int | str, tuple[int, str]] = {}
        self._explained: set[type[KfwdError]] = set()
        self._pods = PodSource(
            self._api,
            target,
            namespace,
            balance=balance,
            changed=self._tell_trouble,
            gone=self._retire,
            came=lambda pod: tell(events.came(pod)),
            waits=access.waits,
        )

    # -- start and end ----------------------------------------------------------------------------

    async def start(self, remotes: list[int | str], timeout: float | None = None) -> None:  # noqa: ASYNC109
        """Connect to the cluster, find the target and every port of it, and choose the dialect.

        Args:
            remotes: ports, by number or name.
            timeout: seconds to wait for a pod that runs; see `PodSource.start`.

        Raises:
            KfwdError: the cluster cannot be reached, refuses, or has no such target or port.
        """
        pod = await self._pods.start(timeout)
        for remote in remotes:
            self._ports[remote] = self._shown_port(remote, pod)
        try:
            self.dialect = await choose(self._access, self._api, pod, self._wanted)
        except UsageError:
            raise
        except KfwdError as error:
            raise await self._explain(error, pod, None) from None
        self._tell(events.chosen(self.dialect.name, self.dialect.reason))
        if self.dialect.half_closes:  # the server is a kfwd relay
            api = await self._api()
            _, self.isolation = await asyncio.gather(require_create(api, pod), api.isolation())

    @property
    def tunnel(self) -> Tunnel | None:
        """To the API server, where it speaks HTTP/2; None while there is none."""
        return self._client.tunnel if self._client is not None else None

    def close(self) -> None:
        """End the connections to the cluster, and every connection on them."""
        self._closed = True
        self._pods.close()
        if self.dialect is not None:
            self.dialect.close()
        if self._client is not None:
            self._client.close(LostError("the forward was stopped."))

    # -- one connection ---------------------------------------------------------------------------

    async def dial(
        self,
        remote: int | str,
        observer: DialObserver,
        gone: Callable[[], bool | None] = lambda: None,
    ) -> Dialed:
        """Open one connection to a port of the target.

        While no pod can take it, it waits. A pod that fails because it is going, or still coming,
        is left for another.

        Args:
            remote: the port, by number or name.
            observer: is told how far it has come.
            gone: whether the local program has closed its socket; None where nobody knows.

        Raises:
            KfwdError: why it cannot be had; `where` names the hop.
        """
        assert self.dialect is not None
        attempt = _Attempt(remote, observer, gone)
        stream = await self._open(attempt)
        if not isinstance(self.dialect, UpgradedDialect):
            return Dialed(stream)

        async def redial(error: KfwdError) -> ByteStream:
            await self._check_retry(error, attempt)
            again = await self._open(attempt)
            observer.redialed()
            return again

        half_closes = self.dialect.half_closes
        return Dialed(DialedStream(stream, redial, half_closes=half_closes, gone=gone))

    async def _open(self, attempt: _Attempt) -> ByteStream:
        dialect = self.dialect
        assert dialect is not None
        while True:
            pod = attempt.pod = await self._pods.choose(attempt.observer.waits, attempt.gone)
            meta = pod.metadata
            attempt.port = self._pod_port(attempt.remote, pod)
            attempt.observer.dials(
                f"{meta.namespace}/{meta.name}", pod.spec.node_name, attempt.port, dialect.name
            )
            try:
                return await dialect.open(pod, attempt.port, fresh=attempt.tries > 0)
            except FINAL as error:
                raise await self._explain(error, pod, attempt.port) from None
            except KfwdError as error:
                await self._check_retry(error, attempt)

    async def _check_retry(self, error: KfwdError, attempt: _Attempt) -> None:
        """Return, after a moment, if another try makes sense.

        Raises:
            KfwdError: the error itself, with its cause.
        """
        attempt.tries += 1
        if self._closed or attempt.tries > MAX_REDIALS or attempt.pod is None:
            raise error
        if attempt.tries == 1 and isinstance(error, LostError):
            return  # the connection broke while it was idle, perhaps; a fresh one will tell
        if not await self._pods.may_retry(attempt.pod):
            raise await self._explain(error, attempt.pod, attempt.port) from None
        await asyncio.sleep(REDIAL_PAUSE)

    async def _explain(self, error: KfwdError, pod: Pod, port: int | None) -> KfwdError:
        """The error with its cause; it is searched for once for each kind of error.

        To find it takes questions to the API server, and a forward may have a refused connection
        every second.
        """
        if type(error) in self._explained:
            return error
        self._explained.add(type(error))
        try:
            return await explained(error, await self._api(), pod, port)
        except KfwdError:
            return error  # the server cannot be asked, which the error says, too

    def _retire(self, pod: Pod) -> None:
        self._tell(events.gone(pod))
        if self.dialect is not None:
            self.dialect.retire(pod)

    # -- ports ------------------------------------------------------------------------------------

    def _shown_port(self, remote: int | str, pod: Pod) -> tuple[int, str]:
        """The number and the name that stand for a port: the service's own, or the pod's."""
        service = self._pods.service
        inside = self._pod_port(remote, pod)
        if service is not None:
            port = service_port(service, remote)
            return port.port, port.name
        names = (
            port.name
            for container in pod.spec.containers
            for port in container.ports
            if (port.container_port, port.protocol) == (inside, "TCP")
        )
        return inside, next(names, "")

    def _pod_port(self, remote: int | str, pod: Pod) -> int:
        service = self._pods.service
        inventory = Inventory(
            self._namespace, pods=[pod], services=[service] if service is not None else ()
        )
        return remote_port(self._target, remote, pod, inventory)

    async def find_port(self, remote: int | str) -> int:
        """The number of any port of the target, whether `start` was given it or not.

        Raises:
            NotFoundError: it has no such port.
            KfwdError: there is no pod to ask.
        """
        return self._shown_port(remote, await self._pods.look())[0]

    def port_number(self, remote: int | str) -> int:
        """The number of a port that `start` has found."""
        return self._ports[remote][0]

    def port_name(self, remote: int | str) -> str:
        """Its name in the service or the pod; empty where it has none."""
        return self._ports[remote][1]

    # -- the way to the API server ----------------------------------------------------------------

    async def _api(self) -> ApiClient:
        async with self._opening:
            if self._closed:
                raise LostError("the forward was stopped.")
            if self._client is None or not self._client.alive:
                self._client = await self._connect()
                if self._client.tunnel is not None:
                    self._client.tunnel.closed.add_done_callback(self._tunnel_lost)
                self._lost = ""
                self._tell_trouble()
            return self._client

    async def _connect(self) -> ApiClient:
        try:
            return await ApiClient.open(self._access)
        except NoServerError as error:
            if not self._access.embedded:
                raise
            self._lost = GONE
            self._tell_trouble()
            raise UnavailableError(GONE, where=error.where) from None

    def _tunnel_lost(self, closed: asyncio.Future[KfwdError | None]) -> None:
        tunnel = self._client.tunnel if self._client is not None else None
        if self._closed or (tunnel is not None and tunnel.closed is not closed):
            return  # a former one is over: its credentials had ended
        error = closed.result()
        why = f" ({error.what.rstrip('.')})" if error is not None else ""
        self._lost = f"the connection to the API server was lost{why}; it is opened again."
        self._tell_trouble()

    def _tell_trouble(self) -> None:
        waiting = self._pods.waiting
        if waiting:
            noun = "connection waits" if waiting == 1 else "connections wait"
            why = self._pods.why
            self._trouble(f"{waiting} {noun} for a pod: {why}.", why)
        else:
            self._trouble(self._lost, self._lost)
