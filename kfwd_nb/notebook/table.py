"""Forwards and their connections → the rows of a table. Pure: no clock, no IPython, no HTML.

Only where the browser is, and what leads from there to an address, comes from elsewhere
(client.links).

Two tables are equal when a reader would see no news: ages and the time of reading do not count, so
that a forward nobody uses is never shown again.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from time import localtime, strftime
from typing import TYPE_CHECKING

from kfwd_nb.client.links import browser
from kfwd_nb.ports import bracketed

if TYPE_CHECKING:
    from kfwd_nb.client import Connection, Forward

MAX_CONNECTIONS = 12
"""Connections of a forward that are shown one by one, the newest; older ones are summed up."""

UNKNOWN = "-"

STATES = {"waiting": "waits for a pod"}
"""States that want more words; why there is no pod is said once for all, in the forward's line."""


@dataclass(frozen=True, slots=True)
class Bytes:
    """A count of bytes: the exact one, and the one to read."""

    count: int

    def __str__(self) -> str:
        return bytes_text(self.count)


@dataclass(frozen=True, slots=True)
class Rate:
    """Bytes a second, from the pod and to it."""

    inward: float = 0.0
    outward: float = 0.0

    def __str__(self) -> str:
        if not (self.inward or self.outward):
            return "idle"
        return f"in {bytes_text(self.inward)}/s, out {bytes_text(self.outward)}/s"


@dataclass(frozen=True, slots=True)
class AddressCell:
    """A local address, its link for the browser (empty if none is known), and the pod's port."""

    text: str
    link: str
    remote: str


@dataclass(frozen=True, slots=True)
class ConnectionRow:
    """One connection, ready to be shown; see `client.Connection` for what the columns mean."""

    number: int
    peer: str
    pod: str
    node: str
    dialect: str
    state: str
    bytes_in: Bytes
    bytes_out: Bytes
    first_byte: str
    reason: str
    failed: bool
    age: str = field(compare=False)


@dataclass(frozen=True, slots=True)
class ForwardRow:
    """One forward, ready to be shown.

    Attributes:
        name: empty where it is simply the target's.
        key: the name, whatever it is.
        warning: that others can reach it; empty when it listens on the loopback only.
        dialect: the wire to the cluster; empty before it is chosen.
        why: why it is that dialect, in a clause.
        failure: the last connection that failed, and why; empty when none did.
        rest: one line that sums up the connections that have no row; empty when all have one.
    """

    name: str
    key: str
    addresses: tuple[AddressCell, ...]
    target: str
    context: str
    namespace: str
    state: str
    reason: str
    dialect: str
    why: str
    connections: str
    bytes_in: Bytes
    bytes_out: Bytes
    rate: Rate
    warning: str
    failure: str
    rows: tuple[ConnectionRow, ...]
    rest: str


@dataclass(frozen=True, slots=True)
class Table:
    """What one display shows.

    Attributes:
        note: what the magic that showed it has to say, such as `already forwarding`.
        simulated: one of the forwards leads into a cluster that keeps its pods apart only by name.
        as_of: local time at which the ages were read.
    """

    forwards: tuple[ForwardRow, ...]
    note: str = ""
    simulated: bool = False
    as_of: str = field(default="", compare=False)


def build(
    forwards: Iterable[Forward], rates: Mapping[int, Rate], now: float, note: str = ""
) -> Table:
    """Read the state of forwards.

    Args:
        forwards: in the order in which they are to be shown.
        rates: by `id` of the forward; one that is missing counts as idle.
        now: seconds since the epoch.
        note: a line above the table.
    """
    forwards = tuple(forwards)
    return Table(
        forwards=tuple(_forward(each, rates.get(id(each), Rate()), now) for each in forwards),
        note=note,
        simulated=any(each.isolation == "loopback" for each in forwards),
        as_of=strftime("%H:%M:%S", localtime(now)),
    )


def _forward(forward: Forward, rate: Rate, now: float) -> ForwardRow:
    connections = forward.connections()
    newest = sorted(connections, key=lambda each: each.number, reverse=True)[:MAX_CONNECTIONS]
    totals = forward.totals
    counts = [f"{totals.open} open", f"{totals.opened} in all"]
    if totals.failed:
        counts.append(f"{totals.failed} failed")
    return ForwardRow(
        name="" if forward.name in (forward.target.name, str(forward.target)) else forward.name,
        key=forward.name,
        addresses=address_cells(forward),
        target=str(forward.target),
        context=forward.context,
        namespace=forward.namespace,
        state=forward.state,
        reason=forward.reason,
        dialect=forward.dialect,
        why=forward.dialect_reason,
        connections=", ".join(counts),
        bytes_in=Bytes(totals.bytes_in),
        bytes_out=Bytes(totals.bytes_out),
        rate=rate if forward.state != "stopped" else Rate(),
        warning=warning(forward),
        failure=_last_failure(connections),
        rows=tuple(_connection(each, now) for each in newest),
        rest=_rest(forward, newest),
    )


