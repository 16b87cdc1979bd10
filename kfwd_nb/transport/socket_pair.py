"""Two connected TCP sockets of this process."""

from __future__ import annotations

import socket

HOST = "127.0.0.1"

PATIENCE = 5.0
"""Seconds within which our own connection is accepted."""


def socket_pair() -> tuple[socket.socket, socket.socket]:
    """Two TCP sockets that are each other's peers.

    `socket.socketpair` gives Unix sockets, which know no reset: a connection that broke looks to
    their reader like one that ended well. The listener is gone when this returns, and a stranger
    who found it is turned away.

    Raises:
        OSError: this process may not have them.
    """
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as listener:
        listener.bind((HOST, 0))
        listener.listen()
        listener.settimeout(PATIENCE)
        ours = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        try:
            ours.connect(listener.getsockname())
            ours.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            while True:
                theirs, peer = listener.accept()
                if peer == ours.getsockname():
                    return ours, theirs
                theirs.close()
        except BaseException:
            ours.close()
            raise
