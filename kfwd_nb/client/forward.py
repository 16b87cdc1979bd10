"""A forward as others see it: to be asked, waited for and stopped, from any thread."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Coroutine
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self, TypeVar, overload

from kfwd_nb.client import conditions
from kfwd_nb.client.browser.links import Link, browser
from kfwd_nb.client.connection import Connection, Totals
from kfwd_nb.client.display import Displayable
from kfwd_nb.client.events import Event, EventKind
from kfwd_nb.client.forwarded_port import ForwardedPort
from kfwd_nb.client.forwarding import Forwarding, State
from kfwd_nb.client.log import EventStream
from kfwd_nb.client.loops import Runner, runner
from kfwd_nb.client.parameters import ForwardParameters
from kfwd_nb.client.pod_socket import PodSocket
from kfwd_nb.client.reasons import Reason
from kfwd_nb.client.throughput import Throughput
from kfwd_nb.errors import UsageError
from kfwd_nb.kube.kubeconfig import ClusterAccess
from kfwd_nb.ports import Target, bracketed

if TYPE_CHECKING:
    import concurrent.futures

    from kfwd_nb.client.hops.view import HopView
    from kfwd_nb.client.tracing.trace import Trace

T = TypeVar("T")


class Forward(Displayable):
    """A running forward. Made by `forward()`.

    `url()` is for code in this process, `link` for the browser. `connections()`, `totals`,
    `throughput` and `log()` say what passes and what has happened, `hops()` where the bytes are,
    `trace()` records frames. `open()` connects without the local port; `stop()` ends it.

    All of it may be used from any thread.

    Attributes:
        name: what `--stop` takes.
        parameters: what was asked for.
        replaced: the forward whose place it took, in words; empty if it took none's.
        embedded: it leads into the embedded cluster that this process started.
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
        self.replaced = ""
        self.embedded = access.embedded
        self.started = time.time()
        self._access = access
        self._pod_running_timeout = pod_running_timeout
        self._runner: Runner = runner(parameters.loop)
        self._forwarding = Forwarding(name, parameters, access, pod_running_timeout, local_ports)
        self._books = self._forwarding.books
        self._process = os.getpid()
        self._shared = False

    # -- what a person asks -----------------------------------------------------------------------

    @property
    def revision(self) -> int:
        """Changes whenever something visible does."""
        return self._books.revision

    @property
    def state(self) -> State:
        """`starting`, `listening` or `stopped`."""
        return self._forwarding.state

    @property
    def reason(self) -> str:
        """What is wrong with it now, or why it was stopped; empty while all is well."""
        return self._forwarding.reason

    @property
    def ports(self) -> tuple[ForwardedPort, ...]:
        """One for each PORT argument; none for a forward that is only for `open`."""
        return self._forwarding.ports

    @property
    def isolation(self) -> str:
        """How the embedded cluster keeps pods apart; empty where nothing says."""
        return self._forwarding.isolation

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
        return self._forwarding.chosen[0]

    @property
    def dialect_reason(self) -> str:
        """Why it is that one, in a clause."""
        return self._forwarding.chosen[1]

    @property
    def ready(self) -> bool:
        """It listens."""
        return self._forwarding.ready

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

        It is what fits where the notebook runs: `http://localhost:8080/`, or
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
            raise self._forwarding.was_stopped()
        if not self.ports:
            raise UsageError(f"{self.name} has no local port.", hint="use `.open(PORT)`.")
        found = [port for port in self.ports if remote in (None, port.remote)]
        if not found or (remote is None and len(found) > 1):
            ports = ", ".join(str(port.remote) for port in self.ports)
            hint = f"name one: remote={self.ports[0].remote}."
            raise UsageError(f"{self.name} has the ports {ports}.", hint=hint)
        return found[0]

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
        from kfwd_nb.client.tracing.trace import MAX_FRAMES, Trace

        before = set(self._books.open)
        trace = Trace(
            self.name,
            MAX_FRAMES if limit is None else limit,
            before=len(before),
            detach=self._forwarding.detach,
            settled=lambda: not (set(self._books.open) - before),
            blocks=self.parameters.loop == "kernel",
            run=self._runner.run,
        )
        self._forwarding.attach(trace)
        return trace

    def hops(self) -> HopView:
        """Where the bytes of its open connections are now, at each hop of the way.

        The relay and the node agent are asked, which takes as long as they take to answer, and
        2.5 seconds at the most. If something waits that was not seen before, it is looked at twice,
        a second apart, to tell what stands from what moves. On a foreign cluster all but our own
        end is invisible.

        Raises:
            UsageError: the forward does not listen.
        """
        return self._runner.run(self._forwarding.survey_twice())

    async def hops_async(self) -> HopView:
        """`hops`, awaited on any loop."""
        return await self._runner.run_async(self._forwarding.survey_twice())

    def hops_soon(self) -> concurrent.futures.Future[HopView]:
        """One look of `hops`, without waiting for the answer."""
        return self._runner.begin(self._forwarding.survey())

    def __repr__(self) -> str:
        return f"<Forward {self.name} {self.described} ({self.state})>"

    @property
    def described(self) -> str:
        """Target and ports, in one line."""
        return self._forwarding.described

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
        return self._runner.run(self._forwarding.open(port, timeout))

    async def open_async(
        self,
        port: int | str | None = None,
        timeout: float | None = None,  # noqa: ASYNC109 - as `open`
    ) -> PodSocket:
        """`open`, awaited on any loop."""
        return await self._runner.run_async(self._forwarding.open(port, timeout))

    # -- life -------------------------------------------------------------------------------------

    def stop(self, reason: str = "") -> None:
        """Close the listeners and every connection; nothing if that was done already.

        `reason` stays to be read, where somebody else than the user wanted it.
        """
        if self._process == os.getpid():  # a fork does not own its parent's
            self._runner.run(self._forwarding.stop(reason))

    def wait(self, timeout: float | None = None) -> bool:
        """Block until it is stopped, at most `timeout` seconds; False if it still runs."""
        return self._forwarding.over.wait(timeout)

    def lose(self, reason: str) -> None:
        """The process ends, and the loop with it: say so where nothing can be stopped any more."""
        self._forwarding.lose(reason)

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
            await self._runner.run_async(self._forwarding.stop())

    def again(self) -> Forward:
        """One like it, not started yet; it will listen on the same local ports."""
        ports = tuple(port.local for port in self.ports)
        return Forward(self.name, self.parameters, self._access, self._pod_running_timeout, ports)

    def prepare(self) -> None:
        """Connect and resolve, but do not listen yet: that may be another forward's port still.

        Raises:
            KfwdError: why it cannot be; nothing of it is left then.
        """
        self._runner.run(self._forwarding.prepare())

    def start(self) -> None:
        """Connect, resolve, listen. `forward()` calls it.

        Raises:
            KfwdError: why it cannot be; nothing of it is left then.
        """
        self._runner.run(self._forwarding.start())
