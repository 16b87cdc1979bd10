"""Connector `socat`, as the kubelet with Docker: `nsenter -t PID -n socat - TCP4:localhost:PORT`.

One process for each connection, over pipes. Three things that the classic needs besides: `-t`, or
it gives up half a second after one direction ended and loses the reply; `shut-close`, or its output
stays open when the pod has ended its own direction; `-d -d`, so that it says when the connection
stands (socat(1), 1.7.4).
"""

from __future__ import annotations

import asyncio
import os
import re
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from weakref import WeakSet

from kfwd_nb.agent.connectors import Connector, Place, refused, reset, unreachable
from kfwd_nb.agent.connectors.loopback import real_port
from kfwd_nb.agent.connectors.pipes import PipeStream
from kfwd_nb.errors import KfwdError, LostError, ResetError, UnavailableError

HALF_OPEN_TIME = 3600
"""Seconds that one direction may stay open after the other has ended."""

BLOCK_SIZE = 1 << 16
"""Bytes that socat moves at once; its own 8 KiB cost more system calls."""

START_TIME = 10.0
"""Seconds for nsenter and socat to start and connect."""

MAX_WORDS = 1 << 14
"""Bytes kept of what a socat process says."""

PACKAGES = {"nsenter": "util-linux", "socat": "socat"}
"""Debian's package for each program."""

_CONNECTED = b"starting data transfer loop"
_TROUBLE = re.compile(rb"socat\[\d+\] E (.*)|socat\[\d+\] W (read\(.*)")


class SocatConnector(Connector):
    """See the module.

    Args:
        isolated: pods have network namespaces; otherwise socat runs outside, to the high port.
    """

    how = "through nsenter and socat"

    def __init__(self, *, isolated: bool) -> None:
        self._isolated = isolated
        self._streams: WeakSet[SocatStream] = WeakSet()

    async def open(self, pod: Place, port: int) -> SocatStream:
        """See `Connector.open`."""
        argv = self._command(pod, port)
        _check_installed(argv)
        stream = SocatStream(_started(argv))
        self._streams.add(stream)
        try:
            async with asyncio.timeout(START_TIME):
                connected = await stream.connected()
        except TimeoutError:
            stream.close()
            raise UnavailableError(
                f"socat has not connected to port {port} of pod {pod.name} in {START_TIME:.0f} s.",
                where="node agent",
            ) from None
        except BaseException:
            stream.close()
            raise
        if not connected:
            words = stream.trouble() or stream.last_words()
            stream.close()
            raise _failure(words)(pod, port, f"socat: {words}")
        return stream

    def close(self) -> None:
        """End every process that is left."""
        for stream in list(self._streams):
            stream.end()

    def _command(self, pod: Place, port: int) -> list[str]:
        socat = ["socat", "-d", "-d", "-b", str(BLOCK_SIZE), "-t", str(HALF_OPEN_TIME)]
        if not self._isolated:
            return [*socat, "-,shut-close", f"TCP4:127.0.0.1:{real_port(pod, port)}"]
        if pod.sandbox.netns is None:
            raise UnavailableError(
                f"pod {pod.name} has no network namespace (any more) to run socat in.",
                where="node agent",
            )
        return [*enter(pod.sandbox.pid), *socat, "-,shut-close", f"TCP4:localhost:{port}"]


def enter(pid: int) -> list[str]:
    """The `nsenter` command that runs another one in the network namespace of `pid`."""
    words = ["nsenter", "-t", str(pid), "-n"]
    if not Path(f"/proc/{pid}/ns/user").samefile("/proc/self/ns/user"):
        words += ["-U", "--preserve-credentials"]
    return words


def _check_installed(argv: list[str]) -> None:
    for program, package in PACKAGES.items():
        if program in argv and shutil.which(program) is None:
            raise UnavailableError(
                f"the socat connector needs {program} on the node: "
                f"install Debian's package {package}.",
                where="node agent",
            )


def _failure(words: str) -> Callable[[Place, int, str], KfwdError]:
    """What it means that socat ended with these words instead of connecting. Pure."""
    if "Connection refused" in words:
        return refused
    return reset if "Connection reset" in words else unreachable


def _started(argv: list[str]) -> subprocess.Popen[bytes]:
    """Start it with pipes of its own. Not by asyncio, whose pipes copy what passes."""
    pipe = subprocess.PIPE
    return subprocess.Popen(argv, stdin=pipe, stdout=pipe, stderr=pipe, bufsize=0)


class SocatStream(PipeStream):
    """A connection that a socat process holds."""

    def __init__(self, process: subprocess.Popen[bytes]) -> None:
        super().__init__(process)
        assert process.stderr is not None
        os.set_blocking(process.stderr.fileno(), False)
        self._errors = process.stderr
        self._said = bytearray()

    async def connected(self) -> bool:
        """Wait until socat says that the connection stands; False when it ends instead."""
        loop = asyncio.get_running_loop()
        done: asyncio.Future[bool] = loop.create_future()

        def look() -> None:
            over = self._listen()
            if (_CONNECTED in self._said or over) and not done.done():
                done.set_result(_CONNECTED in self._said)

        descriptor = self._errors.fileno()
        loop.add_reader(descriptor, look)
        try:
            return await done
        finally:
            loop.remove_reader(descriptor)

    def verdict(self) -> KfwdError | None:
        """See `PipeStream.verdict`."""
        trouble = self.trouble()
        if "reset" in trouble or "Broken pipe" in trouble:
            return ResetError(f"the pod reset the connection (socat: {trouble}).", where="pod")
        if trouble:
            return LostError(f"socat: {trouble}.", where="pod")
        if self.process.returncode:
            how = f"socat ended with status {self.process.returncode}"
            return LostError(f"{how}: {self.last_words()}", where="node agent")
        return None

    def finish(self, error: KfwdError | None) -> None:
        """See `PipeStream.finish`."""
        super().finish(error)
        self._errors.close()

    def trouble(self) -> str:
        """The error that socat reported, in its words; empty for none."""
        self._listen()
        match = _TROUBLE.search(self._said)
        return (match[1] or match[2]).decode(errors="replace").strip() if match else ""

    def last_words(self) -> str:
        """The last line that nsenter or socat said."""
        return bytes(self._said).decode(errors="replace").strip().rpartition("\n")[2]

    def _listen(self) -> bool:
        """Take what was said meanwhile; True when nothing more will come."""
        if self._errors.closed:
            return True
        try:
            while words := os.read(self._errors.fileno(), MAX_WORDS):
                self._said += words
                del self._said[:-MAX_WORDS]
        except BlockingIOError:
            return False
        return True
