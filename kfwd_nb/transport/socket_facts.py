"""What Linux tells of a connected TCP socket: octets on their way, and its round trip."""

from __future__ import annotations

import socket
import struct
import sys

from kfwd_nb.protocol.hops import SocketFacts

_RTT = struct.Struct("=68xI")
"""`tcpi_rtt` of struct tcp_info (linux/tcp.h), microseconds."""


def socket_facts(sock: socket.socket) -> SocketFacts | None:
    """Queues (SIOCOUTQ, SIOCINQ) and round trip (TCP_INFO); None where the system tells nothing."""
    if sys.platform != "linux":
        return None
    try:
        unsent, unread = _queues(sock)
    except (OSError, ValueError):  # closed meanwhile
        return None
    try:
        (rtt,) = _RTT.unpack_from(sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, _RTT.size))
    except (OSError, struct.error):  # a Unix socket
        return SocketFacts(unsent, unread)
    return SocketFacts(unsent, unread, rtt / 1e6)


def _queues(sock: socket.socket) -> list[int]:
    """Octets in a socket's queues: to be sent, to be read."""
    import fcntl
    import termios

    answers = [
        fcntl.ioctl(sock.fileno(), which, bytes(4))
        for which in (termios.TIOCOUTQ, termios.FIONREAD)
    ]
    return [struct.unpack("i", each)[0] for each in answers]
