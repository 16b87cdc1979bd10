"""`forward()` and what it returns: local listeners bound to a target, until stopped."""

from __future__ import annotations

import asyncio
import os
import threading
import time
from collections.abc import Callable, Coroutine
from dataclasses import dataclass, replace
from types import TracebackType
from typing import TYPE_CHECKING, Any, Literal, Self, TypeVar, overload

from kfwd_nb.client import conditions, events
from kfwd_nb.client.books import Books
from kfwd_nb.client.connection import Connection, Totals
from kfwd_nb.client.dialects import DialectName
from kfwd_nb.client.dialer import Dialer
from kfwd_nb.client.display import Displayable
from kfwd_nb.client.events import Event, EventKind
from kfwd_nb.client.links import Link, browser
from kfwd_nb.client.listener import ForwardedPort
from kfwd_nb.client.listeners import Listeners
from kfwd_nb.client.log import EventStream
from kfwd_nb.client.looks import Looks
from kfwd_nb.client.loops import LoopName, Runner, runner
from kfwd_nb.client.pod_socket import PodSocket
from kfwd_nb.client.reasons import Reason
from kfwd_nb.client.sessions import Sessions
from kfwd_nb.client.stable_port import stable_port
from kfwd_nb.client.switch_interval import switch_interval
from kfwd_nb.client.throughput import Throughput
from kfwd_nb.client.watchdog import Watchdog
from kfwd_nb.errors import LostError, UsageError, WaitError
from kfwd_nb.kube.kubeconfig import ClusterAccess
from kfwd_nb.ports import PortSpec, Target, bracketed
from kfwd_nb.transport.descriptors import raise_descriptor_limit

if TYPE_CHECKING:
    import concurrent.futures

    from kfwd_nb.client.hops import HopView
    from kfwd_nb.client.trace import Trace

State = Literal["starting", "listening", "stopped"]

T = TypeVar("T")


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


