"""Sockets that a forked child must not keep: a listener held by a child keeps its port taken."""

from __future__ import annotations

import contextlib
import os
import socket
import weakref

_sockets: weakref.WeakSet[socket.socket] = weakref.WeakSet()


def close_in_children(sock: socket.socket) -> None:
    """Have `sock` closed in every child that is forked from now on (`multiprocessing`)."""
    _sockets.add(sock)


def _after_fork() -> None:
    for sock in list(_sockets):
        descriptor = sock.detach()
        if descriptor >= 0:
            with contextlib.suppress(OSError):
                os.close(descriptor)


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)
