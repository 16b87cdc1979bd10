"""The one contract of every two-way byte stream, and the pump that couples two of them.

A `ByteStream` pushes: it calls its `Receiver` when bytes, an end or a loss arrive. There is no task
and no queue for each connection; memory is bounded because a receiver that cannot keep up pauses
the stream that feeds it.

    socket ⇄ SocketStream ⇄ Pump ⇄ TunnelStream ⇄ (HTTP/2) ⇄ TunnelStream ⇄ Pump ⇄ …
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Protocol

from kfwd_nb.errors import KfwdError

HEADROOM = 9
"""Bytes before every chunk that its receiver may overwrite: room for an HTTP/2 frame header, so
that a DATA frame is made around a chunk without copying it (RFC 9113 §4.1)."""


class Receiver(Protocol):
    """Who a stream talks to."""

    def data_received(self, buffer: memoryview, start: int, end: int) -> None:
        """Bytes arrived: `buffer[start:end]`, never empty, and `start >= HEADROOM`.

        The buffer is the stream's own and is used again as soon as this call returns: write it on,
        or copy it. The `HEADROOM` bytes before `start` may be overwritten.
        """

    def eof_received(self) -> None:
        """The peer has ended its direction; ours stays open (half-close)."""

    def writable(self) -> None:
        """A `write` that returned False has been delivered; more may come."""

    def closed(self, error: KfwdError | None) -> None:
        """The stream is over in both directions. Always the last call, and made exactly once.

        Args:
            error: None after a clean end of both directions or our own `close`.
        """


class ByteStream(ABC):
    """A two-way stream of bytes with half-close in both directions.

    Calls are made on the stream's event loop only. After `closed` was called on the receiver, and
    after `close`, every call is allowed and does nothing.
    """

    __slots__ = ()

    @abstractmethod
    def start(self, receiver: Receiver) -> None:
        """Begin to deliver to `receiver`; until now the stream was paused and kept what came."""

    @abstractmethod
    def write(self, buffer: memoryview, start: int, end: int) -> bool:
        """Send `buffer[start:end]`, which must have `HEADROOM` writable bytes before `start`.

        Returns:
            False when the peer does not keep up: the bytes are taken all the same, and `writable`
            will be called on the receiver. A caller that goes on writing fills memory.
        """

    @abstractmethod
    def write_eof(self) -> None:
        """End our direction once all that was written is delivered; reading goes on."""

    @abstractmethod
    def pause(self) -> None:
        """Ask for no more bytes; up to one window may still come."""

    @abstractmethod
    def resume(self) -> None:
        """Ask for bytes again."""

    @abstractmethod
    def close(self, error: KfwdError | None = None) -> None:
        """Give up both directions at once; with an error, so that the peer notices (a reset)."""

    @property
    def undelivered(self) -> int:
        """Octets that have come and that the receiver was not given yet."""
        return 0

    @property
    def unsent(self) -> int:
        """Octets that were written and that the next transport has not taken yet."""
        return 0


class PumpObserver(Protocol):
    """Who is told what passes a pump: counters and states for the table."""

    def passed(self, side: int, count: int) -> None:
        """`count` bytes came out of side 0 or 1 and went into the other."""

    def ended(self, side: int) -> None:
        """Side 0 or 1 has ended its direction."""

    def finished(self, side: int, error: KfwdError | None) -> None:
        """Both are over; side 0 or 1 closed first, with its error if it had one."""
