"""What Linux tells of a connected TCP socket: octets on their way, and its round trip."""

from __future__ import annotations

import socket
import struct
import sys

from kfwd_nb.protocol.hops import SocketFacts

_INFO = struct.Struct("=B67xI")
"""`tcpi_state` and `tcpi_rtt` (microseconds) of struct tcp_info (linux/tcp.h)."""

_FIN_UNANSWERED = (4, 9, 11)
"""TCP_FIN_WAIT1, TCP_LAST_ACK, TCP_CLOSING (linux/tcp_states.h): SIOCOUTQ counts our FIN, too."""


def socket_facts(sock: socket.socket) -> SocketFacts | None:
    """Queues (SIOCOUTQ, SIOCINQ) and round trip (TCP_INFO); None where the system tells nothing."""
    if sys.platform != "linux":
        return None
    try:
        unsent, unread = _queues(sock)
    except (OSError, ValueError):  # closed meanwhile
        return None
    try:
        info = sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, _INFO.size)
        state, rtt = _INFO.unpack_from(info)
    except (OSError, struct.error):  # a Unix socket
        return SocketFacts(unsent, unread)
    if state in _FIN_UNANSWERED:
        unsent = max(0, unsent - 1)
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
