"""Connections of one forward → the rows that are shown, and sums of the rest. Pure.

A closed connection stays in sight until `MAX_CLOSED` others have closed after it. It does not go by
the clock: a forward that nobody uses has no news, and so it is never shown again.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from kfwd_nb.notebook.drawing.units import Bytes, bytes_text, cut, duration_text

if TYPE_CHECKING:
    from kfwd_nb.client import Connection
    from kfwd_nb.client.connection import Totals
    from kfwd_nb.client.reasons import Reason

MAX_OPEN = 12
"""Open connections of a forward that are shown one by one, the newest."""

MAX_CLOSED = 8
"""Closed ones that are shown one by one, the last that closed."""

MAX_REASONS = 4
"""Reasons that are summed up by name, of failures and of all other ends each, the most frequent."""

UNKNOWN = "-"

STATES = {"waiting": "waits for a pod"}
"""States that want more words; why there is no pod is said once for all, in the forward's line."""


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
    closed: bool
    age: str = field(compare=False)


def choose(
    connections: Iterable[Connection], open_limit: int = MAX_OPEN, closed_limit: int = MAX_CLOSED
) -> list[Connection]:
    """Those that get a row: the newest that are open, and the last that closed; newest first."""
    still_open: list[Connection] = []
    closed: list[Connection] = []
    for each in connections:
        (still_open if each.closed is None else closed).append(each)
    still_open.sort(key=lambda each: each.number, reverse=True)
    closed.sort(key=lambda each: (each.closed or 0.0, each.number), reverse=True)
    chosen = still_open[:open_limit] + closed[:closed_limit]
    return sorted(chosen, key=lambda each: each.number, reverse=True)


def row(connection: Connection, now: float) -> ConnectionRow:
    """A connection as it is at `now`, seconds since the epoch."""
    end = now if connection.closed is None else connection.closed
    first = connection.first_byte
    return ConnectionRow(
        number=connection.number,
        peer=connection.peer,
        pod=cut(connection.pod) or UNKNOWN,
        node=cut(connection.node) or UNKNOWN,
        dialect=connection.dialect,
        state="failed" if connection.failed else STATES.get(connection.state, connection.state),
        bytes_in=Bytes(connection.bytes_in),
        bytes_out=Bytes(connection.bytes_out),
        first_byte=UNKNOWN if first is None else duration_text(first),
        reason=cut(connection.reason),
        failed=connection.failed,
        closed=connection.closed is not None,
        age=duration_text(max(0.0, end - connection.opened)),
    )


def last_failure(connections: Iterable[Connection]) -> str:
    """The last connection that failed, and why; empty if none did."""
    last = max((each for each in connections if each.failed), key=_number, default=None)
    if last is None:
        return ""
    return cut(f"last failure: connection {last.number}: {last.reason or 'no reason known'}")


def _number(connection: Connection) -> int:
    return connection.number


def rest(
    totals: Totals, reasons: Mapping[Reason, int], shown: Sequence[Connection]
) -> tuple[str, ...]:
    """Lines that sum up the connections without a row; none if there are no such."""
    hidden = totals.opened - len(shown)
    if hidden <= 0:
        return ()
    still_open = max(0, totals.open - sum(each.closed is None for each in shown))
    inward = max(0, totals.bytes_in - sum(each.bytes_in for each in shown))
    outward = max(0, totals.bytes_out - sum(each.bytes_out for each in shown))
    first = (
        f"and {hidden:,} more: {still_open:,} open, "
        f"in {bytes_text(inward)}, out {bytes_text(outward)}"
    )
    return (first, *_by_reason(reasons, shown))


def _by_reason(reasons: Mapping[Reason, int], shown: Sequence[Connection]) -> list[str]:
    from kfwd_nb.client.reasons import OTHER

    left: dict[bool, Counter[str]] = {False: Counter(), True: Counter()}
    for reason, count in reasons.items():
        left[reason.failed][reason.text] += count
    for each in shown:
        if each.closed is not None:
            tally = left[each.failed]
            tally[each.reason if each.reason in tally else OTHER] -= 1
    lines = []
    for failed, word in ((True, "failed"), (False, "closed")):
        counts = [(text, count) for text, count in left[failed].most_common() if count > 0]
        lines += [
            f"{count:,} {word}: {cut(text).rstrip('.') or 'no reason known'}"
            for text, count in counts[:MAX_REASONS]
        ]
        if others := sum(count for _, count in counts[MAX_REASONS:]):
            lines.append(f"{others:,} {word} for yet other reasons")
    return lines
