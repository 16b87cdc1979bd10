"""A connected socket without TLS behind the same transport as one with it."""

from __future__ import annotations

import asyncio
import socket

from kfwd_nb.transport.forks import close_in_children
from kfwd_nb.transport.tls_transport import TlsTransport


class _Bare(socket.socket):
    """What `TlsTransport` asks of a secured socket, of a bare one."""

    context = None

    def pending(self) -> int:
        """Nothing waits between the kernel and us."""
        return 0

    def unwrap(self) -> None:
        """No close_notify to say."""


class PlainTransport(TlsTransport):
    """Moves bytes between a bare socket and its protocol.

    asyncio's own transport keeps a reference to what `write` could not send at once (from Python
    3.12 on); this one copies it, so that a protocol may use its buffer again.
    """

    def __init__(self, sock: socket.socket, protocol: asyncio.BaseProtocol) -> None:
        sock.setblocking(False)
        bare = _Bare(sock.family, sock.type, sock.proto, fileno=sock.detach())
        close_in_children(bare)
        super().__init__(bare, protocol)  # type: ignore[arg-type]
