"""`forward()` and what it returns: local listeners bound to a target, until stopped."""

from __future__ import annotations

import asyncio
import itertools
import os
import socket
import threading
import time
from collections import deque
from collections.abc import Coroutine
from dataclasses import dataclass, replace
from types import TracebackType
from typing import Any, Literal, Self

from kfwd_nb.client.connection import Connection, Totals
from kfwd_nb.client.dialects import DialectName
from kfwd_nb.client.dialer import Dialer
from kfwd_nb.client.listener import ForwardedPort, listen
from kfwd_nb.client.loops import LoopName, Runner, runner
from kfwd_nb.client.reasons import Reason, Reasons
from kfwd_nb.client.session import Session
from kfwd_nb.client.switch_interval import switch_interval
from kfwd_nb.client.watchdog import Watchdog
from kfwd_nb.errors import LimitError, UsageError
from kfwd_nb.kube.kubeconfig import ClusterAccess
from kfwd_nb.ports import PortSpec, Target, bracketed
from kfwd_nb.transport.descriptors import raise_descriptor_limit

MAX_CLOSED = 200
"""Closed connections that a forward remembers for its table; older ones live on in `totals`."""

MAX_CONNECTIONS = 10_000
"""Connections that a forward holds at once; further ones are refused and counted as failed."""

ACCEPT_PAUSE = 0.1
"""Seconds to wait when no descriptor is left for an accepted connection."""

State = Literal["starting", "listening", "stopped"]


@dataclass(frozen=True, slots=True)
class ForwardParameters:
    """What a forward was asked for; equal parameters mean the same forward."""

    target: Target
    ports: tuple[PortSpec, ...]
    namespace: str
    context: str
    server: str
    address: str
    loop: LoopName
    dialect: DialectName | None = None
    balance: bool = False
    user: str = ""
    groups: tuple[str, ...] = ()
    source: str = ""


