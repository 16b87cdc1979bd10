"""Readiness: is a container to get connections? Asked through the pod's connector.

A container without a readinessProbe is ready when all TCP ports it declares listen. That is read
from the kernel's table where there is one: a connect would use up a server that serves once.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from kfwd_nb.agent.connectors import Connector, Place
from kfwd_nb.agent.httpget import get_status
from kfwd_nb.errors import KfwdError
from kfwd_nb.kube.objects import Container, Probe

FAST_FIRST = 0.02
"""Seconds between the first two looks; a person waits for the first readiness."""

FAST_FACTOR = 1.25
"""By which each further interval grows, up to the probe's period."""

LISTEN_PERIOD = 1.0
"""Seconds between two looks at ports that a container only declares."""

LISTEN = "0A"
"""TCP_LISTEN in the fourth column of /proc/net/tcp (Linux, include/net/tcp_states.h)."""

Report = Callable[[bool, str], None]


def intervals(period: float) -> Iterator[float]:
    """Seconds to wait after each look that found the container not ready yet."""
    interval = FAST_FIRST
    while True:
        yield min(interval, period)
        interval = min(interval * FAST_FACTOR, period)


@dataclass(slots=True)
class Threshold:
    """Readiness from single answers: as many in a row as the probe asks for, to change it."""

    success: int = 1
    failure: int = 1
    ready: bool = False
    _row: int = 0

    def feed(self, success: bool) -> bool:
        """Count one answer; returns the readiness after it."""
        if success == self.ready:
            self._row = 0
            return self.ready
        self._row += 1
        if self._row >= (self.success if success else self.failure):
            self.ready, self._row = success, 0
        return self.ready


class Prober:
    """Watches one container's readiness while it runs."""

    def __init__(self, connector: Connector, pod: Place, container: Container) -> None:
        self._connector = connector
        self._pod = pod
        self._container = container
        self._ports = [p.container_port for p in container.ports if p.protocol == "TCP"]

    async def watch(self, report: Report) -> None:
        """Look again and again, until cancelled; `report` hears of each change, and why not."""
        probe = self._container.readiness_probe
        if probe is None and not self._ports:
            report(True, "")
            return
        if probe is not None:
            await asyncio.sleep(probe.initial_delay_seconds)
        period = max(1.0, probe.period_seconds) if probe is not None else LISTEN_PERIOD
        threshold = Threshold() if probe is None else thresholds(probe)
        waits = intervals(period)
        told: tuple[bool, str] | None = None
        seen = False
        while True:
            why = await self._failure(probe)
            ready = threshold.feed(not why)
            seen = seen or ready
            if told != (news := (ready, "" if ready else why)):
                told = news
                report(*news)
            await asyncio.sleep(period if seen else next(waits))

    async def _failure(self, probe: Probe | None) -> str:
        """Look once; why the container is not ready, empty when it is."""
        if probe is None:
            return await self._not_listening()
        try:
            async with asyncio.timeout(max(1, probe.timeout_seconds)):
                return await self._ask(probe)
        except TimeoutError:
            return f"readiness probe: no answer within {max(1, probe.timeout_seconds)} s"
        except KfwdError as error:
            return f"readiness probe: {error.what}"

    async def _ask(self, probe: Probe) -> str:
        action = probe.http_get or probe.tcp_socket
        if action is None:
            return ""
        port = self._number(action.port)
        if port is None:
            return f'readiness probe: the container has no port named "{action.port}"'
        if probe.http_get is not None and probe.http_get.scheme == "HTTPS":
            return "readiness probe: httpGet with scheme HTTPS cannot be done here"
        stream = await self._connector.open(self._pod, port)
        try:
            if probe.http_get is None:
                return ""
            get = probe.http_get
            status = await get_status(stream, get.path, get.host or f"localhost:{port}")
            return "" if 200 <= status < 400 else f"readiness probe: {get.path} answered {status}"
        finally:
            stream.close()

    def _number(self, port: int | str) -> int | None:
        if isinstance(port, int) or port.isdigit():
            return int(port)
        return next((p.container_port for p in self._container.ports if p.name == port), None)

    async def _not_listening(self) -> str:
        """Which declared ports do not listen, in words."""
        sandbox = self._pod.sandbox
        # On a thread: the kernel walks every socket there is, dead ones too; 12 ms were seen.
        listening = await asyncio.to_thread(listening_ports, sandbox.pid)
        if listening is None:
            return await self._not_connecting()
        closed = [port for port in self._ports if sandbox.ports[port] not in listening]
        return _closed(closed)

    async def _not_connecting(self) -> str:
        for port in self._ports:
            try:
                (await self._connector.open(self._pod, port)).close()
            except KfwdError:
                return _closed([port])
        return ""


def _closed(ports: list[int]) -> str:
    return f"nobody listens on port {', '.join(map(str, ports))} yet" if ports else ""


def thresholds(probe: Probe) -> Threshold:
    """As the probe says; a container begins unready, so only then do successes count."""
    return Threshold(max(1, probe.success_threshold), max(1, probe.failure_threshold))


def listening_ports(pid: int) -> set[int] | None:
    """TCP ports that listen in the network namespace of `pid`; None where the system has no table.

    An ended process has no ports.
    """
    if not Path("/proc/self/net/tcp").exists():
        return None
    ports: set[int] = set()
    for table in ("tcp", "tcp6"):
        try:
            ports |= read_listening(Path(f"/proc/{pid}/net/{table}").read_text())
        except OSError:
            continue
    return ports


def read_listening(table: str) -> set[int]:
    """The listening ports in the text of /proc/net/tcp or tcp6 (proc_pid_net(5))."""
    rows = (line.split() for line in table.splitlines()[1:])
    return {int(row[1].rpartition(":")[2], 16) for row in rows if len(row) > 3 and row[3] == LISTEN}
