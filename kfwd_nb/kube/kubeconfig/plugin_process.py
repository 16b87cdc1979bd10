"""One run of an exec plugin's program.

It writes into files that have no name (in memory, on Linux), which are looked at while it runs: a
browser that it has opened may hold its outputs for hours, and nobody waits for that.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import subprocess
import tempfile
import time
from collections.abc import Callable, Mapping
from typing import IO

from kfwd_nb.errors import ConfigError
from kfwd_nb.kube.kubeconfig.credentials import Notice
from kfwd_nb.kube.waiting import TELL_EVERY

RUN_LIMIT = 300.0
"""Seconds that a plugin may take: a person may have to type a code in a browser."""

LOOK_EVERY = 0.02
"""Seconds between two looks at a running plugin."""

END_GRACE = 1.0
"""Seconds from SIGTERM to SIGKILL."""

MAX_OUTPUT = 1 << 20
"""Octets that a plugin may write to stdout; a token has some thousand."""

MAX_STDERR = 1 << 20
"""Octets that a plugin may write to stderr."""

MAX_LINES = 200
"""Lines of stderr that are shown and kept; later ones push out the first."""

MAX_LINE = 2000
"""Characters of one line."""


class PluginProcess:
    """Starts a program, listens to it, and leaves nothing of it behind if the wait is cancelled."""

    def __init__(self, path: str, args: tuple[str, ...], environment: Mapping[str, str]) -> None:
        self._command = [path, *args]
        self._environment = dict(environment)
        self._rest = b""
        self._offset = 0
        self._said: list[str] = []

    async def run(
        self, notice: Notice, runs: Callable[[], None] = lambda: None
    ) -> tuple[int, bytes, list[str]]:
        """Run it to its end.

        Args:
            notice: told each line of stderr.
            runs: called every `TELL_EVERY` seconds until then.

        Returns:
            Exit code (negative: the signal), stdout, and the last lines of stderr.

        Raises:
            ConfigError: it cannot be started, takes longer than `RUN_LIMIT`, or writes too much.
        """
        with _spool() as output, _spool() as errors:
            process = self._start(output, errors)
            try:
                await self._wait(process, output, errors, notice, runs)
            finally:
                if process.poll() is None:
                    await asyncio.shield(_end(process))
            self._hear(errors, notice, last=True)
            output.seek(0)
            return process.returncode, output.read(MAX_OUTPUT), self._said

    def _start(self, output: IO[bytes], errors: IO[bytes]) -> subprocess.Popen[bytes]:
        try:
            return subprocess.Popen(
                self._command,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=errors,
                env=self._environment,
                start_new_session=True,
            )
        except (OSError, ValueError) as error:
            raise ConfigError(
                f"the exec plugin {self._command[0]} cannot be started: {error}."
            ) from None

    async def _wait(
        self,
        process: subprocess.Popen[bytes],
        output: IO[bytes],
        errors: IO[bytes],
        notice: Notice,
        runs: Callable[[], None],
    ) -> None:
        began = time.monotonic()
        limit, tell = began + RUN_LIMIT, began + TELL_EVERY
        while process.poll() is None:
            self._hear(errors, notice)
            now = time.monotonic()
            if now >= tell:
                runs()
                tell = now + TELL_EVERY
            if now > limit:
                raise self._failure(f"did not end in {RUN_LIMIT:.0f} s")
            if os.fstat(output.fileno()).st_size > MAX_OUTPUT:
                raise self._failure(f"wrote more than {MAX_OUTPUT} octets")
            if os.fstat(errors.fileno()).st_size > MAX_STDERR:
                raise self._failure(f"wrote more than {MAX_STDERR} octets to stderr")
            await asyncio.sleep(LOOK_EVERY)
        if os.fstat(output.fileno()).st_size > MAX_OUTPUT:
            raise self._failure(f"wrote more than {MAX_OUTPUT} octets")

    def _failure(self, what: str) -> ConfigError:
        told = "".join(f"\n  {line}" for line in self._said[-5:])
        return ConfigError(
            f"the exec plugin {self._command[0]} {what}, and was ended.{told}",
            hint="run it in a terminal to see what it waits for.",
        )

    def _hear(self, errors: IO[bytes], notice: Notice, *, last: bool = False) -> None:
        """Tell the lines that stand whole in the file; its writer shares its position with us."""
        if hasattr(os, "pread"):
            data = os.pread(errors.fileno(), MAX_STDERR, self._offset)
            self._offset += len(data)
        elif last:
            errors.seek(0)
            data = errors.read(MAX_STDERR)
        else:  # Windows: a look would move the writer
            return
        *lines, self._rest = (self._rest + data).split(b"\n")
        if last and self._rest:
            lines.append(self._rest)
        for raw in lines:
            line = raw.decode(errors="replace").rstrip("\r")[:MAX_LINE]
            self._said = [*self._said[1 - MAX_LINES :], line]
            notice(line)


async def _end(process: subprocess.Popen[bytes]) -> None:
    """End the program and all that it has started: it is the leader of its own session."""
    for number in (signal.SIGTERM, getattr(signal, "SIGKILL", signal.SIGTERM)):
        with contextlib.suppress(ProcessLookupError, PermissionError):
            if hasattr(os, "killpg"):
                os.killpg(process.pid, number)
            else:
                process.send_signal(number)
        limit = time.monotonic() + END_GRACE
        while process.poll() is None and time.monotonic() < limit:  # noqa: ASYNC110 - no event
            await asyncio.sleep(LOOK_EVERY)


def _spool() -> IO[bytes]:
    if hasattr(os, "memfd_create"):
        return os.fdopen(os.memfd_create("kfwd"), "w+b", buffering=0)
    return tempfile.TemporaryFile(buffering=0)
