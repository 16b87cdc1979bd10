"""`MiniCluster`: a cluster that lives no longer than the process that started it."""

from __future__ import annotations

import asyncio
import atexit
import os
import queue
import subprocess
import sys
import threading
import time
from collections import deque
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Self

from kfwd_nb import errors
from kfwd_nb.cluster import events
from kfwd_nb.cluster.faults import Faults
from kfwd_nb.cluster.options import ConnectorChoice, IsolationChoice, Options
from kfwd_nb.errors import ClusterError, KfwdError

START_LIMIT = 120.0
"""Seconds for the whole start. The supervisor has limits of its own for each part of it; this one
is for a supervisor that hangs."""

STOP_LIMIT = 5.0
"""Seconds in which a supervisor ends everything; it needs less than three."""

MAX_NOTES = 100
"""What a cluster said after its start: lines that are kept."""


class MiniCluster:
    """An embedded cluster: relay, node agents and pods, as processes of this machine.

    It is a context manager, sync and async. It ends with `stop`, with the process that started it,
    however that dies, and never later than 3 s after it.

    Args:
        file: manifests (a file or a folder); None for the default ones.
        nodes: how many node agents.
        isolation: how pods are kept apart; `auto` takes the strongest that can be had.
        connector: how agents open ports inside pods: `netns` or `socat`.
        kubeconfig: write the kubeconfig to this path as well; it is removed at the end.
        progress: called with one line for each thing done, on the thread that called `start`.

    Attributes:
        name: the cluster's name.
        kubeconfig: path of its kubeconfig.
        relay: URL of its relay.
        isolation: what `auto` became: netns, userns or loopback.
        pods: NAMESPACE/NAME of its pods, as they were when all were ready.
        ready_after: seconds from `start` to all pods ready.
        phases: seconds that each part of the start took.
        pod_seconds: for each pod, seconds from posting the manifests to ready.
        notes: what it said since, the last `MAX_NOTES` lines; a restarted agent for one.

    Raises:
        UsageError: an argument cannot be.
    """

    def __init__(
        self,
        file: str | Path | None = None,
        *,
        nodes: int = 2,
        isolation: IsolationChoice = "auto",
        connector: ConnectorChoice = "netns",
        kubeconfig: str | Path | None = None,
        progress: Callable[[str], None] | None = None,
    ) -> None:
        self._options = Options(
            Path(file) if file is not None else None,
            nodes,
            isolation,
            connector,
            Path(kubeconfig) if kubeconfig is not None else None,
        )
        self._progress = progress or (lambda _: None)
        self._process: subprocess.Popen[bytes] | None = None
        self._starter = 0
        self._events: queue.SimpleQueue[events.AnyEvent | None] = queue.SimpleQueue()
        self._failure: KfwdError | None = None
        self._over = threading.Event()
        self._given_up = False
        self._words: deque[str] = deque(maxlen=MAX_NOTES)
        self.name = ""
        self.kubeconfig = Path()
        self.relay = ""
        self.isolation = ""
        self.pods: list[str] = []
        self.ready_after = 0.0
        self.phases: dict[str, float] = {}
        self.pod_seconds: dict[str, float] = {}
        self.notes: deque[str] = deque(maxlen=MAX_NOTES)
        self._faults: Faults | None = None

    def __repr__(self) -> str:
        if self._process is None:
            state = "not started"
        elif not self.running:
            state = "failed" if self._failure else "stopped"
        elif not self.name:
            state = "starting"
        else:
            pods = f"{len(self.pods)} pod{'s' * (len(self.pods) != 1)}"
            state = f"running: {pods}, {self.isolation}, {self.relay}"
        return f"<{' '.join(filter(None, ['MiniCluster', self.name]))}, {state}>"

    @property
    def running(self) -> bool:
        """It was started, and has neither been stopped nor ended by itself."""
        return self._process is not None and not self._over.is_set()

    @property
    def faults(self) -> Faults:
        """Breaks parts of it on demand.

        Raises:
            ClusterError: it does not run.
        """
        if self._faults is None or not self.running:
            raise ClusterError("this cluster does not run.")
        return self._faults

    def start(self) -> Self:
        """Start it, and wait until all its pods are ready.

        Raises:
            ConfigError: a manifest or the kubeconfig's path is not valid.
            ClusterError: something did not start, or a pod was not ready in time; says why.
        """
        if self._process is not None:
            raise ClusterError("this cluster was started before.", hint="make a new one.")
        if not hasattr(os, "fork"):
            raise ClusterError(
                "an embedded cluster needs Linux or macOS.",
                hint="forward from a cluster that runs elsewhere: give --kubeconfig.",
            )
        began = time.monotonic()
        self._progress("starting the embedded cluster")
        self._starter = os.getpid()
        command = [sys.executable, "-P", "-m", "kfwd_nb.cluster", "--owner", str(self._starter)]
        self._process = subprocess.Popen(
            [*command, *self._options.arguments()],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        atexit.register(self.stop)
        threading.Thread(target=self._listen, name="kfwd cluster", daemon=True).start()
        try:
            self._check_wanted()
            self._take(self._wait_for_ready(began + START_LIMIT))
            self._check_wanted()
        except BaseException:
            self.stop()
            raise
        self.ready_after = round(time.monotonic() - began, 3)
        return self

    def stop(self) -> None:
        """End it, and wait until nothing of it is left; a second time does nothing."""
        process = self._process
        if process is None or self._starter != os.getpid():  # a fork does not own its parent's
            return
        atexit.unregister(self.stop)
        if self._faults is not None and self.running:
            self._faults.clear()
        _announce(None, self.kubeconfig)
        process.terminate()
        try:
            process.wait(STOP_LIMIT)
        except subprocess.TimeoutExpired:
            process.kill()  # relay and agents see the end of their standard input, and end too
            process.wait()
        self._over.wait(STOP_LIMIT)

    def wait(self, timeout: float | None = None) -> bool:
        """Wait until it ends, at most `timeout` seconds; returns whether it has ended.

        Raises:
            ClusterError: it ended by itself; says why.
        """
        over = self._over.wait(timeout)
        if over and self._failure is not None:
            raise self._failure
        return over

    def __enter__(self) -> Self:
        """Start it."""
        return self.start()

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Stop it."""
        self.stop()

    async def __aenter__(self) -> Self:
        """Start it, without blocking the event loop; a start that is cancelled leaves nothing."""
        starting = asyncio.ensure_future(asyncio.to_thread(self.start))
        try:
            return await asyncio.shield(starting)
        except asyncio.CancelledError:
            # `wait` leaves what it waits for alone when it is itself cancelled, once more.
            await asyncio.wait([starting, asyncio.ensure_future(asyncio.to_thread(self._give_up))])
            if not starting.cancelled():
                starting.exception()  # nobody else will ask for it
            raise

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Stop it, without blocking the event loop."""
        await asyncio.to_thread(self.stop)

    def _give_up(self) -> None:
        """Stop it, wherever `start`, on another thread, may be."""
        self._given_up = True
        self.stop()

    def _check_wanted(self) -> None:
        if self._given_up:
            raise ClusterError("the start of the cluster was cancelled.")

    def _wait_for_ready(self, deadline: float) -> events.Ready:
        while True:
            try:
                event = self._events.get(timeout=max(0.0, deadline - time.monotonic()))
            except queue.Empty:
                raise ClusterError(f"the cluster was not ready within {START_LIMIT:g} s.") from None
            if isinstance(event, events.Ready):
                return event
            if isinstance(event, events.Progress):
                self._progress(event.text)
            else:
                raise self._failure or ClusterError("the cluster ended before it was ready.")

    def _take(self, ready: events.Ready) -> None:
        self.name, self.relay, self.isolation = ready.name, ready.relay, ready.isolation
        self.kubeconfig = Path(ready.kubeconfig)
        self.pods, self.phases, self.pod_seconds = ready.pods, ready.phases, ready.pod_seconds
        assert self._process is not None
        self._faults = Faults(self._process.pid, self.kubeconfig)
        _announce(self.kubeconfig)

    def _listen(self) -> None:
        """Read what the supervisor says, to its end; on a thread, so that its pipe never fills."""
        process = self._process
        if process is None or process.stdout is None:
            return
        started = False
        with process.stdout as lines:
            for line in lines:
                event = events.decode(line)
                if event is None:
                    self._words.append(line.decode(errors="replace").rstrip())
                elif isinstance(event, events.Failed):
                    kind = getattr(errors, event.kind, ClusterError)
                    self._failure = kind(event.what, hint=event.hint or None)
                elif started and isinstance(event, events.Progress):
                    self.notes.append(event.text)
                else:
                    started = started or isinstance(event, events.Ready)
                    self._events.put(event)
        if process.wait() != 0 and self._failure is None:
            words = f": {self._words[-1]}" if self._words else ""
            self._failure = ClusterError(f"the cluster's supervisor ended by itself{words}.")
        self._over.set()
        self._events.put(None)


def _announce(path: Path | None, instead_of: Path | None = None) -> None:
    """Make it the cluster that this process uses, or with None no longer, if it still is."""
    from kfwd_nb.kube import kubeconfig

    if path is not None or kubeconfig.announced() == instead_of:
        kubeconfig.announce(path)
