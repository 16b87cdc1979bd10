"""Who has a local port: the process, and what can be known of it.

A process that forwards says so where others of its user can read it: in the name of an empty memory
file (memfd_create(2)), which stands in `/proc/PID/fd` for as long as the forward listens. Nothing
of it is left by a process that was killed. Where there is no memfd (outside Linux) the process is
named all the same, only without what it forwards.
"""

from __future__ import annotations

import contextlib
import os
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING

from kfwd_nb.ports import Target

if TYPE_CHECKING:
    import psutil

MARK = "kfwd"
"""How the names of those memory files begin."""

MAX_NAME = 249
"""Octets that the name of a memory file can have (memfd_create(2))."""

MAX_FILES = 10_000
"""Open files of another process that are looked at for a name."""


@dataclass(frozen=True, slots=True)
class Holder:
    """The process that listens on a port.

    Attributes:
        command: the program, in a word.
        relation: `self`, `server` (a parent of ours), or nothing.
        user: whose it is, if it is not ours.
        kernel: it is a kernel of a notebook.
        notebook: path of that notebook, where its server says so.
        folder: where it works.
        forwards: the target in its namespace, if it is a forward that has the port.
    """

    pid: int
    command: str
    relation: str = ""
    user: str = ""
    kernel: bool = False
    notebook: str = ""
    folder: str = ""
    forwards: str = ""

    def __str__(self) -> str:
        if self.relation == "self":
            return "this very process"
        if self.relation == "server":
            return f"{self.command} (pid {self.pid}), the server that this notebook runs in"
        whose = f"of user {self.user}" if self.user else "of yours"
        place = f"in {self.folder}" if self.kernel and self.folder else ""
        facts = (
            f"pid {self.pid}",
            f"notebook {self.notebook}" if self.notebook else place,
            f"forwards {self.forwards}" if self.forwards else "",
        )
        what = f"another kernel {whose}" if self.kernel else self.command
        return f"{what} ({', '.join(filter(None, facts))})"


def holder_of(port: int) -> Holder | None:
    """The process that listens on a port of this machine; None where this user may not know."""
    import psutil

    with contextlib.suppress(psutil.Error, OSError):
        for connection in psutil.net_connections("tcp"):
            listens = connection.status == psutil.CONN_LISTEN and connection.pid
            if listens and connection.laddr and connection.laddr.port == port:
                return _described(psutil.Process(connection.pid), port)
    return None


def _described(process: psutil.Process, port: int) -> Holder:
    import psutil

    words: list[str] = []
    variables: dict[str, str] = {}
    folder = user = ""
    with contextlib.suppress(psutil.Error, OSError):
        words = process.cmdline()
        user = process.username()
        folder = process.cwd()
        variables = process.environ()
    kernel = any("ipykernel" in word for word in words[:3])
    ours = psutil.Process()
    relation = "self" if process.pid == ours.pid else ""
    if any(parent.pid == process.pid for parent in ours.parents()):
        relation = "server"
    return Holder(
        pid=process.pid,
        command=_program(words) or process.name(),
        relation=relation,
        user=user if user != ours.username() else "",
        kernel=kernel,
        notebook=variables.get("JPY_SESSION_NAME", "") if kernel else "",
        folder=folder,
        forwards=_said_by(process.pid, port),
    )


def _program(words: list[str]) -> str:
    """`jupyter-lab` rather than `python3.11`: what an interpreter runs; empty for anything else."""
    if len(words) > 1 and "python" in os.path.basename(words[0]):  # noqa: PTH119 - any OS's path
        if words[1] == "-m" and len(words) > 2:
            return words[2]
        if not words[1].startswith("-"):
            return os.path.basename(words[1])  # noqa: PTH119
    return ""


# -- what a forward says of itself ----------------------------------------------------------------


def say(port: int, target: Target, namespace: str) -> int | None:
    """Let other processes of this user know what has the port.

    Returns:
        A descriptor; closing it ends the message. None where there are no memory files.
    """
    if not hasattr(os, "memfd_create"):
        return None
    name = f"{MARK} {port} {target} in {namespace}".encode()[:MAX_NAME]
    with contextlib.suppress(OSError):
        return os.memfd_create(name.decode(errors="ignore"))
    return None


def _said_by(pid: int, port: int) -> str:
    """The target that a process says it forwards that port to; empty if it says nothing."""
    start = f"/memfd:{MARK} {port} "
    with contextlib.suppress(OSError):
        for descriptor in islice(Path(f"/proc/{pid}/fd").iterdir(), MAX_FILES):
            with contextlib.suppress(OSError):
                name = str(descriptor.readlink())
                if name.startswith(start):
                    return name.removeprefix(start).removesuffix(" (deleted)")
    return ""
