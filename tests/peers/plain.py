"""A plain TCP client of the tests: blocking sockets, as a user's program would use them."""

from __future__ import annotations

import hashlib
import json
import socket
from typing import Any

PIECE = memoryview(bytes(range(256)) * 1024)
"""256 KiB that repeat no sooner than every 256 bytes."""


def connect(port: int, timeout: float = 60.0) -> socket.socket:
    sock = socket.create_connection(("127.0.0.1", port), timeout=timeout)
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return sock


def read_all(sock: socket.socket) -> bytes:
    gathered = bytearray()
    while data := sock.recv(1 << 18):
        gathered += data
    return bytes(gathered)


def read_head(sock: socket.socket) -> tuple[bytes, bytes]:
    """(head of an HTTP answer, what came of its body with it)."""
    gathered = bytearray()
    while b"\r\n\r\n" not in gathered:
        data = sock.recv(1 << 16)
        assert data, bytes(gathered)
        gathered += data
    head, _, rest = bytes(gathered).partition(b"\r\n\r\n")
    return head, rest


def get_json(port: int, path: str) -> Any:
    with connect(port) as sock:
        sock.sendall(f"GET {path} HTTP/1.1\r\nHost: pod\r\nConnection: close\r\n\r\n".encode())
        return json.loads(read_all(sock).partition(b"\r\n\r\n")[2])


def download(port: int, count: int) -> tuple[str, int]:
    """GET /bytes/N: (sha256, length) of what came."""
    digest, length = hashlib.sha256(), 0
    buffer = bytearray(1 << 18)
    with connect(port) as sock:
        sock.sendall(
            f"GET /bytes/{count} HTTP/1.1\r\nHost: pod\r\nConnection: close\r\n\r\n".encode()
        )
        _, rest = read_head(sock)
        digest.update(rest)
        length += len(rest)
        while got := sock.recv_into(buffer):
            digest.update(memoryview(buffer)[:got])
            length += got
    return digest.hexdigest(), length


def upload_until_eof(port: int, count: int) -> tuple[str, Any]:
    """POST /hash with a body that only EOF ends: (sha256 sent, the answer that came after EOF)."""
    digest = hashlib.sha256()
    with connect(port) as sock:
        sock.sendall(b"POST /hash HTTP/1.1\r\nHost: pod\r\nConnection: close\r\n\r\n")
        for start in range(0, count, len(PIECE)):
            piece = PIECE[: count - start]
            digest.update(piece)
            sock.sendall(piece)
        sock.shutdown(socket.SHUT_WR)
        answer = read_all(sock).partition(b"\r\n\r\n")[2]
    return digest.hexdigest(), json.loads(answer)


def echo(sock: socket.socket, data: bytes) -> bytes:
    sock.sendall(data)
    gathered = bytearray()
    while len(gathered) < len(data):
        piece = sock.recv(len(data) - len(gathered))
        assert piece, "the connection ended"
        gathered += piece
    return bytes(gathered)
