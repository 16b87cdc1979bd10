"""Faults of ports, on demand: stands before the node's own connector in an embedded cluster.

Which ports have a fault is in a file, `{"default/web:80": "reset"}`, that the cluster writes
(`cluster.faults`). It is read when the agent is told, not for each connection, and is then gone:
so whoever wrote it knows. A copy is kept for the agent's next start.

| fault | what a connection meets |
|---|---|
| `refuse` | nobody listens |
| `reset` | it is accepted, and reset by its first byte |
| `stall` | it is accepted, and nothing is read from it until the fault is over |
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Literal

import msgspec

from kfwd_nb.agent.connectors import Connector, Place, refused
from kfwd_nb.errors import KfwdError, ResetError
from kfwd_nb.transport.stream import HEADROOM, ByteStream, Receiver

PortFault = Literal["refuse", "reset", "stall"]

CAUSE = "a fault that %kfwd made"
"""What a refusal says in the place of an address and the system's words."""


class FaultyConnector(Connector):
    """The connector `inner`, but for ports that have a fault now.

    Args:
        inner: opens all other ports.
        file: says which they are, once it is there.
    """

    def __init__(self, inner: Connector, file: Path) -> None:
        self._inner = inner
        self._file = file
        self._kept = file.with_name(f"{file.name}.read")
        self._faults: dict[str, PortFault] = {}
        self._stalled: dict[StalledStream, str] = {}
        self.read()

    def read(self) -> None:
        """Read the file, if there is one; whatever was stalled by a fault that is over goes on."""
        with suppress(FileNotFoundError):
            self._file.replace(self._kept)
        with suppress(FileNotFoundError):
            self._faults = msgspec.json.decode(self._kept.read_bytes(), type=dict[str, PortFault])
        for stream, key in tuple(self._stalled.items()):
            if self._faults.get(key) != "stall":
                self._stalled.pop(stream, None)
                stream.go_on()

    def _forget(self, stream: StalledStream) -> None:
        self._stalled.pop(stream, None)

    @property
    def how(self) -> str:
        """See `Connector.how`."""
        return self._inner.how

    async def open(self, pod: Place, port: int) -> ByteStream:
        """See `Connector.open`."""
        key = f"{pod.name}:{port}"
        match self._faults.get(key):
            case "refuse":
                raise refused(pod, port, CAUSE)
            case "reset":
                words = f"pod {pod.name} reset the connection to port {port} ({CAUSE})."
                return ResettingStream(ResetError(words, where="pod"))
            case "stall":
                inner = await self._inner.open(pod, port)
                if self._faults.get(key) != "stall":  # it was mended meanwhile
                    return inner
                stalled = StalledStream(inner, self._forget)
                self._stalled[stalled] = key
                return stalled
        return await self._inner.open(pod, port)

    def close(self) -> None:
        """See `Connector.close`."""
        self._inner.close()


class ResettingStream(ByteStream):
    """A stream that is reset by the first that is written to it."""

    __slots__ = ("_error", "_receiver")

    def __init__(self, error: ResetError) -> None:
        self._error = error
        self._receiver: Receiver | None = None

    def start(self, receiver: Receiver) -> None:
        """See `ByteStream`."""
        self._receiver = receiver

    def write(self, buffer: memoryview, start: int, end: int) -> bool:
        """See `ByteStream`."""
        # Not from within: the writer does not expect its stream to end under its hands.
        asyncio.get_running_loop().call_soon(self.close, self._error)
        return False

    def write_eof(self) -> None:
        """See `ByteStream`."""
        asyncio.get_running_loop().call_soon(self.close, self._error)

    def pause(self) -> None:
        """See `ByteStream`."""

    def resume(self) -> None:
        """See `ByteStream`."""

    def close(self, error: KfwdError | None = None) -> None:
        """See `ByteStream`."""
        receiver, self._receiver = self._receiver, None
        if receiver is not None:
            receiver.closed(error)


class StalledStream(ByteStream):
    """A stream whose peer reads nothing until it is told to go on; what it sends comes.

    Args:
        inner: the stream to the peer.
        over: told when this stream is over, however it ended.
    """

    __slots__ = ("_ended", "_held", "_inner", "_over", "_receiver", "_stalled")

    def __init__(self, inner: ByteStream, over: Callable[[StalledStream], object]) -> None:
        self._inner = inner
        self._over = over
        self._stalled = True
        self._held: list[memoryview] = []
        self._ended = False
        self._receiver: Receiver | None = None

    def go_on(self) -> None:
        """Deliver what was held back, and everything from now on."""
        self._stalled = False
        held, self._held = self._held, []
        kept_up = True
        for each in held:
            kept_up = self._inner.write(each, HEADROOM, len(each))
        if self._ended:
            self._inner.write_eof()
        elif held and kept_up and self._receiver is not None:
            self._receiver.writable()

    def start(self, receiver: Receiver) -> None:
        """See `ByteStream`."""
        self._receiver = receiver
        self._inner.start(self)

    def write(self, buffer: memoryview, start: int, end: int) -> bool:
        """See `ByteStream`."""
        if not self._stalled:
            return self._inner.write(buffer, start, end)
        self._held.append(memoryview(bytearray(HEADROOM) + buffer[start:end]))
        return False

    def write_eof(self) -> None:
        """See `ByteStream`."""
        if self._stalled:
            self._ended = True
        else:
            self._inner.write_eof()

    def pause(self) -> None:
        """See `ByteStream`."""
        self._inner.pause()

    def resume(self) -> None:
        """See `ByteStream`."""
        self._inner.resume()

    @property
    def undelivered(self) -> int:
        """See `ByteStream`."""
        return self._inner.undelivered

    @property
    def unsent(self) -> int:
        """See `ByteStream`."""
        return sum(len(each) - HEADROOM for each in self._held) + self._inner.unsent

    def close(self, error: KfwdError | None = None) -> None:
        """See `ByteStream`."""
        self._end()
        self._inner.close(error)

    def _end(self) -> None:
        self._held.clear()
        self._over(self)

    # -- as the receiver of the inner stream ------------------------------------------------------

    def data_received(self, buffer: memoryview, start: int, end: int) -> None:
        """See `Receiver`."""
        if self._receiver is not None:
            self._receiver.data_received(buffer, start, end)

    def eof_received(self) -> None:
        """See `Receiver`."""
        if self._receiver is not None:
            self._receiver.eof_received()

    def writable(self) -> None:
        """See `Receiver`."""
        if self._receiver is not None:
            self._receiver.writable()

    def closed(self, error: KfwdError | None) -> None:
        """See `Receiver`."""
        self._end()
        receiver, self._receiver = self._receiver, None
        if receiver is not None:
            receiver.closed(error)
