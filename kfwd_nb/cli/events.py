"""What happens to a forward, as events: found by looking at it, for lines and for JSON.

A look compares what there is with what was seen before, so one event may stand for several changes
in between; connections that came and went unseen (more than `client.forward.MAX_CLOSED` between two
looks) are counted in one event `missed`.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from kfwd_nb.client import Connection, Forward, ForwardedPort


@dataclass(frozen=True, slots=True)
class Event:
    """Something that happened.

    Attributes:
        name: `listening`, `opened`, `pod`, `waiting`, `closed`, `missed`, `trouble`, `recovered` or
            `stopped`.
        facts: what there is to know of it; keys as in JSON.
        connection: the connection, for those that are about one.
        at: when it happened, in seconds since the epoch; None for when it is told.
    """

    name: str
    facts: dict[str, Any]
    connection: Connection | None = field(default=None, compare=False)
    at: float | None = field(default=None, compare=False)


def listening(forward: Forward) -> Event:
    """All its ports listen."""
    return Event("listening", description(forward))


def stopped(forward: Forward) -> Event:
    """It is over."""
    return Event("stopped", {"reason": forward.reason})


def description(forward: Forward) -> dict[str, Any]:
    """What a forward is."""
    return {
        "target": str(forward.target),
        "namespace": forward.namespace,
        "context": forward.context,
        "server": forward.server,
        "dialect": forward.dialect,
        "dialectReason": forward.dialect_reason,
        "ports": [_port(each) for each in forward.ports],
    }


def _port(port: ForwardedPort) -> dict[str, Any]:
    return {"addresses": list(port.addresses), "local": port.local, "remote": port.remote}


class Watcher:
    """Compares a forward with what it was at the last look."""

    def __init__(self) -> None:
        self._last = 0
        self._open: dict[int, tuple[str, str]] = {}
        self._trouble = ""

    def look(self, connections: Iterable[Connection], trouble: str = "") -> Iterator[Event]:
        """What is new.

        Args:
            connections: those that are open, and the last ones that were, by number.
            trouble: what is wrong with the forward as a whole; empty while all is well.
        """
        known = list(connections)
        numbers = {each.number for each in known}
        # Others closed, and are forgotten already.
        self._open = {number: seen for number, seen in self._open.items() if number in numbers}
        for each in known:
            if each.number > self._last:
                yield from self._opened(each)
            if each.number in self._open:
                yield from self._changed(each)
        if trouble != self._trouble:
            self._trouble = trouble
            yield Event("trouble", {"reason": trouble}) if trouble else Event("recovered", {})

    def _opened(self, connection: Connection) -> Iterator[Event]:
        missed = connection.number - self._last - 1
        if missed:
            yield Event("missed", {"connections": missed})
        self._last = connection.number
        self._open[connection.number] = ("", "")
        facts = _named(connection) | {
            "peer": connection.peer,
            "local": connection.local,
            "remote": connection.remote,
        }
        yield Event("opened", facts, connection, connection.opened)

    def _changed(self, connection: Connection) -> Iterator[Event]:
        number = connection.number
        pod, state = self._open[number]
        if connection.state == "waiting" != state:
            yield Event("waiting", _named(connection), connection)
        if connection.pod and connection.pod != pod:
            facts = {
                "pod": connection.pod,
                "node": connection.node,
                "port": connection.remote,
                "dialect": connection.dialect,
            }
            yield Event("pod", _named(connection) | facts, connection)
        self._open[number] = (connection.pod, connection.state)
        if connection.closed is not None:
            del self._open[number]
            facts = _named(connection) | _end(connection)
            yield Event("closed", facts, connection, connection.closed)


def _named(connection: Connection) -> dict[str, Any]:
    return {"connection": connection.number}


def _end(connection: Connection) -> dict[str, Any]:
    closed = connection.opened if connection.closed is None else connection.closed
    return {
        "failed": connection.failed,
        "reason": connection.reason,
        "bytesIn": connection.bytes_in,
        "bytesOut": connection.bytes_out,
        "seconds": round(max(0.0, closed - connection.opened), 3),
        "firstByteSeconds": None
        if connection.first_byte is None
        else round(connection.first_byte, 6),
    }
