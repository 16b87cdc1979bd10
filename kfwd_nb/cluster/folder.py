"""The one folder of a cluster: everything it writes is in there, and is gone when it is gone.

`<XDG_RUNTIME_DIR or TMPDIR>/kfwd-<uid>-<name>/`, 0700, its files 0600. The file `owner` says which
processes it belongs to. A supervisor removes its folder at its end; only one that was killed leaves
it behind, and then the next start of the same user sweeps it away.
"""

from __future__ import annotations

import json
import os
import secrets
import shutil
import tempfile
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

import psutil

from kfwd_nb.errors import ClusterError

OWNER_FILE = "owner"
KUBECONFIG_FILE = "kubeconfig"
PODS_FOLDER = "pods"

NAME_BYTES = 3
"""Random bytes in a cluster's name; a name that is taken is not taken twice."""

CLOCK_STEP = 60.0
"""Seconds by which a process's start time may seem to move when the clock is set. Two processes of
one PID that close together would need all PIDs to be used up in between."""

UNOWNED_AGE = 60.0
"""Seconds after which a folder without a readable owner record counts as left behind."""


@dataclass(frozen=True, slots=True)
class ProcessId:
    """A process that cannot be mistaken for a later one of the same PID.

    Attributes:
        pid: its PID.
        started: seconds since the epoch.
    """

    pid: int
    started: float

    @classmethod
    def of(cls, pid: int) -> ProcessId:
        """The process that has this PID now.

        Raises:
            ClusterError: there is none.
        """
        try:
            return cls(pid, psutil.Process(pid).create_time())
        except psutil.Error as error:
            raise ClusterError(f"there is no process {pid}.") from error

    def alive(self) -> bool:
        """It runs, and it is that process; a zombie does not run any more."""
        try:
            process = psutil.Process(self.pid)
            if process.status() == psutil.STATUS_ZOMBIE:
                return False
            return abs(process.create_time() - self.started) < CLOCK_STEP
        except psutil.NoSuchProcess:
            return False
        except psutil.Error:
            return True


@dataclass(frozen=True, slots=True)
class Folder:
    """A cluster's folder.

    Attributes:
        path: where it is.
        name: the cluster's name, the random part of the path.
    """

    path: Path
    name: str

    @classmethod
    def create(cls, owner: ProcessId, supervisor: ProcessId) -> Folder:
        """Make a new one, owned by these two processes.

        Raises:
            ClusterError: no place to write.
        """
        base = next(iter(bases()))
        try:
            while True:
                name = secrets.token_hex(NAME_BYTES)
                path = base / f"{_prefix()}{name}"
                try:
                    path.mkdir(mode=0o700)
                    break
                except FileExistsError:
                    continue
            folder = cls(path, name)
            record = {"owner": asdict(owner), "supervisor": asdict(supervisor)}
            folder.write(OWNER_FILE, json.dumps(record).encode())
            folder.pods.mkdir(mode=0o700)
        except OSError as error:
            raise ClusterError(
                f"the cluster's folder cannot be made in {base}: {error.strerror}.",
                hint="set TMPDIR to a folder that you may write to.",
            ) from error
        return folder

    @property
    def pods(self) -> Path:
        """Where pods have their scratch folders."""
        return self.path / PODS_FOLDER

    @property
    def kubeconfig(self) -> Path:
        """The kubeconfig of this cluster."""
        return self.path / KUBECONFIG_FILE

    def write(self, name: str, content: bytes) -> Path:
        """Write a file that only this user can read; returns where."""
        return write_private(self.path / name, content)

    def remove(self) -> None:
        """Remove it with all that is in it; what cannot be removed stays for the next sweep."""
        shutil.rmtree(self.path, ignore_errors=True)


def write_private(path: Path, content: bytes) -> Path:
    """Write a file of mode 0600 in one step, so that nobody ever sees a half of it."""
    draft = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(content)
        draft.replace(path)
    except BaseException:
        draft.unlink(missing_ok=True)
        raise
    return path


def bases() -> Iterator[Path]:
    """Where folders of clusters may be, the preferred place first."""
    runtime = os.environ.get("XDG_RUNTIME_DIR", "")
    if runtime and os.access(runtime, os.W_OK | os.X_OK):
        yield Path(runtime)
    yield Path(tempfile.gettempdir())


def sweep() -> list[Path]:
    """Remove what killed supervisors of this user left behind; returns what was removed."""
    swept = []
    for base in bases():
        for path in base.glob(f"{_prefix()}*"):
            if _is_ours(path) and _is_left_behind(path):
                shutil.rmtree(path, ignore_errors=True)
                swept.append(path)
    return swept


def process_of(name: str) -> int | None:
    """The PID of the owner of that cluster, or of its supervisor; None if neither lives."""
    for base in bases():
        path = base / f"{_prefix()}{name}"
        for process in _processes(path) if _is_ours(path) else []:
            if process.alive():
                return process.pid
    return None


def _prefix() -> str:
    return f"kfwd-{os.getuid()}-" if hasattr(os, "getuid") else "kfwd-"


def _is_ours(path: Path) -> bool:
    """A real folder of this very user; in a shared TMPDIR a name alone proves nothing."""
    try:
        status = path.lstat()
    except OSError:
        return False
    return path.is_dir() and not path.is_symlink() and status.st_uid == os.getuid()


def _is_left_behind(path: Path) -> bool:
    """Owner and supervisor are both dead; while one of them lives, it will see to its end."""
    processes = _processes(path)
    if not processes:
        try:
            return time.time() - path.stat().st_mtime > UNOWNED_AGE
        except OSError:
            return False
    return not any(process.alive() for process in processes)


def _processes(path: Path) -> list[ProcessId]:
    """Owner and supervisor of a folder; none if it does not say."""
    try:
        record = json.loads((path / OWNER_FILE).read_bytes())
        return [ProcessId(**record[role]) for role in ("owner", "supervisor")]
    except (OSError, ValueError, KeyError, TypeError):
        return []
