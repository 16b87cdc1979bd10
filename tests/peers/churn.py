"""Holds connections to a local port, and replaces some of them each second, until it is ended.

python churn.py PORT HELD A_SECOND
"""

from __future__ import annotations

import socket
import sys
import time
from collections import deque


def opened(port: int) -> socket.socket:
    """A connection on which a byte has gone there and back."""
    sock = socket.create_connection(("127.0.0.1", port))
    sock.sendall(b"x")
    sock.recv(1)
    return sock


def main() -> None:
    """Say `ready` when all are open; then close the oldest and open another, in step."""
    port, held, rate = map(int, sys.argv[1:])
    connections = deque(opened(port) for _ in range(held))
    print("ready", flush=True)
    due = time.monotonic()
    while True:
        connections.popleft().close()
        connections.append(opened(port))
        due += 1 / rate
        time.sleep(max(0.0, due - time.monotonic()))


if __name__ == "__main__":
    main()
