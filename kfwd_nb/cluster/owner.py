"""Watches the process that a cluster belongs to.

Not by a parent-death signal, which fires when the *thread* that started the child ends, and not by
a pipe alone, which processes forked by a cell hold open.
"""

from __future__ import annotations

import asyncio
import os

from kfwd_nb.cluster.folder import ProcessId

POLL = 0.25
"""Seconds between two looks at the owner, where the system has no pidfd."""


async def wait_for_end(owner: ProcessId) -> None:
    """Return when that process has ended; at once if it is not there any more."""
    try:
        descriptor = os.pidfd_open(owner.pid)
    except (AttributeError, OSError):
        await _poll(owner)
        return
    try:
        if owner.alive():
            await _readable(descriptor)
    finally:
        os.close(descriptor)


async def _readable(descriptor: int) -> None:
    """A pidfd turns readable when its process ends (pidfd_open(2))."""
    loop = asyncio.get_running_loop()
    ended = asyncio.Event()
    loop.add_reader(descriptor, ended.set)
    try:
        await ended.wait()
    finally:
        loop.remove_reader(descriptor)


async def _poll(owner: ProcessId) -> None:
    while owner.alive():  # noqa: ASYNC110 - nobody tells us, that is why we look
        await asyncio.sleep(POLL)