def address_cells(forward: Forward) -> tuple[AddressCell, ...]:
    """The local addresses of a forward, each once."""
    cells: dict[tuple[str, str], AddressCell] = {}
    for port in forward.ports:
        cell = AddressCell(
            text=f"{_host(port.address)}:{port.local}",
            link=browser.known(port),
            remote=str(port.remote),
        )
        cells.setdefault((cell.text, cell.remote), cell)
    return tuple(cells.values())


_LOOPBACK = ("localhost", "127.0.0.1", "::1", "")


def _host(address: str) -> str:
    if address in _LOOPBACK:
        return "localhost"
    return bracketed(address)


def warning(forward: Forward) -> str:
    """That other machines can reach it; empty when it listens on the loopback only."""
    if forward.state == "stopped":
        return ""
    open_to_others = [
        f"{_host(port.address)}:{port.local}"
        for port in forward.ports
        if port.address not in _LOOPBACK and not ipaddress.ip_address(port.address).is_loopback
    ]
    listed = ", ".join(open_to_others)
    return f"warning: other machines can reach {listed}, too" if listed else ""


def _last_failure(connections: Sequence[Connection]) -> str:
    failed = [each for each in connections if each.failed]
    if not failed:
        return ""
    last = max(failed, key=lambda each: each.number)
    return f"last failure: connection {last.number}: {last.reason or 'no reason known'}"


def _connection(connection: Connection, now: float) -> ConnectionRow:
    end = now if connection.closed is None else connection.closed
    return ConnectionRow(
        number=connection.number,
        peer=connection.peer,
        pod=connection.pod or UNKNOWN,
        node=connection.node or UNKNOWN,
        dialect=connection.dialect,
        state="failed" if connection.failed else STATES.get(connection.state, connection.state),
        bytes_in=Bytes(connection.bytes_in),
        bytes_out=Bytes(connection.bytes_out),
        first_byte=UNKNOWN
        if connection.first_byte is None
        else duration_text(connection.first_byte),
        reason=connection.reason,
        failed=connection.failed,
        age=duration_text(max(0.0, end - connection.opened)),
    )


def _rest(forward: Forward, shown: Sequence[Connection]) -> str:
    totals = forward.totals
    hidden = totals.opened - len(shown)
    if hidden <= 0:
        return ""
    still_open = max(0, totals.open - sum(each.closed is None for each in shown))
    inward = max(0, totals.bytes_in - sum(each.bytes_in for each in shown))
    outward = max(0, totals.bytes_out - sum(each.bytes_out for each in shown))
    return (
        f"and {hidden} older: {still_open} open, in {bytes_text(inward)}, out {bytes_text(outward)}"
    )


def bytes_text(count: float) -> str:
    """A number of bytes to read: `0 B`, `512 B`, `1.5 KiB`, `640 MiB`."""
    if count < 1024:
        return f"{count:.0f} B"
    for unit in ("KiB", "MiB", "GiB", "TiB"):
        count /= 1024
        if count < 1000 or unit == "TiB":
            break
    return f"{count:.1f} {unit}" if count < 99.95 else f"{count:.0f} {unit}"


def duration_text(seconds: float) -> str:
    """A time span to read: `3 ms`, `0.4 s`, `12 s`, `3 min 5 s`, `2 h 4 min`, `3 d 1 h`."""
    if seconds < 0.1:
        return f"{seconds * 1000:.1f} ms" if seconds < 0.01 else f"{seconds * 1000:.0f} ms"
    if seconds < 9.95:
        return f"{seconds:.1f} s"
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    size, unit, smaller, name = [span for span in _SPANS if whole >= span[0]][-1]
    first, rest = divmod(whole, size)
    return f"{first} {unit} {rest // smaller} {name}"


_SPANS = ((60, "min", 1, "s"), (3600, "h", 60, "min"), (86400, "d", 3600, "h"))
"""Each unit of a time span above seconds: its seconds, its name, and the unit said beside it."""
