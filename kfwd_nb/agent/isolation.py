"""Which isolation this user can have on this machine: tried, never guessed from the uid."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import dataclass

from kfwd_nb.agent import podinit
from kfwd_nb.agent.config import Isolation

PROBE_TIMEOUT = 5.0
"""Seconds for one try."""

MEANING: dict[Isolation, str] = {
    "netns": "each pod has namespaces of its own",
    "userns": "each pod has namespaces of its own, inside a user namespace",
    "loopback": "simulated isolation: pods are plain processes with high ports on 127.0.0.1",
}
"""What each isolation means, in a clause for people."""


@dataclass(frozen=True, slots=True)
class Possible:
    """The best isolation that can be had.

    Attributes:
        isolation: what to use.
        reasons: for each better one, why it cannot be had, in the system's words.
    """

    isolation: Isolation
    reasons: dict[Isolation, str]

    @property
    def why(self) -> str:
        """The reasons in one line; empty when the best was possible."""
        return "; ".join(f"{name}: {reason}" for name, reason in self.reasons.items())


def probe() -> Possible:
    """Try `netns`, then `userns`, by making a pod of each kind and ending it again: 30 ms a try."""
    reasons: dict[Isolation, str] = {}
    candidates: tuple[Isolation, ...] = ("netns", "userns")
    for isolation in candidates:
        reason = refusal(isolation)
        if reason is None:
            return Possible(isolation, reasons)
        reasons[isolation] = reason
    return Possible("loopback", reasons)


def refusal(isolation: Isolation) -> str | None:
    """Why pods cannot have this isolation here; None when they can."""
    if isolation == "loopback":
        return None
    if sys.platform != "linux":
        return f"namespaces are Linux's, and this is {sys.platform}"
    command = [sys.executable, "-I", "-S", podinit.__file__, f"--probe={isolation}"]
    try:
        done = subprocess.run(
            command, capture_output=True, text=True, timeout=PROBE_TIMEOUT, check=False
        )
    except subprocess.TimeoutExpired:
        return f"no answer within {PROBE_TIMEOUT:.0f} s"
    if done.returncode == 0:
        return None
    lines = done.stderr.strip().splitlines()
    return lines[-1] if lines else f"status {done.returncode}"
