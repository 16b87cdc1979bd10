"""How long a busy cell may keep the interpreter from the thread that pumps.

With Python's 5 ms, a cell in a pure Python loop makes every hop through the thread wait: an echo's
median was 6.9 ms against 0.23 idle. With 0.2 ms it was 0.47 (house.md, decision 2).
"""

from __future__ import annotations

import sys
import threading

WHILE_FORWARDING = 0.0002
"""Seconds; `sys.setswitchinterval` while any forward of this process is open."""


class SwitchInterval:
    """Lowered while at least one holder is there; put back after the last."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._holders = 0
        self._before = 0.0

    def acquire(self) -> None:
        """A forward has opened."""
        with self._lock:
            self._holders += 1
            if self._holders == 1:
                self._before = sys.getswitchinterval()
                sys.setswitchinterval(min(WHILE_FORWARDING, self._before))

    def release(self) -> None:
        """A forward has closed."""
        with self._lock:
            self._holders -= 1
            if self._holders == 0:
                sys.setswitchinterval(self._before)


switch_interval = SwitchInterval()
"""The process's own: the interval belongs to the interpreter."""
