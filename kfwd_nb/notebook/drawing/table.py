"""Forwards and their connections → the rows of a table. Pure: no clock, no IPython, no HTML.

Only where the browser is, and what leads from there to an address, comes from elsewhere
(`client.browser`).

Two tables are equal when a reader would see no news: ages, the time of reading and the picture of
the last minute do not count, so that a forward nobody uses is never shown again.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from functools import partial
from typing import TYPE_CHECKING

from kfwd_nb.client.browser.links import browser
from kfwd_nb.notebook.drawing import rows
from kfwd_nb.notebook.drawing.lines import CopyLine, line_for
from kfwd_nb.notebook.drawing.rows import MAX_CLOSED, MAX_OPEN, ConnectionRow
from kfwd_nb.notebook.drawing.spark import SECONDS, Spark, spark
from kfwd_nb.notebook.drawing.units import Bytes, Rate, clock, cut, date
from kfwd_nb.ports import bracketed

if TYPE_CHECKING:
    from kfwd_nb.client import Forward

MAX_FORWARDS = 32
"""Forwards that one table shows; of all others it gives the number."""

MAX_ROWS = 80
"""Connections that one table shows; many forwards share them, and each has two at the least."""

MAX_PORTS = 16
"""Ports of a forward that are shown, each with its line to copy."""


@dataclass(frozen=True, slots=True)
class AddressCell:
    """A local address, the pod's port behind it, and the line to copy.

    `link` is for the browser: empty where something else than HTTP is spoken, or none is known.
    """

    text: str
    link: str
    remote: str
    line: CopyLine


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
        rest: lines that sum up the connections that have no row; none when all have one.
        spark: what has passed in the minute before the table was read.
        listening: a program can use its lines now.
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
    rest: tuple[str, ...]
    listening: bool
    spark: Spark = field(compare=False)


@dataclass(frozen=True, slots=True)
class Table:
    """What one display shows.

    Attributes:
        note: what the magic that showed it has to say, such as `already forwarding`.
        simulated: one of the forwards leads into a cluster that keeps its pods apart only by name.
        more: forwards that are not shown, because there are so many.
        as_of: local date and time at which the ages were read.
    """

    forwards: tuple[ForwardRow, ...]
    note: str = ""
    simulated: bool = False
    more: int = 0
    as_of: str = field(default="", compare=False)


def build(forwards: Iterable[Forward], now: float, note: str = "") -> Table:
    """Read the state of forwards.

    Args:
        forwards: in the order in which they are to be shown.
        now: seconds since the epoch.
        note: a line above the table.
    """
    forwards = tuple(forwards)
    shown = forwards[:MAX_FORWARDS]
    limit = max(1, MAX_ROWS // (2 * len(shown) or 1))
    as_of = clock(now)
    reading = _Reading(now, as_of, min(limit, MAX_OPEN), min(limit, MAX_CLOSED))
    return Table(
        forwards=tuple(_forward(each, reading) for each in shown),
        note=note,
        simulated=any(each.isolation == "loopback" for each in forwards),
        more=len(forwards) - len(shown),
        as_of=f"{date(now)} {as_of}",
    )


@dataclass(frozen=True, slots=True)
class _Reading:
    """When a table is read, and how many connections it has room for, of each forward."""

    now: float
    as_of: str
    max_open: int
    max_closed: int


def _forward(forward: Forward, reading: _Reading) -> ForwardRow:
    connections = forward.connections(newest=reading.max_open)
    chosen = rows.choose(connections, reading.max_open, reading.max_closed)
    totals = forward.totals
    counts = [f"{totals.open:,} open", f"{totals.opened:,} in all"]
    if totals.failed:
        counts.append(f"{totals.failed:,} failed")
    second = int(reading.now)
    name = "" if forward.name in (forward.target.name, str(forward.target)) else forward.name
    return ForwardRow(
        name=cut(name),
        key=cut(forward.name),
        addresses=address_cells(forward),
        target=str(forward.target),
        context=cut(forward.context),
        namespace=forward.namespace,
        state=forward.state,
        reason=cut(forward.reason),
        dialect=forward.dialect,
        why=cut(forward.dialect_reason),
        connections=", ".join(counts),
        bytes_in=Bytes(totals.bytes_in),
        bytes_out=Bytes(totals.bytes_out),
        rate=rate(forward, reading.now),
        warning=warning(forward),
        failure=rows.last_failure(connections),
        rows=tuple(rows.row(each, reading.now) for each in chosen),
        rest=rows.rest(totals, forward.reasons, chosen),
        listening=forward.state == "listening",
        spark=spark(forward.throughput.seconds(second - SECONDS, second), reading.as_of),
    )


def rate(forward: Forward, now: float) -> Rate:
    """What passes; nothing does where it is stopped."""
    return Rate() if forward.state == "stopped" else Rate(*forward.throughput.rate(now))


def address_cells(forward: Forward) -> tuple[AddressCell, ...]:
    """The local addresses of a forward, each once."""
    cells: dict[tuple[str, str], AddressCell] = {}
    for port in forward.ports[:MAX_PORTS]:
        line = line_for(
            _REACHED_BY.get(port.address, port.address),
            port.local,
            port.remote,
            port.name,
            forward.target.name,
        )
        scheme, _, page = line.link.partition("://") if line.what else ("http", "", "")
        known = partial(browser.known, port, scheme=scheme)
        if line.link:  # what a program here says, and what leads here from the browser, may differ
            line = replace(line, link=known(f"/{page.partition('/')[2]}"))
        cell = AddressCell(
            text=f"{_host(port.address)}:{port.local}",
            link=known() if scheme and forward.state != "stopped" else "",
            remote=str(port.remote),
            line=line,
        )
        cells.setdefault((cell.text, cell.remote), cell)
    return tuple(cells.values())


_LOOPBACK = ("localhost", "127.0.0.1", "::1", "")
_REACHED_BY = {"0.0.0.0": "127.0.0.1", "::": "::1"}  # noqa: S104 - read here, never bound
"""Every address, and the one by which this machine reaches it."""


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
