"""One stream pair of `portforward.k8s.io` as a `ByteStream`: what both roles share.

The server's own is in `transport.spdy.served_pair`; the rest of this is how a client has it.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable

from kfwd_nb.errors import KfwdError, LostError, ResetError
from kfwd_nb.protocol.portforward import error_of_text
from kfwd_nb.protocol.spdy import frames
from kfwd_nb.transport.spdy.driver import CHUNK_COST, MAX_HELD_ALL, SpdyDriver
from kfwd_nb.transport.spdy.error_half import ErrorHalf
from kfwd_nb.transport.stream import HEADROOM, ByteStream, Receiver

REASON_TIMEOUT = 1.0
"""Seconds that the end of a pair waits for the error stream, which says why, or that all is well.
Servers end that one first."""


class PairStream(ByteStream):
    """Both streams of one forwarded connection.

    Attributes:
        port: the pod's.
        error_text: what came on the error stream so far.
        replied: the server has taken the data stream (client role).
        unanswered: it has not, and was given up for that.
        sent: octets of payload that have left.
        over: nothing more passes in either direction.
    """

    def __init__(
        self,
        driver: SpdyDriver,
        error_id: int,
        data_id: int,
        port: int,
        released: Callable[[PairStream], None],
    ) -> None:
        self.port = port
        self.error_text = ""
        self.replied = False
        self.unanswered = False
        self.sent = 0
        self.over = False
        self._driver = driver
        self._error_id = error_id
        self._data_id = data_id
        self._released = released
        self._receiver: Receiver | None = None
        self._live = False  # the receiver is told at once
        self._held: deque[bytes] = deque()
        self._held_size = 0
        self._unsent: deque[bytes] = deque()  # at most what came between two `writable`
        self._careful = False  # nothing is sent before the server has taken the pair
        self._paused = True
        self._local_ended = False
        self._remote_ended = False
        self._told_eof = False
        self._error: KfwdError | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._reply_timer: asyncio.TimerHandle | None = None
        self.errors = ErrorHalf(self)
        driver.streams[data_id] = self
        driver.streams[error_id] = self.errors

    # -- ByteStream -------------------------------------------------------------------------------

    def start(self, receiver: Receiver) -> None:
        self._receiver = receiver
        self._paused = False
        asyncio.get_running_loop().call_soon(self._start)

    def _start(self) -> None:
        self._live = True
        if self.over:
            self._tell_closed()
        else:
            self._deliver_held()

    def write(self, buffer: memoryview, start: int, end: int) -> bool:
        driver = self._driver
        if self.over or self._local_ended or not driver.connection.writable(self._data_id):
            return True
        if driver.writing_paused or self._unsent or self._careful:
            self._unsent.append(bytes(buffer[start:end]))
        else:
            self._send(buffer, start, end)
        if self._careful:
            return False
        if driver.writing_paused or self._unsent:
            driver.wait_to_write(self)
            return False
        return True

    def write_eof(self) -> None:
        if not (self.over or self._local_ended):
            self._local_ended = True
            self._end_if_sent()

    @property
    def driver(self) -> SpdyDriver:
        """Of the upgraded connection."""
        return self._driver

    @property
    def undelivered(self) -> int:
        return sum(map(len, self._held))

    @property
    def unsent(self) -> int:
        return sum(map(len, self._unsent))

    def _send(self, buffer: memoryview, start: int, end: int) -> None:
        while start < end and self._driver.connection.writable(self._data_id):
            count = min(end - start, frames.MAX_DATA)
            head = start - frames.HEADER_LENGTH
            self._driver.connection.frame(self._data_id, count, buffer, head)
            self._driver.write_frame(buffer[head : start + count])
            start += count
            self.sent += count

    def _send_unsent(self) -> None:
        data = self._unsent.popleft()
        self._send(memoryview(bytearray(HEADROOM) + data), HEADROOM, HEADROOM + len(data))

    def _end_if_sent(self) -> None:
        if not self._unsent:
            self._say_end()
            self._flush()
            self._finish_if_both_ended()

    def _say_end(self) -> None:
        self._driver.connection.end(self._data_id)

    def _flush(self) -> None:
        self._driver.flush()

    def pause(self) -> None:
        self._paused = True
        self._stop_if_full()

    def resume(self) -> None:
        self._paused = False
        if self._live:
            self._deliver_held()
        if not self._paused:
            self._driver.go_on_reading(self)

    def close(self, error: KfwdError | None = None) -> None:
        if not self.over:
            self._say_why(error)
            self._driver.connection.reset(self._data_id, frames.CANCEL)
            self._driver.flush()
            self._receiver_hears_only_the_end()
            self._finish(None)

    def _say_why(self, error: KfwdError | None) -> None:
        """A client sends what was written, and says no more than that it gives the pair up."""
        while self._unsent:
            self._send_unsent()

    def _receiver_hears_only_the_end(self) -> None:
        self._drop_held()
        self._told_eof = True

    # -- transport.spdy.driver.Half ---------------------------------------------------------------

    def replied_to(self) -> None:
        """The server has taken the data stream."""
        self.replied = True
        if self._reply_timer is not None:
            self._reply_timer.cancel()
        if self._careful:
            self._careful = False
            self.drained()

    def expect_reply(self, timeout: float, *, careful: bool = False) -> None:
        """Give the pair up when the server does not take it within `timeout` seconds (client).

        `careful` keeps all payload back until then: what fails has sent nothing.
        """
        self._careful = careful
        loop = asyncio.get_running_loop()
        self._reply_timer = loop.call_later(timeout, self._no_reply, timeout)

    def _no_reply(self, timeout: float) -> None:
        if self._live and self._paused:  # it may be there, but we do not read
            self.expect_reply(timeout, careful=self._careful)
            return
        self.unanswered = True
        words = f"the node did not take the connection in {timeout:.0f} s."
        self._finish(LostError(words, where="node agent"))

    def deliver(self, buffer: memoryview, start: int, end: int) -> None:
        """Payload has come."""
        if self._live and not self._held and not self._paused:
            assert self._receiver is not None
            self._receiver.data_received(buffer, start, end)
        else:
            self._held.append(bytes(buffer[start:end]))
            self._count_held(end - start + CHUNK_COST)
            self._stop_if_full()

    def deliver_eof(self) -> None:
        """The peer has ended its direction."""
        self._remote_ended = True
        if not self._held:
            self._tell_eof()

    def was_reset(self, code: int) -> None:
        """The peer has ended both directions."""
        self._end_with_reason(ResetError("the connection was reset."))

    def drained(self) -> None:
        """The connection takes more: what waits goes first, then the end if it is due."""
        if self._careful:
            return
        while self._unsent:
            if self._driver.writing_paused:
                self._driver.wait_to_write(self)
                return
            self._send_unsent()
        if self._local_ended and not self.over:
            self._end_if_sent()
        elif self._receiver is not None and not self.over:
            self._receiver.writable()

    def lost(self, error: KfwdError) -> None:
        """The connection is gone; what had come whole before that is delivered all the same."""
        if self._held and self._remote_ended and self.errors.ended and not self.error_text:
            self._local_ended = True
        else:
            self._finish(error)

    # -- the error stream -------------------------------------------------------------------------

    def errors_ended(self) -> None:
        """Nothing more comes on the error stream."""
        if self.error_text:
            self._finish(error_of_text(self.error_text, self.port))
        elif self._error is not None:
            self._finish(self._error)
        elif self._remote_ended and not self._held:
            self._tell_eof()

    def _end_with_reason(self, error: KfwdError) -> None:
        """The pair is over; the error stream may say more on why, for a moment."""
        if self.errors.ended:
            self._finish(error)
            return
        self._error = self._error or error
        self._wait_for_reason()

    def _wait_for_reason(self) -> None:
        if self._timer is None:
            loop = asyncio.get_running_loop()
            self._timer = loop.call_later(REASON_TIMEOUT, self._no_reason)

    def _no_reason(self) -> None:
        self.errors.ended = True
        self.errors_ended()

    # -- inside -----------------------------------------------------------------------------------

    def _stop_if_full(self) -> None:
        full = self._held_size >= self._driver.may_hold or self._driver.held >= MAX_HELD_ALL
        if self._paused and full:
            self._driver.stop_reading(self)

    def _count_held(self, octets: int) -> None:
        self._held_size += octets
        self._driver.held += octets

    def _drop_held(self) -> None:
        self._held.clear()
        self._count_held(-self._held_size)

    def _deliver_held(self) -> None:
        while self._held and not (self._paused or self.over):
            data = self._held.popleft()
            self._count_held(-len(data) - CHUNK_COST)
            chunk = memoryview(bytearray(HEADROOM) + data)
            assert self._receiver is not None
            self._receiver.data_received(chunk, HEADROOM, len(chunk))
        if not self._held:
            if self._remote_ended:
                self._tell_eof()
            if not self._paused:
                self._driver.go_on_reading(self)

    def _tell_eof(self) -> None:
        """Pass the peer's end on, once it is sure that it is no failure."""
        if not self.errors.ended:
            self._wait_for_reason()
        elif self._live and not self._told_eof:
            self._told_eof = True
            assert self._receiver is not None
            self._receiver.eof_received()
            self._finish_if_both_ended()

    def _finish_if_both_ended(self) -> None:
        if self._local_ended and self._told_eof and not self._unsent:
            self._finish(None)

    def _finish(self, error: KfwdError | None) -> None:
        """The pair is over: its connection is free at once, the receiver is told once."""
        if self.over:
            return
        self.over = True
        self._error = error
        self._drop_held()
        self._unsent.clear()
        for timer in (self._timer, self._reply_timer):
            if timer is not None:
                timer.cancel()
        self._driver.connection.reset(self._data_id, frames.CANCEL)
        self._flush()
        self._driver.forget(self._data_id, self)
        self._driver.forget(self._error_id, self.errors)
        self._released(self)
        if self._live:
            asyncio.get_running_loop().call_soon(self._tell_closed)

    def _tell_closed(self) -> None:
        assert self._receiver is not None
        self._receiver.closed(self._error)
