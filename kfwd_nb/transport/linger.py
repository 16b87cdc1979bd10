"""The lingering close (RFC 9112 §9.6): what was sent last must not be lost to a reset.

A kernel answers a close with a reset when octets lie there unread, and a reset makes the peer's
kernel throw away what the peer has not read yet.
"""

from __future__ import annotations

import asyncio
import socket

from kfwd_nb.transport.forks import close_in_children

LINGER_TIMEOUT = 2.0
"""Seconds that a peer has to read our last words and close. nginx gives 5, Go's server 0.5."""

LINGER_OCTETS = 64 << 20
"""Octets that are thrown away for a peer that goes on sending; then it is cut off."""

_PIECE = 1 << 16


async def linger(sock: socket.socket) -> None:
    """End our direction, throw away what comes until the peer ends its own; then close.

    Nothing but this may read `sock`, a non-blocking one. TLS on it is not looked at any more.
    """
    loop = asyncio.get_running_loop()
    scratch = bytearray(_PIECE)
    left = LINGER_OCTETS
    bare = socket.socket(sock.family, sock.type, sock.proto, fileno=sock.detach())
    bare.setblocking(False)
    close_in_children(bare)
    try:
        async with asyncio.timeout(LINGER_TIMEOUT):
            bare.shutdown(socket.SHUT_WR)
            while left > 0 and (count := await loop.sock_recv_into(bare, scratch)):
                left -= count
    except (OSError, TimeoutError):
        pass  # it is gone, or will not go: there is nothing more to wait for
    finally:
        bare.close()