class Forward:
    """A running forward. Made by `forward()`.

    All attributes may be read from any thread.

    Attributes:
        name: what `--stop` takes.
        parameters: what was asked for.
        state: `starting`, `listening` or `stopped`.
        reason: what is wrong with it now, or why it was stopped; empty while all is well.
        ports: one for each PORT argument.
        revision: changes whenever something visible does.
        embedded: it leads into the embedded cluster that this process started.
        isolation: how that cluster keeps pods apart; empty where nothing says.
    """

    def __init__(
        self,
        name: str,
        parameters: ForwardParameters,
        access: ClusterAccess,
        pod_running_timeout: float | None = None,
    ) -> None:
        self.name = name
        self.parameters = parameters
        self.state: State = "starting"
        self.reason = ""
        self.ports: tuple[ForwardedPort, ...] = ()
        self.revision = 0
        self.embedded = access.embedded
        self.isolation = ""
        self.started = time.time()
        self._access = access
        self._pod_running_timeout = pod_running_timeout
        self._runner: Runner = runner(parameters.loop)
        self._dialer: Dialer | None = None
        self._listeners: list[socket.socket] = []
        self._tasks: set[asyncio.Task[None]] = set()
        self._open: dict[int, Session] = {}
        self._closed: deque[Connection] = deque(maxlen=MAX_CLOSED)
        self._numbers = itertools.count(1)
        self._totals = Totals()
        self._reasons = Reasons()
        self._bytes_in = 0
        self._bytes_out = 0
        self._last_closed: asyncio.Future[None] | None = None
        self._ending: asyncio.Task[None] | None = None
        self._process = os.getpid()
        self._stopped = threading.Event()
        self._shared = False
        self._watchdog: Watchdog | None = None

    # -- what a person asks -----------------------------------------------------------------------

    @property
    def target(self) -> Target:
        """What it leads to."""
        return self.parameters.target

    @property
    def namespace(self) -> str:
        """The target's namespace."""
        return self.parameters.namespace

    @property
    def context(self) -> str:
        """The kubeconfig's context."""
        return self.parameters.context

    @property
    def server(self) -> str:
        """URL of the API server."""
        return self.parameters.server

    @property
    def dialect(self) -> str:
        """The wire to the API server: connect, websocket or spdy; empty before it is chosen."""
        chosen = self._dialer.dialect if self._dialer is not None else None
        return chosen.name if chosen is not None else ""

    @property
    def dialect_reason(self) -> str:
        """Why it is that one, in a clause."""
        chosen = self._dialer.dialect if self._dialer is not None else None
        return chosen.reason if chosen is not None else ""

    @property
    def ready(self) -> bool:
        """It listens."""
        return self.state == "listening"

    @property
    def local_port(self) -> int:
        """The local port of a forward that has one.

        Raises:
            UsageError: it has several; see `ports`.
        """
        if len(self.ports) != 1:
            raise UsageError(f"{self.name} has {len(self.ports)} ports.", hint="see `.ports`.")
        return self.ports[0].local

    def url(self, scheme: str = "http", path: str = "/", *, remote: int | None = None) -> str:
        """Address of a port, for code in this process: `http://127.0.0.1:8080/`.

        `remote` says which one, by the target's port; a forward that has several needs it.

        Raises:
            UsageError: it has several and none was named, or it has no such port.
        """
        found = [port for port in self.ports if remote in (None, port.remote)]
        if not found or (remote is None and len(found) > 1):
            ports = ", ".join(str(port.remote) for port in self.ports)
            hint = f"name one: remote={self.ports[0].remote}." if self.ports else None
            raise UsageError(f"{self.name} has the ports {ports}.", hint=hint)
        port = found[0]
        return f"{scheme}://{bracketed(port.address)}:{port.local}/{path.lstrip('/')}"

    def connections(self, newest: int | None = None) -> list[Connection]:
        """Copies of the connections that are open, and the last `MAX_CLOSED` that were.

        Args:
            newest: copy only so many of the open ones; a live table does not need thousands.
        """
        # The open ones first: one that closes in between is then in both, not in neither.
        still_open = list(self._open.items())
        if newest is not None:
            still_open = still_open[max(0, len(still_open) - newest) :]
        both = {number: replace(each.connection) for number, each in still_open}
        both |= {each.number: each for each in list(self._closed)}  # nothing changes them any more
        return [both[number] for number in sorted(both)]

    @property
    def totals(self) -> Totals:
        """Sums over all connections that there ever were."""
        return replace(
            self._totals,
            open=len(self._open),
            bytes_in=self._bytes_in,
            bytes_out=self._bytes_out,
        )

    @property
    def reasons(self) -> dict[Reason, int]:
        """How many of its connections ended for which reason."""
        return self._reasons.counts()

    def __repr__(self) -> str:
        return f"<Forward {self._described()} ({self.state})>"

    def _repr_mimebundle_(self, include: Any = None, exclude: Any = None) -> dict[str, str]:
        """What a notebook without the extension shows; with it, the live table stands here."""
        return {"text/plain": repr(self)}

    def _described(self) -> str:
        ways = ", ".join(f"{port.address}:{port.local} -> {port.remote}" for port in self.ports)
        return f"{self.name} {self.target} {ways}"

    # -- life -------------------------------------------------------------------------------------

    def stop(self, reason: str = "") -> None:
        """Close the listeners and every connection; nothing if that was done already.

        `reason` stays to be read, where somebody else than the user wanted it.
        """
        if self._process == os.getpid():  # a fork does not own its parent's
            self._runner.run(self._stop(reason))

    def wait(self, timeout: float | None = None) -> bool:
        """Block until it is stopped, at most `timeout` seconds; False if it still runs."""
        return self._stopped.wait(timeout)

    def share(self) -> None:
        """Somebody asked for this forward who did not start it: their `with` will not end it."""
        self._shared = True

    def _borrowed(self) -> bool:
        """The block that ends now has not started the forward; said once."""
        shared, self._shared = self._shared, False
        return shared

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if not self._borrowed():
            self.stop()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if not self._borrowed():
            await self._runner.run_async(self._stop())

    def prepare(self) -> None:
        """Connect and resolve, but do not listen yet: that may be another forward's port still.

        Raises:
            KfwdError: why it cannot be; nothing of it is left then.
        """
        self._runner.run(self._prepare())

    def start(self) -> None:
        """Connect, resolve, listen. `forward()` calls it.

        Raises:
            KfwdError: why it cannot be; nothing of it is left then.
        """
        self._runner.run(self._start())

    async def _prepare(self) -> None:
        raise_descriptor_limit()
        parameters = self.parameters
        dialer = self._dialer = Dialer(
            self._access,
            self.target,
            self.namespace,
            self._trouble,
            dialect=parameters.dialect,
            balance=parameters.balance,
        )
        try:
            remotes = [spec.remote for spec in parameters.ports]
            await dialer.start(remotes, self._pod_running_timeout)
        except BaseException:
            await self._release()
            raise
        self.isolation = dialer.isolation

    async def _start(self) -> None:
        if self._dialer is None:
            await self._prepare()
        try:
            self.ports = tuple([await self._listen(spec) for spec in self.parameters.ports])
        except BaseException:
            await self._release()
            raise
        switch_interval.acquire()
        if self.parameters.loop == "kernel":
            self._watchdog = Watchdog(asyncio.get_running_loop(), self._described)
        self.state = "listening"
        self.revision += 1

    async def _listen(self, spec: PortSpec) -> ForwardedPort:
        assert self._dialer is not None
        remote = self._dialer.port_number(spec.remote)
        local = remote if spec.local is None else spec.local
        # On a thread: a name is looked up, and who holds a port is searched for in all processes.
        sockets = await asyncio.to_thread(listen, self.parameters.address, local, remote)
        self._listeners += sockets
        names = [sock.getsockname() for sock in sockets]
        port = ForwardedPort(
            tuple(name[0] for name in names),
            names[0][1],
            remote,
            name=self._dialer.port_name(spec.remote),
        )
        for sock in sockets:
            self._spawn(self._accept(sock, port, spec.remote))
        return port

    async def _stop(self, reason: str = "") -> None:
        """End once, to the end: an interrupt of who waits for it does not leave it half done."""
        if self._ending is None:
            self._ending = asyncio.get_running_loop().create_task(self._end(reason))
        await asyncio.shield(self._ending)

    async def _end(self, reason: str) -> None:
        was_listening, self.state, self.reason = self.ready, "stopped", reason
        await self._release()
        if was_listening:
            switch_interval.release()
        if self._watchdog is not None:
            self._watchdog.stop()
        for session in list(self._open.values()):
            session.end()
        if self._open:
            self._last_closed = asyncio.get_running_loop().create_future()
            await self._last_closed
        self.revision += 1
        self._stopped.set()

    async def _release(self) -> None:
        for task in self._tasks:
            task.cancel()
        # A listener is closed after its accept has let go of its number, which may be given anew.
        await asyncio.gather(*self._tasks, return_exceptions=True)
        for sock in self._listeners:
            sock.close()
        self._listeners.clear()
        if self._dialer is not None:
            self._dialer.close()

    # -- connections ------------------------------------------------------------------------------

    async def _accept(
        self, listener: socket.socket, port: ForwardedPort, remote: int | str
    ) -> None:
        loop = asyncio.get_running_loop()
        while True:
            try:
                sock, peer = await loop.sock_accept(listener)
            except OSError:
                # No descriptor is left, or the peer was gone before we came.
                await asyncio.sleep(ACCEPT_PAUSE)
                continue
            host, number = bracketed(peer[0]), next(self._numbers)
            connection = Connection(
                number, f"{host}:{peer[1]}", port.local, port.remote, time.time()
            )
            self._spawn(self._serve(sock, Session(connection, self), remote))

    async def _serve(self, sock: socket.socket, session: Session, remote: int | str) -> None:
        self._totals = replace(self._totals, opened=self._totals.opened + 1)
        if len(self._open) >= MAX_CONNECTIONS:
            limit = LimitError(f"more than {MAX_CONNECTIONS} connections at once.")
            session.refuse(sock, limit)
            return
        self._open[session.connection.number] = session
        self.changed()
        assert self._dialer is not None
        await session.run(sock, self._dialer, remote)

    def _spawn(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def _trouble(self, reason: str) -> None:
        if self.state != "stopped":
            self.reason = reason
        self.revision += 1

    # -- client.session.Ledger --------------------------------------------------------------------

    @property
    def stopping(self) -> bool:
        """It was stopped; what remains of its connections is ending."""
        return self.state == "stopped"

    def changed(self, *, bytes_in: int = 0, bytes_out: int = 0) -> None:
        """Note that something visible changed."""
        self.revision += 1
        self._bytes_in += bytes_in
        self._bytes_out += bytes_out

    def closed(self, connection: Connection) -> None:
        """Move a connection to those that are over."""
        self._open.pop(connection.number, None)
        self._closed.append(connection)
        self._reasons.add(connection)
        if self._last_closed is not None and not self._open:
            self._last_closed.set_result(None)
        if connection.failed:
            self._totals = replace(self._totals, failed=self._totals.failed + 1)
        self.revision += 1
