"""Drives a framed protocol over an `asyncio.Transport`: reads, events, writes, keep-alive, ends.

The protocol is sans-I/O (`protocol.http2`, `protocol.spdy`); payload is passed from the read buffer
of one connection into the transport of the next without a copy.
"""

from __future__ import annotations

import asyncio
from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Any, Protocol

from kfwd_nb.errors import KfwdError, LimitError, LostError, RemoteProtocolError
from kfwd_nb.protocol.keepalive import Keepalive
from kfwd_nb.transport.buffers import read_buffer
from kfwd_nb.transport.close_timer import CloseTimer
from kfwd_nb.transport.stream import HEADROOM

WRITE_HIGH_WATER = 1 << 18
"""Octets that may wait in a connection's transport before its streams hold theirs back."""

MAX_UNREAD = 1 << 23
"""Octets that may wait for a peer that asks and asks (PING, SETTINGS) and reads no answer. Payload
stops at `WRITE_HIGH_WATER` and one frame."""


JOINED = 1 << 14
"""Octets of payload up to which it is copied behind the control frames, to be one TLS record."""


LATE = 0.05
"""Seconds that control frames for which nobody waits may wait for others to go with."""


class Framed(Protocol):
    """The one contract of the protocols: bytes in, events out, bytes to send."""

    def receive(self, buffer: memoryview, start: int, end: int) -> Sequence[Any]:
        """Take `buffer[start:end]`; what happened."""

    def data_to_send(self) -> bytes:
        """The control frames that wait, once."""

    def close(self) -> None:
        """Leave the frame that says goodbye."""


