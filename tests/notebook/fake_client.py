"""Stands in for `kfwd_nb.client`: forwards that are moved by hand. Needs no cluster."""

from __future__ import annotations

import itertools
import time
from collections import Counter
from dataclasses import dataclass, field

from kfwd_nb.client.connection import Connection, Totals
from kfwd_nb.client.reasons import Reason
from kfwd_nb.client.throughput import Throughput
from kfwd_nb.errors import NotFoundError
from kfwd_nb.kube.waiting import Waiting
from kfwd_nb.ports import Target, parse_port, parse_target

_ports = itertools.count(40001)


@dataclass
class Port:
    address: str
    local: int
    remote: int | str
    protocol: str = "TCP"
    name: str = ""


@dataclass(eq=False)
class Forward:
    target: Target
    ports: tuple[Port, ...]
    name: str
    namespace: str = "default"
    context: str = "test"
    server: str = "https://127.0.0.1:6443"
    dialect: str = "connect"
    dialect_reason: str = "the server is a kfwd relay"
    state: str = "listening"
    reason: str = ""
    isolation: str = "netns"
    embedded: bool = True
    revision: int = 0
    parameters: tuple = ()
    throughput: Throughput = field(default_factory=Throughput)
    replaced: str = ""
    held: list[Connection] = field(default_factory=list)
    forgotten: Totals = field(default_factory=Totals)
    forgotten_reasons: Counter[Reason] = field(default_factory=Counter)

    @property
    def described(self) -> str:
        ways = ", ".join(f"{each.address}:{each.local} -> {each.remote}" for each in self.ports)
        return f"{self.target} {ways}"

    @property
    def local_port(self) -> int:
        return self.ports[0].local

    @property
    def totals(self) -> Totals:
        old = self.forgotten
        return Totals(
            opened=old.opened + len(self.held),
            open=old.open + sum(each.closed is None for each in self.held),
            failed=old.failed + sum(each.failed for each in self.held),
            bytes_in=old.bytes_in + sum(each.bytes_in for each in self.held),
            bytes_out=old.bytes_out + sum(each.bytes_out for each in self.held),
        )

    @property
    def reasons(self) -> dict[Reason, int]:
        over = (each for each in self.held if each.closed is not None)
        return self.forgotten_reasons + Counter(Reason(each.reason, each.failed) for each in over)

    def connections(self, newest: int | None = None) -> list[Connection]:
        still_open = [each for each in self.held if each.closed is None]
        closed = [each for each in self.held if each.closed is not None]
        if newest is not None:
            still_open = still_open[max(0, len(still_open) - newest) :]
        both = still_open + closed[-200:]
        return sorted(both, key=lambda each: each.number)

    def connect(self, **facts: object) -> Connection:
        number = self.forgotten.opened + len(self.held) + 1
        local, remote = self.ports[0].local, 80
        facts = {"opened": time.time(), "pod": "default/web", "node": "node-1"} | facts
        connection = Connection(number, f"127.0.0.1:{50000 + number}", local, remote, **facts)
        self.held.append(connection)
        self.revision += 1
        return connection

    def move(self, inward: int = 0, outward: int = 0) -> None:
        self.held[-1].bytes_in += inward
        self.held[-1].bytes_out += outward
        self.throughput.add(time.time(), inward, outward)
        self.revision += 1

    def stop(self, reason: str = "") -> None:
        self.state, self.reason = "stopped", reason
        self.revision += 1
        if self in _running:
            _running.remove(self)


Forward.__module__ = "kfwd_nb.client.forward"

_running: list[Forward] = []


def make(target: str = "web", *ports: str, name: str = "", **facts: object) -> Forward:
    specs = [parse_port(each) for each in ports or (":80",)]
    made = [Port("127.0.0.1", each.local or next(_ports), each.remote) for each in specs]
    return Forward(parse_target(target), tuple(made), name or target, **facts)


def forward_or_existing(target: str, *ports: str, name: str | None = None, **options: object):
    if target.endswith("/gone"):
        raise NotFoundError('pod "gone" not found in namespace "default".', hint="no such luck.")
    options.pop("notice", None)
    waits = options.pop("waits", None)
    if target.endswith("late"):
        now = time.time()
        waits(Waiting(f"{parse_target(target)} to run", "it is created", now - 2, now + 58))
    parameters = (target, ports, tuple(sorted(options.items(), key=repr)))
    outcome, replaced = "started", ""
    for each in forwards():
        if each.parameters == parameters and name in (None, each.name):
            return each, "already"
        if each.name == name:
            each.stop()
            outcome, replaced = "replaced", f"{each.name} ({each.described})"
    forward = make(target, *ports, name=name or target)
    forward.parameters, forward.replaced = parameters, replaced
    _running.append(forward)
    return forward, outcome


def forwards() -> list[Forward]:
    return list(_running)


def install() -> None:
    """Take the real client's place in this process."""
    from kfwd_nb import client

    for name in ("forward_or_existing", "forwards"):
        setattr(client, name, globals()[name])
