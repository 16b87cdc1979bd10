"""Forwards → rows of plain values, and what changed between two looks. Pure: no clock, no widget.

Rows go to the browser as JSON. The text in them is text: the browser never takes it for markup.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from kfwd_nb.errors import printable
from kfwd_nb.notebook.drawing.table import address_cells, rate, warning

if TYPE_CHECKING:
    from kfwd_nb.client import Connection, Forward

MAX_ROWS = 1000
"""Connections that the browser gets one by one, the newest of all forwards; it is told how many
there are besides."""

Row = dict[str, Any]


@dataclass(frozen=True, slots=True)
class State:
    """What the browser has, or is to have.

    Attributes:
        forwards: a row for each, by its key, in the order in which they are to be shown.
        connections: a row for each, by its key.
        hidden: connections that have no row any more, or none for there are too many.
    """

    forwards: Mapping[str, Row] = field(default_factory=dict)
    connections: Mapping[str, Row] = field(default_factory=dict)
    hidden: int = 0

    def whole(self) -> dict[str, Any]:
        """For a browser that has nothing yet."""
        return {
            "forwards": list(self.forwards.values()),
            "connections": list(self.connections.values()),
            "hidden": self.hidden,
        }


def standing(forwards: Sequence[Forward]) -> list[Forward]:
    """Those that count: one that was started anew takes the place of its formers."""
    latest: dict[str, Forward] = {}
    for each in forwards:
        if each.name not in latest or latest[each.name].started < each.started:
            latest[each.name] = each
    return [each for each in forwards if latest[each.name] is each]


def read(forwards: Iterable[Forward], now: float) -> State:
    """Look at forwards.

    Args:
        forwards: in the order in which they are to be shown.
        now: seconds since the epoch.
    """
    forwards = list(forwards)
    rows: list[tuple[float, str, Row]] = []
    known = 0
    for forward in forwards:
        known += forward.totals.opened
        for each in forward.connections(newest=MAX_ROWS):
            key = f"{key_of(forward)}/{each.number}"
            rows.append((each.opened, key, _connection(key, key_of(forward), each)))
    newest = sorted(rows, key=lambda each: each[0], reverse=True)[:MAX_ROWS]
    return State(
        forwards={key_of(each): _forward(each, now) for each in forwards},
        connections={key: row for _, key, row in newest},
        hidden=max(0, known - len(newest)),
    )


def difference(old: State, new: State) -> dict[str, Any]:
    """What a browser that has `old` needs to have `new`; empty if that is nothing."""
    changed: dict[str, Any] = {
        "forwards": _changed(old.forwards, new.forwards),
        "connections": _changed(old.connections, new.connections),
        "gone": [key for key in old.connections if key not in new.connections],
    }
    changed = {name: rows for name, rows in changed.items() if rows}
    if list(old.forwards) != list(new.forwards):
        changed["order"] = list(new.forwards)  # and no others
    if old.hidden != new.hidden:
        changed["hidden"] = new.hidden
    return changed


def _changed(old: Mapping[str, Row], new: Mapping[str, Row]) -> Sequence[Row]:
    return [row for key, row in new.items() if old.get(key) != row]


def key_of(forward: Forward) -> str:
    """Names are given anew once a forward is stopped; this stands for one forward only."""
    return f"{forward.name}@{forward.started:.6f}"


def _forward(forward: Forward, now: float) -> Row:
    totals, passes = forward.totals, rate(forward, now)
    return {
        "key": key_of(forward),
        "name": printable(forward.name),
        "target": printable(str(forward.target)),
        "context": printable(forward.context),
        "namespace": printable(forward.namespace),
        "server": printable(forward.server),
        "state": forward.state,
        "reason": printable(forward.reason),
        "dialect": forward.dialect,
        "why": printable(forward.dialect_reason),
        "simulated": forward.isolation == "loopback",
        "addresses": [
            {"text": each.text, "link": each.link, "remote": each.remote}
            for each in address_cells(forward)
        ],
        "warning": warning(forward),
        "open": totals.open,
        "opened": totals.opened,
        "failed": totals.failed,
        "in": totals.bytes_in,
        "out": totals.bytes_out,
        "rateIn": passes.inward,
        "rateOut": passes.outward,
    }


def _connection(key: str, forward: str, connection: Connection) -> Row:
    return {
        "key": key,
        "forward": forward,
        "number": connection.number,
        "peer": connection.peer,
        "local": connection.local,
        "remote": connection.remote,
        "pod": printable(connection.pod),
        "node": printable(connection.node),
        "dialect": connection.dialect,
        "state": "failed" if connection.failed else connection.state,
        "in": connection.bytes_in,
        "out": connection.bytes_out,
        "firstByte": connection.first_byte,
        "opened": connection.opened,
        "closed": connection.closed,
        "reason": printable(connection.reason),
    }
