"""What a forward does: connect, resolve, listen, open connections, look at them, end.

All of it happens on one loop; `client.forward` is how everybody else gets at it.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Literal

from kfwd_nb.client import events
from kfwd_nb.client.books import Books
from kfwd_nb.client.dialing.dialects import Dialect
from kfwd_nb.client.dialing.dialer import Dialer
from kfwd_nb.client.forwarded_port import ForwardedPort
from kfwd_nb.client.hops.looks import Looks
from kfwd_nb.client.local.listeners import Listeners
from kfwd_nb.client.local.stable_port import stable_port
from kfwd_nb.client.parameters import ForwardParameters
from kfwd_nb.client.pod_socket import PodSocket
from kfwd_nb.client.sessions import Sessions
from kfwd_nb.client.switch_interval import switch_interval
from kfwd_nb.client.watchdog import Watchdog
from kfwd_nb.errors import LostError, UsageError, WaitError
from kfwd_nb.kube.kubeconfig import ClusterAccess
from kfwd_nb.ports import PortSpec
from kfwd_nb.transport.descriptors import raise_descriptor_limit

if TYPE_CHECKING:
    from kfwd_nb.client.hops.view import HopView
    from kfwd_nb.client.tracing.trace import Trace

State = Literal["starting", "listening", "stopped"]


class Forwarding:
    """The work of one forward. Its coroutines run on the forward's loop; the rest from anywhere.

    Args:
        name: the forward's, for what is said of it.
        parameters: what was asked for.
        access: the way to the cluster.
        pod_running_timeout: seconds to wait for a pod that runs; None for the usual.
        local_ports: in the place of those of the parameters, one for each; none to go by them.

    Attributes:
        books: its connections and what has happened.
        state: `starting`, `listening` or `stopped`.
        reason: what is wrong with it now, or why it was stopped; empty while all is well.
        ports: that it listens on.
        isolation: how the cluster keeps pods apart; empty where nothing says.
        listeners: the local ports' sockets.
        dialer: opens connections; None until it is prepared.
        over: set once it has ended.
    """

    def __init__(
        self,
        name: str,
        parameters: ForwardParameters,
        access: ClusterAccess,
        pod_running_timeout: float | None = None,
        local_ports: Sequence[int] = (),
    ) -> None:
        self.books = Books()
        self.state: State = "starting"
        self.reason = ""
        self.ports: tuple[ForwardedPort, ...] = ()
        self.isolation = ""
        self.listeners = Listeners(parameters.target, parameters.namespace)
        self.dialer: Dialer | None = None
        self.over = threading.Event()
        self._name = name
        self._parameters = parameters
        self._access = access
        self._pod_running_timeout = pod_running_timeout
        self._local_ports = local_ports
        self._sessions: Sessions | None = None
        self._looks = Looks()
        self._trace: Trace | None = None
        self._watchdog: Watchdog | None = None
        self._cause = ""
        self._ending: asyncio.Task[None] | None = None

    @property
    def dialect(self) -> Dialect | None:
        """The wire to the API server; None before it is chosen."""
        return self.dialer.dialect if self.dialer is not None else None

    @property
    def chosen(self) -> tuple[str, str]:
        """The dialect's name, and why it is that one; both empty before it is chosen."""
        dialect = self.dialect
        return (dialect.name, dialect.reason) if dialect is not None else ("", "")

    @property
    def ready(self) -> bool:
        """It listens."""
        return self.state == "listening"

    @property
    def ways(self) -> str:
        """Its ports, in words."""
        ways = ", ".join(f"{port.address}:{port.local} -> {port.remote}" for port in self.ports)
        return ways or "without a local port"

    @property
    def described(self) -> str:
        """Target and ports, in one line."""
        return f"{self._parameters.target} {self.ways}"

    def was_stopped(self) -> LostError:
        """Why there is nothing to use any more, and what to do."""
        why = f": {self.reason.rstrip('.')}" if self.reason else ""
        return LostError(
            f"{self._name} was stopped{why}.",
            hint="run the line that started it again, and use the forward that it returns.",
        )

    def lose(self, reason: str) -> None:
        """Its loop has ended, and nothing of it runs any more."""
        self.state, self.reason = "stopped", reason
        self.over.set()

    # -- beginning --------------------------------------------------------------------------------

    async def prepare(self) -> None:
        """Connect and resolve, but do not listen yet.

        Raises:
            KfwdError: why it cannot be; nothing of it is left then.
        """
        raise_descriptor_limit()
        parameters = self._parameters
        dialer = self.dialer = Dialer(
            self._access,
            parameters.target,
            parameters.namespace,
            self._trouble,
            self.books.record,
            dialect=parameters.dialect,
            balance=parameters.balance,
        )
        self._sessions = Sessions(self.books, dialer)
        try:
            remotes = [spec.remote for spec in parameters.ports]
            await dialer.start(remotes, self._pod_running_timeout)
        except BaseException:
            await self._release()
            raise
        self.isolation = dialer.isolation

    async def start(self) -> None:
        """Listen, and prepare it first if nobody has.

        Raises:
            KfwdError: why it cannot be; nothing of it is left then.
        """
        if self.dialer is None:
            await self.prepare()
        parameters = self._parameters
        specs = parameters.ports
        if self._local_ports:
            pairs = zip(specs, self._local_ports, strict=True)
            specs = tuple(replace(spec, local=local) for spec, local in pairs)
        try:
            self.ports = tuple([await self._listen(spec) for spec in specs])
        except BaseException:
            await self._release()
            raise
        switch_interval.acquire()
        if parameters.loop == "kernel":
            self._watchdog = Watchdog(
                asyncio.get_running_loop(), lambda: f"{self._name} {self.described}"
            )
        self.state = "listening"
        self.books.record(events.listening(parameters, *self.chosen, self.ports))

    async def _listen(self, spec: PortSpec) -> ForwardedPort:
        dialer, sessions = self.dialer, self._sessions
        assert dialer is not None
        assert sessions is not None
        remote = dialer.port_number(spec.remote)
        local = remote if spec.local is None else spec.local
        return await self.listeners.open(
            self._parameters.address,
            local,
            remote,
            dialer.port_name(spec.remote),
            lambda port, sock, peer: sessions.accepted(port, spec.remote, sock, peer),
            first=self._stable_port(remote),
        )

    def _stable_port(self, remote: int) -> int:
        """The local port that `:PORT` tries first; an embedded cluster's name is new each time."""
        parameters = self._parameters
        context = "" if self._access.embedded else parameters.context
        return stable_port(context, parameters.namespace, parameters.target, remote)

    # -- while it runs ----------------------------------------------------------------------------

    async def open(self, port: int | str | None, timeout: float | None) -> PodSocket:  # noqa: ASYNC109
        """See `Forward.open`."""
        if self._sessions is None or not self.ready:
            raise self.was_stopped()
        if port is None:
            if len(self._parameters.ports) != 1:
                count = len(self._parameters.ports)
                raise UsageError(f"{self._name} has {count} ports.", hint="name one: .open(80).")
            port = self._parameters.ports[0].remote
        began, why = self.books.log.last, self.reason
        try:
            async with asyncio.timeout(timeout):
                return await self._sessions.open(port)
        except TimeoutError:
            # Who does not wait any more has taken the reason along; the log has it.
            log = self.books.log.events()
            said = [each for each in log if each.kind == "trouble" and each.number > began]
            why = said[-1].text if said else why
            what = f"no connection to {self._name} port {port} in {timeout} s"
            raise WaitError(f"{what}: {why}" if why else f"{what}.") from None

    async def survey(self) -> HopView:
        """Look once where the bytes of its open connections are.

        Raises:
            UsageError: it does not listen.
        """
        from kfwd_nb.client.hops.survey import survey

        if self.dialer is None or not self.ready:
            raise UsageError(f"{self._name} is {self.state}: there is no way to look at.")
        dialect, _ = self.chosen
        sessions = list(self.books.open.values())
        return await survey(
            self._name, self.ways, dialect, sessions, self.dialer.tunnel, self._looks
        )

    async def survey_twice(self) -> HopView:
        """Look again a moment later if something waits, to tell what stands from what moves."""
        from kfwd_nb.client.hops.view import STANDS_AFTER

        view = await self.survey()
        if view.waits:
            await asyncio.sleep(STANDS_AFTER)
            view = await self.survey()
        return view

    def attach(self, trace: Trace) -> None:
        """Let a trace record what is opened from now on; the one before it is stopped.

        Raises:
            UsageError: nothing passes that could be recorded.
        """
        dialect = self.dialect
        if dialect is None or not self.ready:
            raise UsageError(f"{self._name} is {self.state}: nothing passes that can be traced.")
        former, self._trace = self._trace, trace
        dialect.trace = trace
        if former is not None:
            former.stop()

    def detach(self, trace: Trace) -> None:
        """The trace was stopped: connections are ordinary ones again, if it was the last."""
        if self._trace is trace:
            self._trace = None
            if self.dialect is not None:
                self.dialect.trace = None

    def _trouble(self, reason: str, cause: str) -> None:
        """Another cause is an event; one more connection that waits for the same reason is none."""
        self.books.changed()
        if self.state == "stopped":
            return
        self.reason = reason
        if cause != self._cause:
            self._cause = cause
            self.books.record(events.trouble(reason))

    # -- the end ----------------------------------------------------------------------------------

    async def stop(self, reason: str = "") -> None:
        """End once, to the end: an interrupt of who waits for it does not leave it half done."""
        if self._ending is None:
            self._ending = asyncio.get_running_loop().create_task(self._end(reason))
        await asyncio.shield(self._ending)

    async def _end(self, reason: str) -> None:
        was_listening, self.state, self.reason = self.ready, "stopped", reason
        self.books.stopping = True
        await self._release()
        if was_listening:
            switch_interval.release()
        if self._watchdog is not None:
            self._watchdog.stop()
        if self._trace is not None:
            self._trace.stop()
        for session in list(self.books.open.values()):
            session.end()
        await self.books.emptied()
        self.books.record(events.stopped(reason))
        self.over.set()

    async def _release(self) -> None:
        await self.listeners.close()
        if self._sessions is not None:
            await self._sessions.close()
        if self.dialer is not None:
            self.dialer.close()
