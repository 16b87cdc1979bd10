"""What is measured on a local port that leads to `load_server.py`, however it leads there."""

from __future__ import annotations

import contextlib
import socket
import statistics
import time

VOLUME = 1 << 29
ECHOES = 2_000
OPENS = 100
STALLED = 20
BLOCK = bytes(1 << 18)

PATIENCE = 5.0
"""Seconds after which a path counts as standing still."""


def connect(port: int) -> socket.socket:
    sock = socket.create_connection(("127.0.0.1", port))
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return sock


def download(port: int) -> float:
    """MB/s."""
    buffer = bytearray(1 << 18)
    with connect(port) as sock:
        sock.sendall(b"d%32d" % VOLUME)
        sock.recv(1)
        began, left = time.perf_counter(), VOLUME - 1
        while left > 0 and (got := sock.recv_into(buffer)):
            left -= got
        assert left == 0
        return VOLUME / (time.perf_counter() - began) / 1e6


def upload(port: int) -> float:
    """MB/s, until the server has all of it."""
    with connect(port) as sock:
        began = time.perf_counter()
        sock.sendall(b"u%32d" % VOLUME)
        for _ in range(VOLUME // len(BLOCK)):
            sock.sendall(BLOCK)
        assert sock.recv(1) == b"!"
        return VOLUME / (time.perf_counter() - began) / 1e6


def echo(port: int, echoes: int = ECHOES) -> float:
    """Microseconds for one byte there and back."""
    times = []
    with connect(port) as sock:
        sock.settimeout(PATIENCE)
        sock.sendall(b"ex")
        assert sock.recv(1) == b"x"
        for _ in range(echoes):
            began = time.perf_counter()
            sock.sendall(b"x")
            sock.recv(1)
            times.append(time.perf_counter() - began)
    return statistics.median(times) * 1e6


def opening(port: int) -> float:
    """Milliseconds to connect and have one byte back."""
    times = []
    for _ in range(OPENS):
        began = time.perf_counter()
        with connect(port) as sock:
            sock.sendall(b"ex")
            sock.recv(1)
            times.append(time.perf_counter() - began)
    return statistics.median(times) * 1e3


def stalled(port: int) -> float | None:
    """The echo beside `STALLED` readers that do not read, over the echo without them.

    None where it stands still.
    """
    before = echo(port)
    with contextlib.ExitStack() as stack:
        for _ in range(STALLED):
            reader = stack.enter_context(connect(port))
            reader.sendall(b"d%32d" % (1 << 40))
            reader.settimeout(PATIENCE)
            try:
                reader.recv(1)
            except TimeoutError:
                return None
        time.sleep(1)  # until every buffer on the way is full
        try:
            return echo(port) / before
        except TimeoutError:
            return None
