"""The other end of a byte stream: a receiver that writes everything down, and streams in memory."""

from __future__ import annotations

import asyncio
import itertools
from collections import deque
from collections.abc import Callable, Iterable
from typing import Any

from kfwd_nb.errors import KfwdError, ResetError
from kfwd_nb.transport.stream import HEADROOM, ByteStream, Receiver

PATIENCE = 20.0
"""Seconds after which a condition that a test waits for counts as never true."""

ODD_SIZES = (1, 65_537, 7, 300_001, 8191, 131_072, 3)
"""Chunk lengths that fit no frame, no page and no buffer."""


async def until(condition: Callable[[], Any]) -> Any:
    """Wait for a condition, never for a time; returns what made it true."""
    async with asyncio.timeout(PATIENCE):
        while not (found := condition()):  # noqa: ASYNC110 - any condition, not only an event
            await asyncio.sleep(0.001)
    return found


def chunk(data: bytes) -> tuple[memoryview, int, int]:
    """What `ByteStream.write` takes."""
    return memoryview(bytearray(HEADROOM) + data), HEADROOM, HEADROOM + len(data)


class Recorder:
    """A receiver that holds the stream to its contract and writes down all that it hears."""

    def __init__(self, stream: ByteStream) -> None:
        self.stream = stream
        self.received = bytearray()
        self.calls: list[str] = []
        self.error: KfwdError | None = None
        self.may_write = asyncio.Event()

    def data_received(self, buffer: memoryview, start: int, end: int) -> None:
        assert HEADROOM <= start < end
        self._called("data")
        self.received += buffer[start:end]
        buffer[start - HEADROOM : end] = b"\xee" * (HEADROOM + end - start)

    def eof_received(self) -> None:
        assert "eof" not in self.calls
        self._called("eof")

    def writable(self) -> None:
        self._called("writable")
        self.may_write.set()

    def closed(self, error: KfwdError | None) -> None:
        self._called("closed")
        self.error = error
        self.may_write.set()

    def _called(self, what: str) -> None:
        assert "closed" not in self.calls, f"{what} after closed"
        self.calls.append(what)

    @property
    def over(self) -> bool:
        return "closed" in self.calls

    @property
    def at_eof(self) -> bool:
        return "eof" in self.calls

    async def send(self, data: bytes, sizes: Iterable[int] = (1 << 16,)) -> None:
        """Write as a pump does: in pieces, and not on before `writable` when the stream is full."""
        position = 0
        for size in itertools.cycle(sizes):
            if position >= len(data) or self.over:
                return
            piece = data[position : position + size]
            position += size
            self.may_write.clear()
            if not self.stream.write(*chunk(piece)):
                async with asyncio.timeout(PATIENCE):
                    await self.may_write.wait()
            await asyncio.sleep(0)


def record(stream: ByteStream) -> Recorder:
    """Start `stream` with a recorder."""
    recorder = Recorder(stream)
    stream.start(recorder)
    return recorder


async def fill(stream: ByteStream, piece: bytes, limit: int = 64 << 20) -> int:
    """Write until the stream says that its peer does not keep up; returns how many bytes it took.

    A loop that turns once between two writes lets everything under the stream do its work.
    """
    written = len(piece)
    while stream.write(*chunk(piece)):
        written += len(piece)
        assert written <= limit
        await asyncio.sleep(0)
    return written


class MemoryStream(ByteStream):
    """One end of a pipe in memory: the contract of `ByteStream` with nothing under it.

    It takes `limit` octets that the other end has not read before `write` answers False.
    """

    def __init__(self, limit: int = 1 << 16) -> None:
        self.limit = limit
        self.other: MemoryStream = self
        self.held: deque[bytes] = deque()
        self.most_held = 0
        self._receiver: Receiver | None = None
        self._paused = False
        self._full = False
        self._ended = False
        self._eof_told = False
        self._error: KfwdError | None = None
        self._closing = False
        self._closed = False

    def start(self, receiver: Receiver) -> None:
        self._receiver = receiver
        self._soon()

    def write(self, buffer: memoryview, start: int, end: int) -> bool:
        if self._ended or self._closing:
            return True
        self.other.held.append(bytes(buffer[start:end]))
        waiting = sum(map(len, self.other.held))
        self.other.most_held = max(self.other.most_held, waiting)
        self.other._soon()
        self._full = waiting >= self.limit
        return not self._full

    def write_eof(self) -> None:
        if not self._closing:
            self._ended = True
            self.other._soon()
            self._soon()

    def pause(self) -> None:
        self._paused = True

    def resume(self) -> None:
        self._paused = False
        self._soon()

    def close(self, error: KfwdError | None = None) -> None:
        if self._closing:
            return
        self._ended = self._closing = True
        self.held.clear()
        self._soon()
        if not self.other._closing:
            self.other._closing = True
            self.other._error = error and ResetError("the other end has reset it.")
            self.other._soon()

    def _soon(self) -> None:
        asyncio.get_running_loop().call_soon(self._turn)

    def _turn(self) -> None:
        receiver = self._receiver
        if receiver is None or self._closed:
            return
        while self.held and not self._paused and not self._error:
            receiver.data_received(*chunk(self.held.popleft()))
            if not self.held and self.other._full:
                self.other._full = False
                if self.other._receiver is not None and not self.other._closed:
                    self.other._receiver.writable()
        if self.other._ended and not self.held and not self._eof_told and not self._closing:
            self._eof_told = True
            receiver.eof_received()
        if self._closing or (self._eof_told and self._ended and not self.other.held):
            self._closing = self._closed = True
            receiver.closed(self._error)


def memory_pair(limit: int = 1 << 16) -> tuple[MemoryStream, MemoryStream]:
    one, other = MemoryStream(limit), MemoryStream(limit)
    one.other, other.other = other, one
    return one, other
