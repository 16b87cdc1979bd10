"""An `asyncio.Transport` straight on a socket, with TLS (`tls_transport`) or without.

Unlike asyncio's own it never keeps a reference to what `write` was given, and is made without a
task. It needs a loop that watches descriptors: on Windows the client takes asyncio's.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
import ssl
from abc import abstractmethod
from typing import Any

from kfwd_nb.transport.linger import linger

DEFAULT_HIGH_WATER = 1 << 16
"""Octets that may wait before the protocol is paused, until it sets its own limit."""

WOULD_BLOCK = (ssl.SSLWantReadError, ssl.SSLWantWriteError, BlockingIOError)


class SocketTransport(asyncio.Transport):
    """Moves bytes between a socket that does not block and its protocol (buffered or not).

    What is written is sent at once as far as the kernel takes it; only the rest is copied. `write`
    never calls the protocol's `connection_lost` itself.

    Attributes:
        over: done when the socket is closed, or was detached and closed by its new owner.
    """

    def __init__(self, sock: socket.socket, protocol: asyncio.BaseProtocol) -> None:
        super().__init__()
        self._loop = asyncio.get_running_loop()
        self._socket = sock
        self._descriptor = sock.fileno()
        self._protocol = protocol
        self._unsent = bytearray()
        self._high = DEFAULT_HIGH_WATER
        self._low = DEFAULT_HIGH_WATER // 4
        self._writing_paused = False
        self._reading_paused = False
        self._read_over = False
        self._write_over = False
        self._closing = False
        self._aborted = False
        self._over = False
        self.over: asyncio.Future[None] = self._loop.create_future()

    def begin(self, *, paused: bool = False) -> None:
        """Introduce the protocol to its transport, and read, if not `paused`."""
        self._reading_paused = paused
        self._protocol.connection_made(self)
        self._watch()

    # -- what the kind of socket decides ----------------------------------------------------------

    @abstractmethod
    def receive(self, buffer: memoryview) -> tuple[int, bool]:
        """Fill `buffer` with what is there: (octets, whether the peer has ended).

        Raises:
            OSError: the connection broke.
        """

    @abstractmethod
    def send(self, data: memoryview) -> memoryview:
        """Send what the kernel takes; the rest.

        Raises:
            OSError: the connection broke.
        """

    def pending(self) -> bool:
        """Something waits to be read that no descriptor tells of."""
        return False

    def say_goodbye(self) -> None:
        """Tell the peer of a clean end, before the socket is closed."""

    # -- reading ----------------------------------------------------------------------------------

    def _watch(self) -> None:
        if not (self._closing or self._reading_paused or self._read_over):
            self._loop.add_reader(self._descriptor, self._readable)
            if self.pending():
                self._loop.call_soon(self._readable)

    def _readable(self) -> None:
        if self._closing or self._reading_paused or self._read_over:
            return
        protocol = self._protocol
        try:
            if isinstance(protocol, asyncio.BufferedProtocol):
                buffer = protocol.get_buffer(-1)
                assert isinstance(buffer, memoryview)
                count, ended = self.receive(buffer)
                if count:
                    protocol.buffer_updated(count)
            else:
                assert isinstance(protocol, asyncio.Protocol)
                ended = self._read_for(protocol)
            if ended:
                self._ended(protocol)
        except OSError as error:
            self._lose(error)
            return
        except Exception as error:  # noqa: BLE001
            # As asyncio's own transports do: the protocol has failed, not the loop.
            self._loop.call_exception_handler(
                {"message": "a protocol failed", "exception": error, "protocol": protocol}
            )
            self._lose(error)
            return
        if not (ended or self._closing) and self.pending():
            self._loop.call_soon(self._readable)

    def _read_for(self, protocol: asyncio.Protocol) -> bool:
        buffer = memoryview(bytearray(DEFAULT_HIGH_WATER))
        count, ended = self.receive(buffer)
        if count:
            protocol.data_received(bytes(buffer[:count]))
        return ended

    def _ended(self, protocol: asyncio.BufferedProtocol | asyncio.Protocol) -> None:
        """The peer sends no more; a protocol that can half-close may want to go on writing.

        Else the transport closes once all is sent. How long that may take is the protocol's to say.
        """
        if self._closing:  # by what was just read
            return
        self._read_over = True
        self._loop.remove_reader(self._descriptor)
        if not (protocol.eof_received() and self.can_write_eof()):
            self.close()

    def pause_reading(self) -> None:
        """Call the protocol no more until `resume_reading`."""
        if not (self._closing or self._reading_paused or self._read_over):
            self._reading_paused = True
            self._loop.remove_reader(self._descriptor)

    def resume_reading(self) -> None:
        """Read again."""
        if self._reading_paused:
            self._reading_paused = False
            self._watch()

    def is_reading(self) -> bool:
        """The protocol is called when bytes come."""
        return not (self._closing or self._reading_paused or self._read_over)

    # -- writing ----------------------------------------------------------------------------------

    def write(self, data: bytes | bytearray | memoryview) -> None:
        """Send; `data` is free to be overwritten when this returns."""
        if self._closing or self._write_over:
            return
        if not self._unsent:
            try:
                data = self.send(memoryview(data))
            except OSError as error:
                self._lose_soon(error)
                return
            if not data:
                return
            self._loop.add_writer(self._descriptor, self._writable)
        self._unsent += data
        if not self._writing_paused and len(self._unsent) > self._high:
            self._writing_paused = True
            self._protocol.pause_writing()

    def _writable(self) -> None:
        before = len(self._unsent)
        try:
            with memoryview(self._unsent) as unsent, self.send(unsent) as rest:
                left = len(rest)
        except OSError as error:
            self._lose(error)
            return
        del self._unsent[: before - left]
        if not left:
            self._loop.remove_writer(self._descriptor)
            if self._closing:
                self._lose(None)
                return
            if self._write_over:
                self._shut_down()
        if self._writing_paused and left <= self._low:
            self._writing_paused = False
            self._protocol.resume_writing()

    def write_eof(self) -> None:
        """End our direction once all is sent; the peer may go on.

        Raises:
            NotImplementedError: this kind of transport knows no half-close (`can_write_eof`).
        """
        if not self.can_write_eof():
            raise NotImplementedError("this transport knows no half-close")
        if not (self._closing or self._write_over):
            self._write_over = True
            if not self._unsent:
                self._shut_down()

    def _shut_down(self) -> None:
        try:
            self._socket.shutdown(socket.SHUT_WR)
        except OSError as error:  # the peer has reset it, and we have not read that yet
            self._lose_soon(error)

    def set_write_buffer_limits(self, high: int | None = None, low: int | None = None) -> None:
        """Octets at which the protocol is paused, and resumed."""
        self._high = DEFAULT_HIGH_WATER if high is None else high
        self._low = self._high // 4 if low is None else low

    def get_write_buffer_limits(self) -> tuple[int, int]:
        """(low, high), octets."""
        return self._low, self._high

    def get_write_buffer_size(self) -> int:
        """Octets that wait for the kernel."""
        return len(self._unsent)

    # -- ends -------------------------------------------------------------------------------------

    def is_closing(self) -> bool:
        """It is closed, or will be once what waits is sent."""
        return self._closing

    def close(self) -> None:
        """Close once all is sent."""
        if self._closing:
            return
        self._closing = True
        self._loop.remove_reader(self._descriptor)
        if not self._unsent:
            self._loop.call_soon(self._lose, None)

    def abort(self) -> None:
        """Close at once, and say no goodbye: the peer shall not take it for a clean end."""
        self._aborted = True
        self._lose_soon(None)

    def _lose_soon(self, error: Exception | None) -> None:
        if not self._over:
            self._closing = True
            self._loop.remove_reader(self._descriptor)
            self._loop.call_soon(self._lose, error)

    def _lose(self, error: Exception | None) -> None:
        if self._over:
            return
        self._leave()
        self._unsent = bytearray()
        try:
            self._protocol.connection_lost(error)
        finally:
            if error is None and not self._aborted:
                self.say_goodbye()
            self._socket.close()
            self._tell_over()

    def _leave(self) -> None:
        self._over = self._closing = True
        self._loop.remove_reader(self._descriptor)
        self._loop.remove_writer(self._descriptor)

    def _tell_over(self) -> None:
        if not self.over.done():
            self.over.set_result(None)

    async def linger(self) -> None:
        """Close as RFC 9112 §9.6 asks, when all is sent: the peer shall not lose it to a reset.

        The protocol is called no more, not even by `connection_lost`.
        """
        if self._over:
            return
        self._leave()
        try:
            self.say_goodbye()
            await linger(self._socket)
        finally:
            self._tell_over()

    # -- what asyncio asks ------------------------------------------------------------------------

    def get_extra_info(self, name: str, default: Any = None) -> Any:
        """`socket`, `peername` and `sockname`."""
        match name:
            case "socket":
                return self._socket
            case "peername" | "sockname":
                with contextlib.suppress(OSError):
                    return getattr(self._socket, f"get{name}")()
        return default

    def set_protocol(self, protocol: asyncio.BaseProtocol) -> None:
        """Hand the connection over to another protocol."""
        self._protocol = protocol

    def get_protocol(self) -> asyncio.BaseProtocol:
        """The protocol that is called now."""
        return self._protocol
