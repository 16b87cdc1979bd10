"""`--ports-file FILE`: where a script finds out which local ports were taken."""

from __future__ import annotations

import contextlib
import json
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from kfwd_nb.cluster.folder import ProcessId
from kfwd_nb.errors import ClusterError, ConfigError

CLOCK_STEP = 1.0
"""Seconds by which the clocks of processes and of files may differ."""


class PortsFile:
    """A JSON file that is there while its content is true.

    What another run has left there is removed when this one is made, so that a script that waits
    for the file cannot read old ports. It appears complete, by a rename, and is readable by its
    owner only.

    Args:
        path: its place; None for no file at all.

    Raises:
        ConfigError: there is something that is no file, another run's whose process lives, or it
            cannot be removed.
    """

    def __init__(self, path: Path | None) -> None:
        self._path = path
        self._written = ""
        if path is None:
            return
        if path.exists() and not path.is_file():
            raise ConfigError(f"--ports-file {path}: that is no ordinary file.")
        _check_free(path)
        with _explained(path):
            path.unlink(missing_ok=True)

    def write(self, content: dict[str, Any]) -> None:
        """Put the file there.

        Raises:
            ConfigError: it cannot be written.
        """
        path = self._path
        if path is None:
            return
        _check_free(path)
        text = json.dumps(content, indent=2) + "\n"
        with _explained(path):
            descriptor, name = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
            try:
                with os.fdopen(descriptor, "w") as file:
                    file.write(text)
                Path(name).replace(path)
            except BaseException:
                Path(name).unlink(missing_ok=True)
                raise
        self._written = text

    def remove(self) -> None:
        """Take it away; nothing if it is not ours any more."""
        path = self._path
        if path is None or not self._written:
            return
        with contextlib.suppress(OSError, UnicodeError):
            if path.read_text() == self._written:
                path.unlink()


def _check_free(path: Path) -> None:
    """Refuse the file of a run that still lives.

    Raises:
        ConfigError: names its process.
    """
    try:
        owner = ProcessId.of(int(json.loads(path.read_bytes())["pid"]))
        written = path.stat().st_mtime
    except (OSError, ValueError, KeyError, TypeError, ClusterError):
        return
    # A later process may have the PID of one that was killed; it began after the file was written.
    if owner.alive() and owner.started <= written + CLOCK_STEP:
        raise ConfigError(
            f"--ports-file {path}: it is that of a forward that runs (process {owner.pid}).",
            hint="name another file, or end that one first.",
        )


@contextlib.contextmanager
def _explained(path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise ConfigError(f"--ports-file {path}: {error.strerror or error}.") from None
