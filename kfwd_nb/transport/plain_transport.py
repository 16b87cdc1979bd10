"""A connected socket without TLS as a transport, half-close included."""

from __future__ import annotations

import asyncio
import socket

from kfwd_nb.transport.forks import close_in_children
from kfwd_nb.transport.socket_transport import WOULD_BLOCK, SocketTransport


class PlainTransport(SocketTransport):
    """Moves bytes between a bare socket and its protocol."""

    def __init__(self, sock: socket.socket, protocol: asyncio.BaseProtocol) -> None:
        sock.setblocking(False)
        close_in_children(sock)
        super().__init__(sock, protocol)

    def receive(self, buffer: memoryview) -> tuple[int, bool]:
        """See `SocketTransport.receive`; one read."""
        try:
            count = self._socket.recv_into(buffer)
        except WOULD_BLOCK:
            return 0, False
        return count, not count

    def send(self, data: memoryview) -> memoryview:
        """See `SocketTransport.send`; one write."""
        try:
            return data[self._socket.send(data) :]
        except WOULD_BLOCK:
            return data[:]

    def can_write_eof(self) -> bool:
        """TCP and Unix sockets have a half-close."""
        return True
