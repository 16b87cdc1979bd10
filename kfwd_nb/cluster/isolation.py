"""The isolation that a cluster uses: what was asked for, or the strongest that works here."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass

from kfwd_nb.agent.config import Isolation
from kfwd_nb.agent.isolation import MEANING, probe, refusal
from kfwd_nb.cluster.options import IsolationChoice
from kfwd_nb.errors import ClusterError


@dataclass(frozen=True, slots=True)
class Chosen:
    """The isolation that a cluster uses.

    Attributes:
        name: which one.
        why_not: why no stronger one; empty if this is the strongest, or what was asked for.
    """

    name: Isolation
    why_not: str = ""

    def __str__(self) -> str:
        line = f"isolation {self.name}: {MEANING[self.name]}"
        if not self.why_not:
            return line
        unasked = "WARNING: " if self.name == "loopback" else ""
        return f"{unasked}{line} ({self.why_not})"


async def choose(choice: IsolationChoice) -> Chosen:
    """Take the isolation that is asked for, or for `auto` the strongest that works here.

    Raises:
        ClusterError: what was asked for does not work here; with the system's words.
    """
    if choice == "auto":
        possible = await asyncio.to_thread(probe)
        return Chosen(possible.isolation, possible.why)
    why_not = await asyncio.to_thread(refusal, choice)
    if why_not is not None:
        raise ClusterError(
            f"isolation {choice} cannot be had here: {why_not}.",
            hint="leave --isolation out, and the strongest that works is taken.",
        )
    return Chosen(choice)
