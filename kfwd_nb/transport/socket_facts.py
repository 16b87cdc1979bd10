"""What Linux tells of a connected TCP socket: octets on their way, and its round trip."""

from __future__ import annotations

import socket
import struct
import sys

from kfwd_nb.protocol.hops import SocketFacts

if sys.platform == "linux":
    import fcntl
    import termios

_RTT = struct.Struct("=68xI")
"""`tcpi_rtt` of struct tcp_info (linux/tcp.h), microseconds."""


def socket_facts(sock: socket.socket) -> SocketFacts | None:
    """Queues (SIOCOUTQ, SIOCINQ) and round trip (TCP_INFO); None where the system tells nothing."""
    if sys.platform != "linux":
        return None
    try:
        unsent = _queue(sock, termios.TIOCOUTQ)
        unread = _queue(sock, termios.FIONREAD)
    except (OSError, ValueError):  # closed meanwhile
        return None
    try:
        (rtt,) = _RTT.unpack_from(sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, _RTT.size))
    except (OSError, struct.error):  # a Unix socket
        return SocketFacts(unsent, unread)
    return SocketFacts(unsent, unread, rtt / 1e6)


def _queue(sock: socket.socket, which: int) -> int:
    """Octets in one of a socket's queues."""
    (count,) = struct.unpack("i", fcntl.ioctl(sock.fileno(), which, bytes(4)))
    return int(count)
