"""A connected TCP or Unix socket as a `ByteStream`."""

from __future__ import annotations

import asyncio
import errno
import os
import socket
import struct
import sys
from typing import Any

from kfwd_nb.errors import KfwdError, LostError, ResetError
from kfwd_nb.transport.buffers import CHUNK, read_buffer
from kfwd_nb.transport.forks import close_in_children
from kfwd_nb.transport.plain_transport import PlainTransport
from kfwd_nb.transport.stream import HEADROOM, ByteStream, Receiver

WRITE_HIGH_WATER = 1 << 16
"""Octets that may wait for a socket's reader before its feeder is paused."""

_RESET_ON_CLOSE = struct.pack("ii", 1, 0)


class SocketStream(asyncio.BufferedProtocol, ByteStream):
    """Both directions of one socket. Made by `open_socket` and `accepted_socket`."""

    def __init__(self, sock: socket.socket) -> None:
        self._socket = sock
        self._transport: asyncio.Transport | None = None
        self._receiver: Receiver | None = None
        self._early = bytearray()  # read before the first pause took hold; a read or two
        self._full = False
        self._paused = False
        self._read_over = False
        self._write_over = False
        self._over = False
        self._error: KfwdError | None = None

    # -- ByteStream -------------------------------------------------------------------------------

    def start(self, receiver: Receiver) -> None:
        self._paused = False
        asyncio.get_running_loop().call_soon(self._start, receiver)

    def _start(self, receiver: Receiver) -> None:
        self._receiver = receiver
        if self._early:
            chunk = memoryview(bytearray(HEADROOM) + self._early)
            self._early.clear()
            receiver.data_received(chunk, HEADROOM, len(chunk))
        if self._read_over:
            receiver.eof_received()
        if self._over:
            receiver.closed(self._error)
        if not self._paused:
            self.resume()

    def write(self, buffer: memoryview, start: int, end: int) -> bool:
        transport = self._transport
        if transport is None or self._write_over:
            return True
        data = buffer[start:end]
        transport.write(data if isinstance(transport, PlainTransport) else bytes(data))
        return not self._full

    def write_eof(self) -> None:
        if self._transport is None or self._write_over:
            return
        self._write_over = True
        if self._read_over:
            self._transport.close()
        else:
            self._transport.write_eof()

    def pause(self) -> None:
        self._paused = True
        if self._transport is not None and not self._read_over:
            self._transport.pause_reading()

    def resume(self) -> None:
        self._paused = False
        if self._transport is not None and not self._read_over:
            self._transport.resume_reading()

    def close(self, error: KfwdError | None = None) -> None:
        if self._transport is None:
            return
        self._write_over = True
        if error is not None:
            self._reset_on_close()
        self._transport.abort()

    @property
    def undelivered(self) -> int:
        return len(self._early)

    @property
    def unsent(self) -> int:
        return self._transport.get_write_buffer_size() if self._transport is not None else 0

    @property
    def socket(self) -> socket.socket | None:
        """The kernel's; None when it is closed."""
        return self._socket if self._transport is not None else None

    # -- asyncio.BufferedProtocol -----------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """The socket is ours; `accepted_socket` pauses it until a receiver is there."""
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        transport.set_write_buffer_limits(high=WRITE_HIGH_WATER)

    def get_buffer(self, sizehint: int) -> memoryview:
        """The loop's own buffer, after the headroom."""
        return read_buffer()[HEADROOM : HEADROOM + CHUNK]

    def buffer_updated(self, nbytes: int) -> None:
        """Pass on what a read brought."""
        if self._receiver is not None:
            self._receiver.data_received(read_buffer(), HEADROOM, HEADROOM + nbytes)
        else:
            self._early += read_buffer()[HEADROOM : HEADROOM + nbytes]

    def eof_received(self) -> bool:
        """Half-close: the transport stays open for our direction."""
        self._read_over = True
        if self._receiver is not None:
            self._receiver.eof_received()
        if self._write_over and self._transport is not None:
            self._transport.close()
        return True

    def pause_writing(self) -> None:
        """More waits than `WRITE_HIGH_WATER`."""
        self._full = True

    def resume_writing(self) -> None:
        """The socket's reader has caught up."""
        self._full = False
        if self._receiver is not None:
            self._receiver.writable()

    def connection_lost(self, exc: Exception | None) -> None:
        """The end of the socket, whoever made it."""
        self._over = True
        self._transport = None
        if exc is not None:
            self._error = _typed(exc)
        if self._receiver is not None:
            self._receiver.closed(self._error)

    # -- ends -------------------------------------------------------------------------------------

    def _reset_on_close(self) -> None:
        try:
            self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET_ON_CLOSE)
        except OSError:
            return  # already closed, or a kind of socket that knows no reset


def _typed(exc: Exception) -> KfwdError:
    if isinstance(exc, ConnectionResetError | BrokenPipeError):
        return ResetError("the connection was reset.")
    return LostError(str(exc) or type(exc).__name__)


async def open_socket(sock: socket.socket, address: Any) -> SocketStream:
    """Connect a fresh socket and make a stream of it; the socket is closed if that fails.

    Args:
        sock: unconnected; it may belong to another network namespace.
        address: as `socket.connect` takes it for the socket's family.

    Raises:
        OSError: nobody listens, or the address cannot be reached.
    """
    try:
        sock.setblocking(False)
        if not _connected_at_once(sock, address):
            await asyncio.get_running_loop().sock_connect(sock, address)
        return await accepted_socket(sock)
    except BaseException:
        sock.close()
        raise


def _connected_at_once(sock: socket.socket, address: Any) -> bool:
    """Try, and look again: on loopback the handshake is over when the first call returns.

    Raises:
        OSError: nobody listens, or the address cannot be reached.
    """
    if sys.platform != "linux":
        return False
    first = sock.connect_ex(address)
    number = sock.connect_ex(address) if first == errno.EINPROGRESS else first
    if number in (0, errno.EISCONN):
        return True
    if number in (errno.EALREADY, errno.EINPROGRESS, errno.EAGAIN):
        return False
    raise OSError(number, os.strerror(number))


async def accepted_socket(sock: socket.socket) -> SocketStream:
    """Make a stream of a connected socket."""
    if sock.family in (socket.AF_INET, socket.AF_INET6):
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    stream = SocketStream(sock)
    if sys.platform == "win32":  # its loop watches no descriptors
        sock.setblocking(False)
        close_in_children(sock)
        await asyncio.get_running_loop().create_connection(lambda: stream, sock=sock)
        stream.pause()
    else:
        PlainTransport(sock, stream).begin(paused=True)
    return stream
