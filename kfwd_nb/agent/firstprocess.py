"""The node agent's side of a pod's first process (`podinit`): starts it and speaks to it."""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
import sys
from collections.abc import Callable, Mapping

from kfwd_nb.agent import podinit
from kfwd_nb.agent.runtime import SandboxError, StartError

END_TIMEOUT = 0.5
"""Seconds for a pod's first process to end all others before it is killed itself."""

MAX_FRAME = 1 << 16
"""Bytes of one frame from a pod's first process."""


class FirstProcess:
    """One `podinit` program.

    Args:
        exited: called with a container's name and its exit status, negative for a signal.
        over: called once, when the program has ended and with it the pod.

    Attributes:
        pid: of the process that holds the pod's namespaces; 0 before there is one.
        note: what the pod could not get, empty if it got all.
    """

    def __init__(self, exited: Callable[[str, int], None], over: Callable[[], None]) -> None:
        self.pid = 0
        self.note = ""
        self._exited = exited
        self._over = over
        self._process: asyncio.subprocess.Process | None = None
        self._writer: asyncio.StreamWriter | None = None
        self._listening: asyncio.Task[None] | None = None
        self._ready: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._starting: dict[str, asyncio.Future[None]] = {}

    async def spawn(self, options: Mapping[str, str]) -> None:
        """Start the program and wait until the pod is made.

        Raises:
            SandboxError: the system refuses; the text says what.
            OSError: the program itself cannot be started.
        """
        ours, theirs = socket.socketpair()
        with theirs:
            words = [*(f"--{k}={v}" for k, v in options.items()), f"--channel={theirs.fileno()}"]
            try:
                self._process = await asyncio.create_subprocess_exec(
                    *(sys.executable, "-I", "-S", podinit.__file__, *words),
                    stdin=asyncio.subprocess.DEVNULL,
                    stdout=asyncio.subprocess.DEVNULL,
                    pass_fds=[theirs.fileno()],
                    start_new_session=True,
                    env={"PATH": os.environ.get("PATH", os.defpath)},
                )
            except BaseException:
                ours.close()
                raise
        reader, self._writer = await asyncio.open_unix_connection(sock=ours)
        self._listening = asyncio.create_task(self._listen(reader), name=options["pod"])
        await self._ready

    async def start(self, name: str, *fields: str) -> None:
        """Start a container; `fields` are those of podinit's `start` after the name.

        Raises:
            StartError: it cannot be executed, or the first process has ended.
        """
        if self._listening is None or self._listening.done():
            raise StartError(_GONE)
        answer: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._starting[name] = answer
        self._send("start", name, *fields)
        await answer

    def signal(self, name: str, number: int) -> None:
        """Send a signal to a container's process."""
        self._send("signal", name, str(number))

    async def end(self) -> None:
        """End the pod's processes, all of them; returns when they are gone."""
        if self._writer is not None:
            self._writer.close()
        if self._process is None:
            return
        try:
            await asyncio.wait_for(self._process.wait(), END_TIMEOUT)
        except TimeoutError:  # stopped, perhaps: its own parent-death signal ends the inner one
            with contextlib.suppress(ProcessLookupError):
                self._process.kill()
        if self._listening is not None:
            await self._listening

    async def _listen(self, reader: asyncio.StreamReader) -> None:
        assert self._process is not None
        with contextlib.suppress(asyncio.IncompleteReadError, ConnectionError):
            while (size := int.from_bytes(await reader.readexactly(4), "big")) <= MAX_FRAME:
                frame = await reader.readexactly(size)
                self._report(frame.decode(errors="replace").split("\0"))
        await self._process.wait()
        for answer in self._starting.values():
            _fail(answer, StartError(_GONE))
        _fail(self._ready, SandboxError(_GONE))
        self._over()

    def _report(self, fields: list[str]) -> None:
        match fields:
            case ["pid", pid]:
                self.pid = int(pid)
            case ["ready", note]:
                self.note = note
                _succeed(self._ready)
            case ["failed", why]:
                _fail(self._ready, SandboxError(f"{why}."))
            case ["started", name]:
                _succeed(self._starting.pop(name))
            case ["refused", name, why]:
                _fail(self._starting.pop(name), StartError(why))
            case ["exited", name, status]:
                self._exited(name, int(status))

    def _send(self, *fields: str) -> None:
        if self._writer is not None:
            body = "\0".join(fields).encode(errors="surrogateescape")
            self._writer.write(len(body).to_bytes(4, "big") + body)


_GONE = "the pod's first process has ended."


def _succeed(answer: asyncio.Future[None]) -> None:
    if not answer.done():
        answer.set_result(None)


def _fail(answer: asyncio.Future[None], error: Exception) -> None:
    if not answer.done():
        answer.set_exception(error)
        answer.exception()  # its asker may have gone; then nobody needs to hear of it
