"""A pod's directory on its node: a log for each container, and what the pod itself may write to.

<scratch>/<pod>-XXXXXXXX/            the node agent's
                        /NAME.log    what container NAME wrote, its end at least
                        /private/    the pod's, KFWD_SCRATCH
"""

from __future__ import annotations

import os
import shutil
import stat
import tempfile
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

MAX_LOG = 1 << 20
"""Bytes of a container's log; beyond it the older half is dropped."""

LAST_LINES = 3
"""Lines that tell why a container died, of at most `LAST_BYTES` bytes together."""

LAST_BYTES = 2048


@dataclass(frozen=True, slots=True)
class PodDirectory:
    """The directory of one pod.

    Attributes:
        path: the whole of it.
        private: what the pod's processes may write to.
        cover: a directory above `private` that some user of the pod could not pass. In the pod's
            own mount namespace `private` is to be mounted over it. None when all can pass.
    """

    path: Path
    private: Path
    cover: Path | None

    @classmethod
    def make(cls, scratch: Path, name: str, users: Iterable[int]) -> PodDirectory:
        """Make it; `users` are those that the pod's containers will really be, besides our own."""
        path = Path(tempfile.mkdtemp(prefix=f"{name[:64]}-", dir=scratch))
        path.chmod(0o711)
        private = path / "private"
        private.mkdir(0o700)
        others = [uid for uid in dict.fromkeys(users) if uid != os.geteuid()]
        if others:
            os.chown(private, others[0], -1)
        if len(others) > 1:
            private.chmod(0o1777)
        return cls(path, private, first_closed(path) if others else None)

    def size(self, container: str) -> int:
        """Bytes in a container's log."""
        try:
            return (self.path / log_name(container)).stat().st_size
        except OSError:
            return 0

    def last_words(self, container: str, start: int) -> str:
        """The last lines that a container has written since its log had `start` bytes."""
        try:
            with (self.path / log_name(container)).open("rb") as log:
                size = log.seek(0, os.SEEK_END)
                log.seek(max(start if start <= size else 0, size - LAST_BYTES))
                lines = log.read(LAST_BYTES).decode(errors="replace").split("\n")
        except OSError:
            return ""
        return "\n".join([line.rstrip() for line in lines if line.strip()][-LAST_LINES:])

    def trim_logs(self) -> None:
        """Shorten every log that has grown beyond `MAX_LOG`; its writers append, and go on."""
        for log in self.path.glob("*.log"):
            if log.stat().st_size > MAX_LOG:
                with log.open("r+b") as file:
                    file.seek(-MAX_LOG // 2, os.SEEK_END)
                    rest = file.read(MAX_LOG // 2)
                    file.truncate(0)
                with log.open("ab") as file:
                    file.write(rest)

    def remove(self) -> None:
        """Remove all of it."""
        shutil.rmtree(self.path, ignore_errors=True)


def log_name(container: str) -> str:
    """The file of a container's output."""
    return f"{container}.log"


def first_closed(path: Path) -> Path | None:
    """The uppermost directory on the way down to `path` that only its owner can pass."""
    for directory in [*reversed(path.resolve().parents), path]:
        if not directory.stat().st_mode & stat.S_IXOTH:
            return directory
    return None


def open_passage(scratch: Path) -> None:
    """Let other users pass, but not list, the pods' directory and the cluster's folder above it.

    For a pod with a user of its own where there is no mount namespace to cover them in. The files
    in it stay closed, each by its own mode.
    """
    for directory in (scratch.parent, scratch):
        facts = directory.stat()
        if facts.st_uid == os.geteuid() and directory != Path(tempfile.gettempdir()):
            directory.chmod(stat.S_IMODE(facts.st_mode) | stat.S_IXOTH)