class Forward(Displayable):
    """A running forward. Made by `forward()`.

    `url()` is for code in this process, `link` for the browser. `connections()`, `totals`,
    `throughput` and `log()` say what passes and what has happened, `hops()` where the bytes are,
    `trace()` records frames. `open()` connects without the local port; `stop()` ends it.

    All attributes may be read from any thread.

    Attributes:
        name: what `--stop` takes.
        parameters: what was asked for.
        state: `starting`, `listening` or `stopped`.
        reason: what is wrong with it now, or why it was stopped; empty while all is well.
        ports: one for each PORT argument; none for one that is only for `open`.
        replaced: the forward whose place it took, in words; empty if it took none's.
        embedded: it leads into the embedded cluster that this process started.
        isolation: how that cluster keeps pods apart; empty where nothing says.
    """

    def __init__(
        self,
        name: str,
        parameters: ForwardParameters,
        access: ClusterAccess,
        pod_running_timeout: float | None = None,
        local_ports: tuple[int, ...] = (),
    ) -> None:
        self.name = name
        self.parameters = parameters
        self.state: State = "starting"
        self.reason = ""
        self.ports: tuple[ForwardedPort, ...] = ()
        self.replaced = ""
        self.embedded = access.embedded
        self.isolation = ""
        self.started = time.time()
        self._access = access
        self._pod_running_timeout = pod_running_timeout
        self._local_ports = local_ports  # of the one before it; else those of the parameters
        self._runner: Runner = runner(parameters.loop)
        self._dialer: Dialer | None = None
        self._listeners = Listeners(parameters.target, parameters.namespace)
        self._sessions: Sessions | None = None
        self._looks = Looks()
        self._books = Books()
        self._cause = ""
        self._ending: asyncio.Task[None] | None = None
        self._process = os.getpid()
        self._stopped = threading.Event()
        self._shared = False
        self._watchdog: Watchdog | None = None
        self._trace: Trace | None = None

    # -- what a person asks -----------------------------------------------------------------------

    @property
    def revision(self) -> int:
        """Changes whenever something visible does."""
        return self._books.revision

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
        """The wire to the API server (connect, websocket, spdy); empty before it is chosen."""
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
            LostError: it was stopped; the text says why, and how to start it again.
            UsageError: it has several and none was named, or it has no such port.
        """
        port = self._port(remote)
        return f"{scheme}://{bracketed(port.address)}:{port.local}/{path.lstrip('/')}"

    @property
    def link(self) -> Link:
        """The page of a forward that has one port, for the browser; see `browser_link()`."""
        return self.browser_link()

    def browser_link(
        self,
        scheme: str = "http",
        path: str = "/",
        *,
        remote: int | None = None,
        absolute: bool = False,
    ) -> Link:
        """Address of a port, for the browser that shows the notebook, wherever that is.

        It is what fits where the notebook runs (see `client.places`): `http://localhost:8080/`, or
        `/user/ann/proxy/8080/` on a hub, which begins at the root of the page's host. What has to
        be there for that is asked for, which takes 2 seconds at the most; what could not be made
        sure of is the link's `note`.

        Args:
            scheme: what the port speaks; proxies can do with `http` only.
            path: of the page.
            remote: which port, by the target's; a forward that has several needs it.
            absolute: the program behind the port wants to see the whole path that the browser
                asks for (`/user/ann/proxy/absolute/8080/…`), because it was told its own place.

        Raises:
            LostError: it was stopped.
            UsageError: it has several ports and none was named, or it has no such port.
            UnavailableError: the browser has no way here, and what to do about it.
        """
        return browser.checked(self._port(remote), path, scheme=scheme, absolute=absolute)

    def _port(self, remote: int | None) -> ForwardedPort:
        """The one that is meant."""
        if self.state == "stopped":  # its ports are somebody else's now, perhaps
            raise self._was_stopped()
        if not self.ports:
            raise UsageError(f"{self.name} has no local port.", hint="use `.open(PORT)`.")
        found = [port for port in self.ports if remote in (None, port.remote)]
        if not found or (remote is None and len(found) > 1):
            ports = ", ".join(str(port.remote) for port in self.ports)
            hint = f"name one: remote={self.ports[0].remote}."
            raise UsageError(f"{self.name} has the ports {ports}.", hint=hint)
        return found[0]

    def _was_stopped(self) -> LostError:
        """Why there is nothing to use any more, and what to do."""
        why = f": {self.reason.rstrip('.')}" if self.reason else ""
        return LostError(
            f"{self.name} was stopped{why}.",
            hint="run the line that started it again, and use the forward that it returns.",
        )

    def connections(self, newest: int | None = None) -> list[Connection]:
        """Copies of the connections that are open, and the last `MAX_CLOSED` that were.

        Args:
            newest: copy only so many of the open ones; a live table does not need thousands.
        """
        return self._books.connections(newest)

    def log(self) -> list[Event]:
        """What has happened to it, oldest first: the last events, as many as `client.log` keeps."""
        return self._books.log.events()

    def events(self, *, past: bool = False) -> EventStream:
        """What happens to it from now on: `async for` on any loop, or `for`, until it is stopped.

        A reader that is too far behind loses the oldest events, and gets one `missed` that counts
        them. One that has read enough just drops the iterator.

        Args:
            past: begin with what the log has.
        """
        only_await = self.parameters.loop == "kernel"
        return self._books.log.follow(past=past, only_await=only_await)

    @overload
    def wait_for(
        self, condition: EventKind, timeout: float | None = ...
    ) -> Coroutine[Any, Any, Event]: ...

    @overload
    def wait_for(
        self, condition: Callable[[Forward], T], timeout: float | None = ...
    ) -> Coroutine[Any, Any, T]: ...

    def wait_for(
        self, condition: EventKind | Callable[[Forward], T], timeout: float | None = None
    ) -> Coroutine[Any, Any, Event | T]:
        """Await an event, from this call on, or until something is true of it.

        Args:
            condition: what comes next, as `"opened"`, `"closed"` or `"recovered"`; or a function
                that is given the forward, now and every 0.05 s, until it returns something true.
            timeout: seconds; None waits as long as the forward runs.

        Returns:
            The event, or what the function returned.

        Raises:
            WaitError: it has not come in time; a `TimeoutError`.
            LostError: the forward was stopped before it came.
            UsageError: there is no such event.
        """
        return conditions.wait_for(self, condition, timeout)

    @overload
    def wait_until(self, condition: EventKind, timeout: float | None = None) -> Event: ...

    @overload
    def wait_until(self, condition: Callable[[Forward], T], timeout: float | None = None) -> T: ...

    def wait_until(
        self, condition: EventKind | Callable[[Forward], T], timeout: float | None = None
    ) -> Event | T:
        """`wait_for` for code that blocks: the same conditions, results and errors."""
        if callable(condition) and self.parameters.loop == "thread":
            return conditions.wait_until(self, condition, timeout)
        return self._runner.run(conditions.wait_for(self, condition, timeout))

    @property
    def totals(self) -> Totals:
        """Sums over all connections that there ever were."""
        return self._books.totals

    @property
    def throughput(self) -> Throughput:
        """Bytes a second, now and over the last minutes."""
        return self._books.throughput

    @property
    def reasons(self) -> dict[Reason, int]:
        """How many of its connections ended for which reason."""
        return self._books.reasons.counts()

    def trace(self, limit: int | None = None) -> Trace:
        """Record the frames of all connections that are opened from now on.

        They go over connections to the server that are opened for it; those that are open stay as
        they are, and are not in it. A trace that records already is stopped.

        A `with` block waits a moment for the last frames of what it opened, and ends the trace; on
        the kernel's own loop (`loop="kernel"`) only `async with` can wait.

        Args:
            limit: frames that are kept, the latest; `trace.MAX_FRAMES` unless it is said.

        Raises:
            UsageError: the forward does not listen, or nobody can keep so many frames.
        """
        dialect = self._dialer.dialect if self._dialer is not None else None
        if dialect is None or not self.ready:
            raise UsageError(f"{self.name} is {self.state}: nothing passes that can be traced.")
        from kfwd_nb.client.trace import MAX_FRAMES, Trace

        before = set(self._books.open)
        trace = Trace(
            self.name,
            MAX_FRAMES if limit is None else limit,
            before=len(before),
            detach=self._untrace,
            settled=lambda: not (set(self._books.open) - before),
            blocks=self.parameters.loop == "kernel",
            run=self._runner.run,
        )
        former, self._trace = self._trace, trace
        dialect.trace = trace
        if former is not None:
            former.stop()
        return trace

    def hops(self) -> HopView:
        """Where the bytes of its open connections are now, at each hop of the way.

        The relay and the node agent are asked, which takes as long as they take to answer, and
        `hops.PATIENCE` at the most. If something waits that was not seen before, it is looked at
        twice, `hops.STANDS_AFTER` seconds apart, to tell what stands from what moves. On a foreign
        cluster all but our own end is invisible.

        Raises:
            UsageError: the forward does not listen.
        """
        return self._runner.run(self._survey_twice())

    async def hops_async(self) -> HopView:
        """`hops`, awaited on any loop."""
        return await self._runner.run_async(self._survey_twice())

    def hops_soon(self) -> concurrent.futures.Future[HopView]:
        """One look of `hops`, without waiting for the answer."""
        return self._runner.begin(self._survey())

    async def _survey_twice(self) -> HopView:
        from kfwd_nb.client.hops import STANDS_AFTER

        view = await self._survey()
        if view.waits:
            await asyncio.sleep(STANDS_AFTER)
            view = await self._survey()
        return view

    async def _survey(self) -> HopView:
        from kfwd_nb.client.survey import survey

        if self._dialer is None or not self.ready:
            raise UsageError(f"{self.name} is {self.state}: there is no way to look at.")
        sessions = list(self._books.open.values())
        return await survey(
            self.name, self._ways(), self.dialect, sessions, self._dialer.tunnel, self._looks
        )

    def _untrace(self, trace: Trace) -> None:
        """The trace was stopped: connections are ordinary ones again, if it was the last."""
        dialect = self._dialer.dialect if self._dialer is not None else None
        if self._trace is trace:
            self._trace = None
            if dialect is not None:
                dialect.trace = None

    def __repr__(self) -> str:
        return f"<Forward {self.name} {self.described} ({self.state})>"

    @property
    def described(self) -> str:
        """Target and ports, in one line."""
        return f"{self.target} {self._ways()}"

    def _ways(self) -> str:
        ways = ", ".join(f"{port.address}:{port.local} -> {port.remote}" for port in self.ports)
        return ways or "without a local port"

    def open(self, port: int | str | None = None, timeout: float | None = None) -> PodSocket:
        """A connected, blocking socket to a port of the target, without a local port.

        It is a row of the table like any other connection.

        Args:
            port: of the target, by number or name; a forward that has just one needs none.
            timeout: seconds until it must be connected.

        Raises:
            UsageError: the forward has not one port, and none was named.
            WaitError: it was not connected in time.
            KfwdError: the target has no such port, nobody listens there, no pod came, and the like.
                The dialects `websocket` and `spdy` hear of some of it later: then the socket is
                reset, with the reason as its words.
        """
        return self._runner.run(self._open_socket(port, timeout))

    async def open_async(
        self,
        port: int | str | None = None,
        timeout: float | None = None,  # noqa: ASYNC109 - as `open`
    ) -> PodSocket:
        """`open`, awaited on any loop."""
        return await self._runner.run_async(self._open_socket(port, timeout))

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

    def again(self) -> Forward:
        """One like it, not started yet; it will listen on the same local ports."""
        ports = tuple(port.local for port in self.ports)
        return Forward(self.name, self.parameters, self._access, self._pod_running_timeout, ports)

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
            self._books.record,
            dialect=parameters.dialect,
            balance=parameters.balance,
        )
        self._sessions = Sessions(self._books, dialer)
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
            specs = self.parameters.ports
            if self._local_ports:
                pairs = zip(specs, self._local_ports, strict=True)
                specs = tuple(replace(spec, local=local) for spec, local in pairs)
            self.ports = tuple([await self._listen(spec) for spec in specs])
        except BaseException:
            await self._release()
            raise
        switch_interval.acquire()
        if self.parameters.loop == "kernel":
            self._watchdog = Watchdog(
                asyncio.get_running_loop(), lambda: f"{self.name} {self.described}"
            )
        self.state = "listening"
        self._books.record(events.listening(self))

    async def _listen(self, spec: PortSpec) -> ForwardedPort:
        sessions = self._sessions
        assert self._dialer is not None
        assert sessions is not None
        remote = self._dialer.port_number(spec.remote)
        local = remote if spec.local is None else spec.local
        return await self._listeners.open(
            self.parameters.address,
            local,
            remote,
            self._dialer.port_name(spec.remote),
            lambda port, sock, peer: sessions.accepted(port, spec.remote, sock, peer),
            first=self._stable_port(remote),
        )

    def _stable_port(self, remote: int) -> int:
        """The local port that `:PORT` tries first; an embedded cluster's name is new each time."""
        context = "" if self.embedded else self.context
        return stable_port(context, self.namespace, self.target, remote)

    async def _stop(self, reason: str = "") -> None:
        """End once, to the end: an interrupt of who waits for it does not leave it half done."""
        if self._ending is None:
            self._ending = asyncio.get_running_loop().create_task(self._end(reason))
        await asyncio.shield(self._ending)

    async def _end(self, reason: str) -> None:
        was_listening, self.state, self.reason = self.ready, "stopped", reason
        self._books.stopping = True
        await self._release()
        if was_listening:
            switch_interval.release()
        if self._watchdog is not None:
            self._watchdog.stop()
        if self._trace is not None:
            self._trace.stop()
        for session in list(self._books.open.values()):
            session.end()
        await self._books.emptied()
        self._books.record(events.stopped(self))
        self._stopped.set()

    async def _release(self) -> None:
        await self._listeners.close()
        if self._sessions is not None:
            await self._sessions.close()
        if self._dialer is not None:
            self._dialer.close()

    # -- connections ------------------------------------------------------------------------------

    async def _open_socket(self, port: int | str | None, timeout: float | None) -> PodSocket:  # noqa: ASYNC109
        if self._sessions is None or not self.ready:
            raise self._was_stopped()
        if port is None:
            if len(self.parameters.ports) != 1:
                count = len(self.parameters.ports)
                raise UsageError(f"{self.name} has {count} ports.", hint="name one: .open(80).")
            port = self.parameters.ports[0].remote
        began, why = self._books.log.last, self.reason
        try:
            async with asyncio.timeout(timeout):
                return await self._sessions.open(port)
        except TimeoutError:
            # Who does not wait any more has taken the reason along; the log has it.
            said = [each for each in self.log() if each.kind == "trouble" and each.number > began]
            why = said[-1].text if said else why
            what = f"no connection to {self.name} port {port} in {timeout} s"
            raise WaitError(f"{what}: {why}" if why else f"{what}.") from None

    def _trouble(self, reason: str, cause: str) -> None:
        """Another cause is an event; one more connection that waits for the same reason is none."""
        self._books.changed()
        if self.state == "stopped":
            return
        self.reason = reason
        if cause != self._cause:
            self._cause = cause
            self._books.record(events.trouble(reason))