class ConnectionDriver(asyncio.BufferedProtocol, ABC):
    """One connection on the event loop.

    Attributes:
        writing_paused: the transport holds more than `WRITE_HIGH_WATER`.
        over: the connection is gone.
    """

    def __init__(self, framed: Framed) -> None:
        self.writing_paused = False
        self.over = False
        self._framed = framed
        self._transport: asyncio.Transport | None = None
        self._loop = asyncio.get_running_loop()
        self._keepalive = Keepalive(self._loop.time())
        self._timer: asyncio.TimerHandle | None = None
        self._close_timer: CloseTimer | None = None
        self._late_timer: asyncio.TimerHandle | None = None
        self._reading = False
        self._closed_by_us = False
        self._error: KfwdError | None = None

    # -- what the protocol decides ----------------------------------------------------------------

    @abstractmethod
    def act(self, buffer: memoryview, event: Any) -> None:
        """Something happened."""

    def nobody_waits(self, events: Sequence[Any]) -> bool:
        """The peer does not wait for the answers to these events, all of one read."""
        return False

    @abstractmethod
    def ask(self) -> None:
        """Ask the peer for a sign of life."""

    @abstractmethod
    def ended(self, error: KfwdError | None) -> None:
        """The connection is gone, whoever ended it: every stream on it is, too."""

    # -- asyncio.BufferedProtocol -----------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """The connection can be used."""
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        transport.set_write_buffer_limits(high=WRITE_HIGH_WATER)
        self.flush()
        self._tick()

    def get_buffer(self, sizehint: int) -> memoryview:
        """The loop's own buffer, after the headroom."""
        return read_buffer()[HEADROOM:]

    def buffer_updated(self, nbytes: int) -> None:
        """Read frames, act on each event, then send what that made."""
        self._keepalive.heard(self._loop.time())
        buffer = read_buffer()
        self._reading = True
        events: Sequence[Any] = ()
        try:
            events = self._framed.receive(buffer, HEADROOM, HEADROOM + nbytes)
            for event in events:
                self.act(buffer, event)
        except RemoteProtocolError as error:
            self.abandon(error)
        finally:
            self._reading = False
        if self.nobody_waits(events):
            self.flush_late()
        else:
            self.flush()

    def eof_received(self) -> None:
        """The peer closes, and may still read what is written; TLS knows no half-close here."""
        self._close_in_time()

    def pause_writing(self) -> None:
        """The transport holds more than `WRITE_HIGH_WATER`: streams keep theirs."""
        self.writing_paused = True

    def resume_writing(self) -> None:
        """The transport takes more."""
        self.writing_paused = False

    def connection_lost(self, exc: Exception | None) -> None:
        """The end, whoever made it."""
        self.over = True
        self._transport = None
        for timer in (self._timer, self._close_timer, self._late_timer):
            if timer is not None:
                timer.cancel()
        error = self._error
        if error is None and isinstance(exc, KfwdError):
            error = exc
        elif error is None and exc is not None:
            error = LostError(f"the connection broke: {str(exc) or type(exc).__name__}")
        elif error is None and not self._closed_by_us:
            error = LostError("the peer closed the connection.")
        self.ended(error)

    # -- writing ----------------------------------------------------------------------------------

    def flush(self) -> None:
        """Send the control frames that wait; while events are acted on, once for all of them."""
        if not self._reading and self._transport is not None:
            data = self._framed.data_to_send()
            if data:
                self._transport.write(data)
                if self._transport.get_write_buffer_size() > MAX_UNREAD:
                    self.abandon(LimitError(f"the peer leaves {MAX_UNREAD} octets unread."))

    def flush_soon(self) -> None:
        """Send the control frames that wait, in three turns of the loop.

        Payload for a stream that was just opened is read in the second turn, if there is any; then
        all goes out in one write, which costs more than all the rest of opening a stream.
        """
        later = self._loop.call_soon
        later(later, later, self.flush)

    def flush_late(self) -> None:
        """Send the control frames that wait with what is sent next, or in `LATE` seconds.

        A write of their own would cost both sides more than what is in them.
        """
        if self._late_timer is None:
            self._late_timer = self._loop.call_later(LATE, self._flush_now)

    def _flush_now(self) -> None:
        self._late_timer = None
        self.flush()

    def write_frame(self, data: bytes | bytearray | memoryview) -> None:
        """Send payload after the control frames that wait. It is copied when this returns."""
        if self._transport is None:
            return
        control = self._framed.data_to_send()
        if control and len(data) <= JOINED:
            data = b"".join((control, data))
        elif control:
            self._transport.write(control)
        self._transport.write(data)

    # -- ends -------------------------------------------------------------------------------------

    @property
    def closing(self) -> bool:
        """The connection is over or about to be: nothing new can begin."""
        return self._transport is None or self._transport.is_closing()

    @property
    def silence(self) -> float:
        """Seconds since the peer was last heard."""
        return self._keepalive.silence(self._loop.time())

    @property
    def transport(self) -> asyncio.Transport | None:
        """What carries it; None when the connection is over."""
        return self._transport

    def close(self) -> None:
        """End the connection after what is written (GOAWAY, then the transport's close)."""
        if self._transport is not None and not self._transport.is_closing():
            self._closed_by_us = True
            if self._error is None:
                self._framed.close()
            self.flush()
            self._transport.close()
            self._close_in_time()

    def _close_in_time(self) -> None:
        """A peer that reads no more shall not keep the connection for ever."""
        if self._transport is not None and self._close_timer is None:
            self._close_timer = CloseTimer(self._transport)

    def abandon(self, error: KfwdError) -> None:
        """End the connection because of `error`; its streams end with it."""
        if self._error is None:
            self._error = error
        if self._transport is not None:
            data = self._framed.data_to_send()
            if data:
                self._transport.write(data)
            self._transport.abort()

    def _tick(self) -> None:
        if self.over:
            return
        now = self._loop.time()
        if self._transport is not None and not self._transport.is_reading():
            # It is we who do not listen. A peer that is gone is noticed by what we write.
            self._keepalive.heard(now)
            self.ask()
            self.flush()
        match self._keepalive.due(now):
            case "ping":
                self.ask()
                self.flush()
            case "lost":
                self.abandon(LostError("the peer has not answered for too long."))
                return
            case None:
                pass
        self._timer = self._loop.call_at(self._keepalive.next(), self._tick)
