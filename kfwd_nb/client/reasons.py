"""How many connections ended for which reason: a tally that stays small, whatever peers say."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from kfwd_nb.client.connection import Connection

MAX_REASONS = 24
"""Reasons that are counted one by one, the first that came; all later ones are counted as one."""

OTHER = "other reasons"


@dataclass(frozen=True, slots=True)
class Reason:
    """Why a connection ended: `Connection.reason`, or `OTHER`, and `Connection.failed`."""

    text: str
    failed: bool


class Reasons:
    """Counts the connections that are over. Written by one thread, read by any."""

    def __init__(self) -> None:
        self._counts: Counter[Reason] = Counter()

    def add(self, connection: Connection) -> None:
        """Count a connection that is over."""
        reason = Reason(connection.reason, connection.failed)
        if reason not in self._counts and len(self._counts) >= MAX_REASONS:
            reason = Reason(OTHER, connection.failed)
        self._counts[reason] += 1

    def counts(self) -> dict[Reason, int]:
        """How many ended for each reason, up to now."""
        return dict(self._counts)
