"""The supervisor: `python -m kfwd_nb.cluster --owner PID [options of a cluster]`.

Its owner starts it in a session of its own, so that an interrupt meant for the owner's process
group does not reach it, and reads its events (`cluster.events`).
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import os
import select
import signal
import stat
import sys
import time

from kfwd_nb.cluster import events, options
from kfwd_nb.cluster.folder import ProcessId
from kfwd_nb.cluster.owner import wait_for_end
from kfwd_nb.cluster.supervisor import Supervisor
from kfwd_nb.errors import KfwdError

WRITE_LIMIT = 5.0
"""Seconds that an owner who does not read may hold up an event that it must not miss."""


def emit(event: events.AnyEvent, out: int | None = None) -> None:
    """Write an event to the descriptor `out`, standard output by default.

    An owner that is gone holds nothing up. For one that does not read, progress is left out; other
    events, and what is written in part already, wait for it, at most `WRITE_LIMIT`.
    """
    out = sys.stdout.fileno() if out is None else out
    line = left = memoryview(events.encode(event))
    end = time.monotonic() + WRITE_LIMIT
    with contextlib.suppress(BrokenPipeError):
        while left:
            try:
                left = left[os.write(out, left) :]
            except BlockingIOError:
                may_go = isinstance(event, events.Progress) and len(left) == len(line)
                if may_go or (seconds := end - time.monotonic()) <= 0:
                    return
                select.select([], [out], [], seconds)


async def supervise(wanted: options.Options, owner: ProcessId) -> int:
    """Run a cluster until it fails, its owner ends, or a signal comes; returns an exit status."""
    asked_to_end = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        loop.add_signal_handler(number, asked_to_end.set)
    supervisor = Supervisor(wanted, owner, ProcessId.of(os.getpid()), emit)
    work = asyncio.create_task(supervisor.run())
    reasons = [asyncio.create_task(asked_to_end.wait()), asyncio.create_task(wait_for_end(owner))]
    try:
        await asyncio.wait([work, *reasons], return_when=asyncio.FIRST_COMPLETED)
    finally:
        error = work.exception() if work.done() else None
        for task in (work, *reasons):
            task.cancel()
        await asyncio.gather(work, *reasons, return_exceptions=True)
        await supervisor.close()
    if error is None:
        return 0
    if not isinstance(error, KfwdError):
        raise error
    emit(events.Failed(what=error.what, hint=error.hint or "", kind=type(error).__name__))
    return 1


def main() -> int:
    """The program."""
    parser = argparse.ArgumentParser(prog="python -m kfwd_nb.cluster")
    parser.add_argument("--owner", type=int, required=True, help="PID of the process to live for")
    options.add_arguments(parser)
    given = parser.parse_args()
    if stat.S_ISFIFO(os.fstat(sys.stdout.fileno()).st_mode):
        os.set_blocking(sys.stdout.fileno(), False)
    try:
        return asyncio.run(supervise(options.from_arguments(given), ProcessId.of(given.owner)))
    except KfwdError as error:
        emit(events.Failed(what=error.what, hint=error.hint or "", kind=type(error).__name__))
        return 1


if __name__ == "__main__":
    sys.exit(main())
