"""How the pods of this machine are kept apart: tried, never guessed from the uid, always said."""

from __future__ import annotations

import asyncio
import sys
from dataclasses import dataclass
from pathlib import Path

from kfwd_nb.agent import podinit
from kfwd_nb.agent.config import Isolation
from kfwd_nb.cluster.options import IsolationChoice
from kfwd_nb.errors import ClusterError

MEANING: dict[Isolation, str] = {
    "netns": "every pod has its own network, processes and host name",
    "userns": "every pod has its own network, processes and host name, as an ordinary user",
    "loopback": "simulated isolation, pods are plain processes on free ports of 127.0.0.1",
}
"""What each isolation means, in words that go after its name."""

STRONGEST_FIRST: tuple[Isolation, ...] = ("netns", "userns")
"""What `auto` tries; loopback is what remains."""

TRIAL_LIMIT = 5.0
"""Seconds that a trial may take."""


@dataclass(frozen=True, slots=True)
class Chosen:
    """The isolation that a cluster uses.

    Attributes:
        name: which one.
        why_not: why no stronger one can be had; empty if this is the strongest.
    """

    name: Isolation
    why_not: str = ""

    def __str__(self) -> str:
        why = f" ({self.why_not})" if self.why_not else ""
        return f"isolation {self.name}: {MEANING[self.name]}{why}"


async def choose(choice: IsolationChoice) -> Chosen:
    """Take the isolation that is asked for, or for `auto` the strongest that works here.

    Raises:
        ClusterError: what was asked for does not work here; with the system's words.
    """
    if choice == "loopback":
        return Chosen("loopback", "as asked for")
    reasons: list[str] = []
    for isolation in STRONGEST_FIRST if choice == "auto" else (choice,):
        why_not = await trial(isolation)
        if not why_not:
            return Chosen(isolation, "; ".join(reasons))
        reasons.append(f"no {isolation}: {why_not}")
    if choice != "auto":
        raise ClusterError(
            f"there can be {reasons[0]}.",
            hint="leave --isolation out, and the strongest that can be had is taken.",
        )
    return Chosen("loopback", "; ".join(reasons))


async def trial(isolation: Isolation) -> str:
    """Make the namespaces of a pod in a process that ends at once; returns why that failed."""
    program = Path(podinit.__file__)
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-I", "-S", str(program), f"--probe={isolation}"),
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.PIPE,
    )
    try:
        async with asyncio.timeout(TRIAL_LIMIT):
            _, words = await process.communicate()
    except TimeoutError:
        process.kill()
        return f"no answer within {TRIAL_LIMIT:g} s"
    lines = words.decode(errors="replace").strip().splitlines()
    return "" if process.returncode == 0 else (lines or ["it failed"])[-1]
