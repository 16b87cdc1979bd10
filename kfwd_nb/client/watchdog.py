"""Notices that a cell blocks the loop that a forward runs on, and says what stands still.

Only for `loop="kernel"`: there a blocking call waits for bytes that nobody can move while it waits.
"""

from __future__ import annotations

import asyncio
import sys
import threading
from collections.abc import Callable

from kfwd_nb.protocol.keepalive import LOST_AFTER, PING_AFTER

PERIOD = 1.0
"""Seconds that the loop may take to answer before it counts as blocked."""


class Watchdog:
    """Asks a loop for a sign of life, from a thread of its own, and warns once.

    Args:
        loop: the loop that is watched.
        stands_still: says what hangs, in words, at the moment of the warning.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop, stands_still: Callable[[], str]) -> None:
        self._loop = loop
        self._stands_still = stands_still
        self._stopped = threading.Event()
        self._answered = threading.Event()
        threading.Thread(target=self._watch, name="kfwd-watchdog", daemon=True).start()

    def stop(self) -> None:
        """End the watch."""
        self._stopped.set()
        self._answered.set()

    def _watch(self) -> None:
        while not self._stopped.wait(PERIOD):
            self._answered.clear()
            try:
                self._loop.call_soon_threadsafe(self._answered.set)
            except RuntimeError:
                return  # the loop is closed
            if not self._answered.wait(PERIOD) and not self._stopped.is_set():
                print(self._warning(), file=sys.stderr, flush=True)
                return

    def _warning(self) -> str:
        return (
            f"something blocks the event loop; {self._stands_still()} stands still until it ends, "
            "and a call that waits for that forward waits for ever. Connections that stand still "
            f"for {PING_AFTER + LOST_AFTER:.0f} s are lost.\n"
            'hint: await instead of blocking, or forward with loop="thread".'
        )
