"""A process of the cluster: the relay, or the agent of a node.

Its standard input is its lifeline: it ends when that ends, so nothing is left when the supervisor
is killed. Its first line on standard output says that it is ready; what it writes on standard error
is kept for the moment when it fails.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
from asyncio.subprocess import PIPE, Process
from collections.abc import Sequence
from typing import Any

from kfwd_nb.errors import ClusterError

START_LIMIT = 20.0
"""Seconds in which a process must say that it listens."""

END_GRACE = 1.5
"""Seconds between SIGTERM and SIGKILL; agents end their pods in this time."""

LAST_WORDS = 4096
"""Bytes of a process's standard error that are kept."""


class Child:
    """One process.

    Attributes:
        name: how messages name it.
        said: its first line, a JSON object.
    """

    def __init__(self, name: str, process: Process) -> None:
        self.name = name
        self.said: dict[str, Any] = {}
        self._process = process
        self._words = bytearray()
        self._readers: list[asyncio.Task[None]] = []

    @classmethod
    async def start(cls, name: str, command: Sequence[str]) -> Child:
        """Start it and wait for its first line.

        Raises:
            ClusterError: it ended, or said nothing within `START_LIMIT`; with its last words.
        """
        process = await asyncio.create_subprocess_exec(
            *command, stdin=PIPE, stdout=PIPE, stderr=PIPE
        )
        child = cls(name, process)
        try:
            await child._listen()
        except BaseException:
            await child.stop(grace=0)
            raise
        return child

    @property
    def pid(self) -> int:
        """Its PID."""
        return self._process.pid

    @property
    def last_words(self) -> str:
        """The last line that it wrote on standard error."""
        lines = self._words.decode(errors="replace").strip().splitlines()
        return lines[-1].strip() if lines else ""

    async def ended(self) -> str:
        """Wait for its end, and say how it ended."""
        code = await self._process.wait()
        await self._finish_reading()
        how = f"signal {-code}" if code < 0 else f"exit code {code}"
        return f"{self.name} ended ({how}{f': {self.last_words}' if self.last_words else ''})"

    async def stop(self, grace: float = END_GRACE) -> None:
        """End it: its standard input and SIGTERM, then after `grace` seconds SIGKILL."""
        process = self._process
        with contextlib.suppress(ProcessLookupError):
            if process.stdin is not None:
                process.stdin.close()
            if grace:
                process.terminate()
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(process.wait(), grace)
            if process.returncode is None:
                process.kill()
        await process.wait()
        await self._finish_reading()

    async def _listen(self) -> None:
        stdout, stderr = self._process.stdout, self._process.stderr
        if stdout is None or stderr is None:
            raise ClusterError(f"{self.name} has no pipes.")
        self._readers.append(asyncio.create_task(self._keep(stderr)))
        try:
            async with asyncio.timeout(START_LIMIT):
                line = await stdout.readline()
                try:
                    self.said = dict(json.loads(line))
                except (ValueError, TypeError):
                    how = await self.ended()
                    raise ClusterError(f"the {how}, before it was ready.") from None
        except TimeoutError:
            raise ClusterError(f"{self.name} was not ready within {START_LIMIT:g} s.") from None
        self._readers.append(asyncio.create_task(self._drop(stdout)))

    async def _keep(self, stream: asyncio.StreamReader) -> None:
        while chunk := await stream.read(LAST_WORDS):
            self._words += chunk
            del self._words[:-LAST_WORDS]

    async def _drop(self, stream: asyncio.StreamReader) -> None:
        while await stream.read(LAST_WORDS):
            pass

    async def _finish_reading(self) -> None:
        """Read what is still in the pipes; a grandchild may hold them open, so not for long."""
        if self._readers:
            await asyncio.wait(self._readers, timeout=0.1)
        for reader in self._readers:
            reader.cancel()
        await asyncio.gather(*self._readers, return_exceptions=True)
        self._readers.clear()
