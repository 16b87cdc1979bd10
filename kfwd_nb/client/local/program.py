"""Which program of our own user has the other end of a local connection, where the system tells.

The kernel tells the number of the program's socket (`client.local.half_close`). Who has it open is
read in `/proc/PID/fd`, once for each connection. Of other users' programs nothing is said, nor of a
socket that several programs share.
"""

from __future__ import annotations

import os
from collections.abc import Collection, Iterator
from contextlib import suppress
from itertools import islice
from pathlib import Path

OURSELVES = "this kernel"

MAX_PROCESSES = 2_000
"""Processes of our user that are looked at."""

MAX_FILES = 10_000
"""Open files of one process that are looked at."""


def programs(inodes: Collection[int]) -> dict[int, str]:
    """The names of the programs that have those sockets open; without those that nobody tells."""
    wanted = {f"socket:[{inode}]": inode for inode in inodes}
    found = dict.fromkeys(_open_in(Path("/proc/self"), wanted), OURSELVES)
    if len(found) == len(wanted):
        return found
    names: dict[int, set[str]] = {}
    for process in islice(_own_processes(), MAX_PROCESSES):
        for inode in _open_in(process, wanted):
            names.setdefault(inode, set()).add(_name(process))
    return {inode: min(each) for inode, each in names.items() if len(each) == 1} | found


def _own_processes() -> Iterator[Path]:
    for process in Path("/proc").iterdir():
        with suppress(OSError):  # it has ended
            if process.name.isdigit() and process.stat().st_uid == os.geteuid():
                yield process


def _open_in(process: Path, wanted: dict[str, int]) -> set[int]:
    """Which of the sockets a process has."""
    found = set()
    with suppress(OSError):
        for descriptor in islice((process / "fd").iterdir(), MAX_FILES):
            with suppress(OSError):
                found.add(wanted.get(str(descriptor.readlink()), 0))
    return found - {0}


def _name(process: Path) -> str:
    with suppress(OSError):
        return (process / "comm").read_text(errors="replace").strip()
    return ""
