"""One port of a raw v4 connection as a `ByteStream`."""

from __future__ import annotations

import asyncio
from collections import deque
from typing import Protocol

from kfwd_nb.errors import KfwdError, ResetError
from kfwd_nb.protocol.portforward import error_of_text
from kfwd_nb.transport.stream import HEADROOM, ByteStream, Receiver


class Owner(Protocol):
    """The connection of a stream."""

    def write(self, place: int, buffer: memoryview, start: int, end: int) -> bool:
        """Send bytes of a port; False when the peer does not keep up."""

    def local_ended(self) -> None:
        """A stream has ended its direction."""

    def given_up(self, place: int, port: int, error: KfwdError | None) -> None:
        """A stream is over by our wish."""

    def stream_over(self) -> None:
        """A stream is over."""

    def hold(self) -> None:
        """A stream pauses: the peer may have to wait."""

    def release(self) -> None:
        """A stream has delivered all that it held."""


class ChannelStream(ByteStream):
    """One port of a connection.

    Attributes:
        port: the pod's.
        error_text: what came on the error channel so far.
    """

    def __init__(self, channels: Owner, place: int, port: int) -> None:
        self.port = port
        self.error_text = ""
        self._channels = channels
        self._place = place
        self._receiver: Receiver | None = None
        self._live = False
        self._paused = False
        self._held: deque[memoryview] = deque()
        self._local_ended = False
        self._remote_ended = False
        self._eof_told = False
        self._given_up = False
        self._closed_told = False
        self._over: tuple[KfwdError | None] | None = None

    # -- ByteStream -------------------------------------------------------------------------------

    def start(self, receiver: Receiver) -> None:
        """Begin to deliver."""
        self._receiver = receiver
        self._live = True
        self._soon()

    def write(self, buffer: memoryview, start: int, end: int) -> bool:
        """Send a message."""
        if self._local_ended or self._over is not None:
            return True
        if self._remote_ended:  # the connection is closed: nobody will ever read this
            self._end(ResetError("the other end has closed the connection."))
            return True
        return self._channels.write(self._place, buffer, start, end)

    def write_eof(self) -> None:
        """End our direction; the wire can tell it only at the end of all ports."""
        if not self._local_ended:
            self._local_ended = True
            self._channels.local_ended()
            self._end_if_both()

    def pause(self) -> None:
        """Hold what comes; past `HELD` octets (all, on a connection of one port) the peer waits."""
        self._paused = True
        self._channels.hold()

    def resume(self) -> None:
        """Deliver what is held, and read again."""
        self._paused = False
        self._soon()

    def close(self, error: KfwdError | None = None) -> None:
        """Give the port up; a server tells its error on the error channel."""
        if self._over is None:
            self._given_up = True
            self._held.clear()
            self._local_ended = True
            self._over = (None,)
            self._channels.given_up(self._place, self.port, error)
            self._soon()

    @property
    def undelivered(self) -> int:
        """See `holds`."""
        return self.holds

    # -- called by the connection -----------------------------------------------------------------

    @property
    def over(self) -> bool:
        """Nothing passes any more."""
        return self._over is not None

    @property
    def local_ended(self) -> bool:
        """Our direction is over."""
        return self._local_ended

    @property
    def holds(self) -> int:
        """Octets that wait for the receiver."""
        return sum(map(len, self._held))

    @property
    def paused(self) -> bool:
        """The receiver wants no more now."""
        return self._paused or not self._live

    def deliver(self, data: memoryview) -> None:
        """Bytes have come."""
        if self._over is None:
            if self._held or self.paused or self._receiver is None:
                self._held.append(data)
            else:
                self._pass_on(self._receiver, data)

    def error_came(self, text: str) -> None:
        """The server tells why the port failed."""
        self.error_text += text
        self._end(error_of_text(self.error_text, self.port))

    def connection_ended(self, error: KfwdError | None) -> None:
        """The peer has closed the connection, or it broke."""
        if error is not None:
            self._end(error)
        else:
            self._remote_ended = True
            self._soon()
            self._end_if_both()

    def drained(self) -> None:
        """More may be written."""
        if self._live and self._receiver is not None and self._over is None:
            self._receiver.writable()

    # -- inside -----------------------------------------------------------------------------------

    def _end_if_both(self) -> None:
        if self._remote_ended and self._local_ended:
            self._end(None)

    def _end(self, error: KfwdError | None) -> None:
        if self._over is None:
            self._over = (error,)
            self._local_ended = True
            self._channels.stream_over()
            self._soon()

    def _soon(self) -> None:
        asyncio.get_running_loop().call_soon(self._turn)

    def _turn(self) -> None:
        """Deliver what may be delivered: bytes, the end of the peer's direction, the end."""
        receiver = self._receiver
        if receiver is None or self._closed_told:
            return
        while self._held and not self._paused:
            self._pass_on(receiver, self._held.popleft())
        if not self._held:
            if self._remote_ended and not self._eof_told and not self._given_up:
                self._eof_told = True
                receiver.eof_received()
            if not self._paused:
                self._channels.release()
        if self._over is not None and (not self._held or self._over[0] is not None):
            self._closed_told = True
            self._held.clear()
            receiver.closed(self._over[0])

    @staticmethod
    def _pass_on(receiver: Receiver, data: memoryview) -> None:
        chunk = memoryview(bytearray(HEADROOM + len(data)))
        chunk[HEADROOM:] = data
        receiver.data_received(chunk, HEADROOM, len(chunk))
