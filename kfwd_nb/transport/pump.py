"""Couples two byte streams: what comes out of one goes into the other, half-close included.

The same pump stands in the client, in the relay and in the node agent.
"""

from __future__ import annotations

import asyncio

from kfwd_nb.errors import KfwdError
from kfwd_nb.transport.stream import ByteStream, PumpObserver


class Side:
    """Receives from one stream, writes to the other.

    Attributes:
        octets: that came out of the stream.
    """

    __slots__ = ("ended", "index", "octets", "other", "over", "pump", "stream")

    other: Side

    def __init__(self, pump: Pump, index: int, stream: ByteStream) -> None:
        self.pump = pump
        self.index = index
        self.stream = stream
        self.ended = False
        self.over = False
        self.octets = 0

    def data_received(self, buffer: memoryview, start: int, end: int) -> None:
        """Count, and pass on."""
        self.octets += end - start
        if self.pump.observer is not None:
            self.pump.observer.passed(self.index, end - start)
        if not self.other.stream.write(buffer, start, end):
            self.stream.pause()

    def eof_received(self) -> None:
        """Pass the end on."""
        self.ended = True
        if self.pump.observer is not None:
            self.pump.observer.ended(self.index)
        self.other.stream.write_eof()

    def writable(self) -> None:
        """The other one may feed again."""
        self.other.stream.resume()

    def closed(self, error: KfwdError | None) -> None:
        """The other one ends, too, if both have not ended by themselves."""
        self.over = True
        if not (self.ended and self.other.ended) or error is not None:
            self.other.stream.close(error)
        self.pump.side_closed(self.index, error)


class Pump:
    """Couples `a` (side 0) and `b` (side 1) until both are over.

    A reader that stalls pauses the stream that feeds it, and nothing else. An error of one side
    resets the other. There is no task: the two streams call each other.

    Attributes:
        sides: of `a` and of `b`, with what has come out of each.
        done: the error of the side that closed first, or None, once both sides are closed.
    """

    __slots__ = ("_first", "done", "observer", "sides")

    def __init__(self, a: ByteStream, b: ByteStream, observer: PumpObserver | None = None) -> None:
        self.observer = observer
        self.done: asyncio.Future[KfwdError | None] = asyncio.get_running_loop().create_future()
        self._first: tuple[int, KfwdError | None] | None = None
        sides = (Side(self, 0, a), Side(self, 1, b))
        sides[0].other, sides[1].other = sides[1], sides[0]
        self.sides = sides
        for side in sides:
            side.stream.start(side)

    def side_closed(self, index: int, error: KfwdError | None) -> None:
        """A side is over; when both are, the pump is done."""
        if self._first is None:
            self._first = (index, error)
        if all(side.over for side in self.sides) and not self.done.done():
            if self.observer is not None:
                self.observer.finished(*self._first)
            self.done.set_result(self._first[1])
