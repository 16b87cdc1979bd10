"""One CONNECT stream as a `ByteStream`."""

from __future__ import annotations

import asyncio
from collections import deque
from typing import TYPE_CHECKING

from kfwd_nb.transport.http import OfferedStream
from kfwd_nb.transport.http2.outbound import Outbound
from kfwd_nb.transport.http2.resets import reset_code
from kfwd_nb.transport.stream import HEADROOM, Receiver

if TYPE_CHECKING:
    from kfwd_nb.errors import KfwdError
    from kfwd_nb.transport.http2.driver import Http2Driver


class TunnelStream(OfferedStream):
    """Both directions of one CONNECT stream.

    Attributes:
        headers: the response's fields (client role), or the request's (server role).
        accepted: it was answered with 200 (server role).
        notes: what happens to it, if the client wants that noted (server role).
        over: nothing more passes in either direction.
    """

    __slots__ = (
        "_driver",
        "_early",
        "_error",
        "_given_up",
        "_id",
        "_live",
        "_local_ended",
        "_outbound",
        "_owed",
        "_paused",
        "_receiver",
        "_remote_ended",
        "accepted",
        "headers",
        "notes",
        "over",
    )

    def __init__(self, driver: Http2Driver, stream_id: int) -> None:
        self.headers: dict[str, str] = {}
        self.accepted = False
        self.over = False
        self.notes = None
        self._driver = driver
        self._id = stream_id
        self._outbound = Outbound(driver, stream_id, self._drained, self._sent_eof)
        self._receiver: Receiver | None = None
        self._live = False  # the receiver is told at once
        self._early: deque[bytes] = deque()  # came before that; at most one window
        self._owed = 0  # octets passed on while paused, to be granted on resume
        self._paused = False
        self._local_ended = False
        self._remote_ended = False
        self._given_up = False  # by `close`: the receiver is told of the end and of nothing else
        self._error: KfwdError | None = None
        driver.streams[stream_id] = self

    def accept(self, headers: dict[str, str] | None = None) -> None:
        """Open the tunnel: answer 200 (server role)."""
        self.accepted = True
        fields = [(":status", "200"), *(headers or {}).items()]
        self._driver.connection.respond(self._id, fields)
        self._driver.flush()

    # -- ByteStream -------------------------------------------------------------------------------

    def start(self, receiver: Receiver) -> None:
        self._receiver = receiver
        asyncio.get_running_loop().call_soon(self._start, receiver)

    def _start(self, receiver: Receiver) -> None:
        self._live = True
        while self._early and not self._given_up:
            data = self._early.popleft()
            chunk = memoryview(bytearray(HEADROOM) + data)
            self._pass_on(receiver, chunk, HEADROOM, len(chunk))
        if self._remote_ended and not self._given_up:
            receiver.eof_received()
        if self.over:
            receiver.closed(self._error)
        self._driver.flush()

    def write(self, buffer: memoryview, start: int, end: int) -> bool:
        return self._outbound.write(buffer, start, end)

    def write_eof(self) -> None:
        self._outbound.write_eof()

    def pause(self) -> None:
        self._paused = True

    def resume(self) -> None:
        self._paused = False
        if self._owed and not self.over:
            owed, self._owed = self._owed, 0
            self._driver.connection.delivered(self._id, owed)
            self._driver.flush()

    def close(self, error: KfwdError | None = None) -> None:
        if not self.over:
            self._given_up = True
            self._driver.reset(self._id, reset_code(error))
            asyncio.get_running_loop().call_soon(self.finish, None)

    @property
    def undelivered(self) -> int:
        return sum(map(len, self._early))

    @property
    def unsent(self) -> int:
        return self._outbound.holds

    # -- what a report of this hop asks -----------------------------------------------------------

    @property
    def driver(self) -> Http2Driver:
        """Of the tunnel."""
        return self._driver

    @property
    def id(self) -> int:
        """On the tunnel."""
        return self._id

    @property
    def receiver(self) -> Receiver | None:
        """Who is told, once it was started."""
        return self._receiver

    # -- called by the driver and the outbound ----------------------------------------------------

    def deliver(self, buffer: memoryview, start: int, end: int) -> None:
        """Payload has come."""
        if self._live and self._receiver is not None:
            self._pass_on(self._receiver, buffer, start, end)
        else:
            self._early.append(bytes(buffer[start:end]))

    def _pass_on(self, receiver: Receiver, buffer: memoryview, start: int, end: int) -> None:
        receiver.data_received(buffer, start, end)
        if self._paused:
            self._owed += end - start
        else:
            self._driver.connection.delivered(self._id, end - start)

    def deliver_eof(self) -> None:
        """The peer has ended its direction."""
        self._remote_ended = True
        if self._live and self._receiver is not None:
            self._receiver.eof_received()
        self._finish_if_both_ended()

    def _drained(self) -> None:
        if self._receiver is not None:
            self._receiver.writable()

    def _sent_eof(self) -> None:
        self._local_ended = True
        self._finish_if_both_ended()

    def _finish_if_both_ended(self) -> None:
        if self._remote_ended and self._local_ended:
            self._driver.streams.pop(self._id, None)
            asyncio.get_running_loop().call_soon(self.finish, None)

    def finish(self, error: KfwdError | None) -> None:
        """The stream is over; the receiver is told once."""
        if self.over:
            return
        self.over = True
        self._error = error
        if self._live and self._receiver is not None:
            self._receiver.closed(error)
