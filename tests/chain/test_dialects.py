"""What SPDY as Kubernetes runs it is known to break, and does not break here."""

from __future__ import annotations

import socket
import threading

import pytest
from peers.plain import connect, download, echo, get_json, read_head

from kfwd_nb import forward

pytestmark = pytest.mark.chain

UPGRADED = ("websocket", "spdy")
STALLED = 20
GIB = 1 << 30


def ask(port: int, count: int) -> socket.socket:
    sock = connect(port)
    sock.sendall(f"GET /bytes/{count} HTTP/1.1\r\nHost: pod\r\nConnection: close\r\n\r\n".encode())
    return sock


def read_count(sock: socket.socket) -> int:
    """How many octets of a body come until its end."""
    _, rest = read_head(sock)
    count, buffer = len(rest), bytearray(1 << 18)
    while got := sock.recv_into(buffer):
        count += got
    return count


@pytest.mark.parametrize("dialect", UPGRADED)
def test_a_gibibyte_comes_whole_after_a_half_close(cluster, dialect):
    """As kubectl's does not: there the download ends with the upload."""
    with forward("web", ":80", kubeconfig=cluster.kubeconfig, dialect=dialect) as fwd:
        with ask(fwd.local_port, GIB) as sock:
            sock.shutdown(socket.SHUT_WR)
            assert read_count(sock) == GIB


@pytest.mark.parametrize("dialect", UPGRADED)
def test_a_refused_port_leaves_a_download_whole(cluster, dialect):
    with forward("web", ":80", ":9", kubeconfig=cluster.kubeconfig, dialect=dialect) as fwd:
        web, refusing = (port.local for port in fwd.ports)
        counts: list[int] = []

        def read() -> None:
            with ask(web, GIB) as sock:
                counts.append(read_count(sock))

        reader = threading.Thread(target=read)
        reader.start()
        refused = 0
        while reader.is_alive():
            with connect(refusing) as sock, pytest.raises(ConnectionResetError):
                sock.recv(1)
            refused += 1
        assert counts == [GIB]
        assert refused > 3
        rows = [each for each in fwd.connections() if each.remote == 9]
        assert all("nobody listens on port 9" in each.reason for each in rows if each.closed)


@pytest.mark.parametrize("dialect", UPGRADED)
def test_stalled_readers_harm_nobody(cluster, dialect):
    with forward("web", ":80", ":7", kubeconfig=cluster.kubeconfig, dialect=dialect) as fwd:
        web, echoes = (port.local for port in fwd.ports)
        stalled = [ask(web, 1 << 40) for _ in range(STALLED)]
        try:
            for each in stalled:
                read_head(each)  # it flows, and then nobody reads
            with connect(echoes) as sock:
                for _ in range(50):
                    assert echo(sock, b"alive") == b"alive"
            sha256, length = download(web, 64 << 20)
            assert (sha256, length) == tuple(get_json(web, f"/hash/{64 << 20}").values())
        finally:
            for sock in stalled:
                sock.close()
