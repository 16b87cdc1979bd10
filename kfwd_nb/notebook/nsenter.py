"""`%kfwd nsenter POD -- COMMAND...`: a command in a pod's network namespace, by its PID.

It is `nsenter -t $PID -n netstat`, typed for you and shown as it was typed.
"""

from __future__ import annotations

import shlex
import shutil
import subprocess
from collections.abc import Sequence
from typing import IO

from kfwd_nb.errors import UnavailableError, UsageError
from kfwd_nb.notebook.results import Entered

MAX_OUTPUT = 256 * 1024
"""Bytes of a command's output that are kept, the last ones."""

SHARED = "loopback isolation: pods share this machine's network, so the command ran as it is"


def command_line(pid: int, isolation: str, command: Sequence[str]) -> list[str]:
    """The words to run: `nsenter` with what the isolation asks for.

    Args:
        pid: a process of the pod, as this machine counts.
        isolation: netns, userns or loopback; in a user namespace nsenter must enter that first,
            and must not try to become root in it (nsenter(1)).
        command: what to run inside.
    """
    if isolation == "loopback":
        return list(command)
    user = ["-U", "--preserve-credentials"] if isolation == "userns" else []
    return ["nsenter", *user, "-t", str(pid), "-n", *command]


def enter(pid: int, isolation: str, command: Sequence[str]) -> Entered:
    """Run the command and wait for it; an interrupt ends it.

    Raises:
        UsageError: there is no such command.
        UnavailableError: this machine has no `nsenter`, or the command could not be started.
    """
    words = command_line(pid, isolation, command)
    if isolation != "loopback" and shutil.which("nsenter") is None:
        raise UnavailableError(
            "this machine has no nsenter.", hint="it comes with util-linux (Linux only)."
        )
    if shutil.which(command[0]) is None:
        raise UsageError(
            f"there is no command '{command[0]}' on this machine.",
            hint="pods use this machine's file system; install it here.",
        )
    try:
        with subprocess.Popen(
            words,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            bufsize=0,
        ) as process:
            try:
                output = _tail(process.stdout)
            except BaseException:
                process.kill()
                raise
    except OSError as error:
        raise UnavailableError(f"{words[0]} could not be started: {error.strerror}.") from None
    note = SHARED if isolation == "loopback" else ""
    return Entered(shlex.join(words), note, output, process.returncode)


def _tail(stream: IO[bytes] | None) -> str:
    """The end of what comes, without keeping the rest."""
    kept = bytearray()
    while stream is not None and (piece := stream.read(1 << 16)):
        kept += piece
        del kept[:-MAX_OUTPUT]
    return kept.decode(errors="replace")
