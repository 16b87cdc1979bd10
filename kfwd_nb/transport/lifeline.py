"""The lifeline of a process of the cluster: whose standard input ends, or who gets a signal, ends.

The other end of its standard input is its supervisor's, so it does not outlive that one, however it
died.
"""

from __future__ import annotations

import asyncio
import os
import signal
import threading
from contextlib import suppress

STDIN = 0


def end_by_signal() -> asyncio.Future[None]:
    """Done when SIGTERM or SIGINT comes: for a process that a person or an init system starts."""
    loop = asyncio.get_running_loop()
    ending: asyncio.Future[None] = loop.create_future()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, _end, ending)
    return ending


def end_of_service() -> asyncio.Future[None]:
    """Done when standard input ends, or SIGTERM or SIGINT comes."""
    loop = asyncio.get_running_loop()
    ending = end_by_signal()

    def read() -> None:
        """On a thread, for standard input may be anything, a file too."""
        with suppress(OSError):
            while os.read(STDIN, 4096):
                pass
        with suppress(RuntimeError):  # the loop has ended before
            loop.call_soon_threadsafe(_end, ending)

    threading.Thread(target=read, name="stdin", daemon=True).start()
    return ending


def _end(ending: asyncio.Future[None]) -> None:
    if not ending.done():
        ending.set_result(None)


def end_within(seconds: float) -> None:
    """End this process, with status 1, if it still is there after so many seconds.

    The second net below a close that is in order: a loop that is stuck must not make an orphan.
    """
    last_resort = threading.Timer(seconds, os._exit, (1,))
    last_resort.daemon = True
    last_resort.start()
