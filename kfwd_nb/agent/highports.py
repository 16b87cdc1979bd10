"""Ports that stand for a pod's own where it has no network of its own (`loopback` isolation)."""

from __future__ import annotations

import random
import socket
from collections.abc import Container

HIGH_PORTS = range(20_000, 32_768)
"""Below the ports that Linux (32768 and up) and other systems (49152 and up) give to outgoing
connections: one of those could take a port between our choice and the pod's bind."""


def choose(given: Container[int]) -> int | None:
    """A high port that nobody has now and that is not among `given`; None when there is none."""
    for port in random.sample(HIGH_PORTS, len(HIGH_PORTS)):
        if port not in given and is_free(port):
            return port
    return None


def is_free(port: int) -> bool:
    """Whether a server could bind the port on 127.0.0.1 now."""
    with socket.socket() as sock:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            sock.bind(("127.0.0.1", port))
        except OSError:
            return False
        return True
