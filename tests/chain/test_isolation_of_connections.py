"""What one connection does must not be felt by another."""

from __future__ import annotations

import socket

import pytest
from peers.plain import connect, download, echo, get_json
from peers.processes import processes

from kfwd_nb import forward

pytestmark = pytest.mark.chain

HELD = 2_000
STALLED = 20
STREAM_WINDOW = 1 << 20
MIB = 1 << 20


def test_two_thousand_connections_are_held_and_each_answers(cluster):
    with forward("web", ":7", kubeconfig=cluster.kubeconfig, name="many") as fwd:
        held = [connect(fwd.local_port) for _ in range(HELD)]
        try:
            for number, sock in enumerate(held):
                word = b"%06d" % number
                assert echo(sock, word) == word
            assert fwd.totals.open == HELD
            assert fwd.totals.failed == 0
        finally:
            for sock in held:
                sock.close()


def test_a_refused_port_ends_its_own_connection_only(cluster):
    with forward("web", ":7", ":9", kubeconfig=cluster.kubeconfig, name="refused") as fwd:
        with connect(fwd.ports[0].local) as good:
            assert echo(good, b"before") == b"before"
            with pytest.raises(ConnectionResetError), connect(fwd.ports[1].local) as bad:
                bad.recv(1)
            assert echo(good, b"after") == b"after"
        row = next(each for each in fwd.connections() if each.failed)
        assert "nobody listens on port 9" in row.reason
        assert fwd.ready


def stall(port: int) -> socket.socket:
    """A reader that asks for a tebibyte and never reads."""
    sock = socket.socket()
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    sock.connect(("127.0.0.1", port))
    sock.sendall(b"GET /bytes/1099511627776 HTTP/1.1\r\nHost: pod\r\n\r\n")
    return sock


def test_stalled_readers_harm_nobody_and_memory_is_bounded_by_their_windows(cluster):
    with forward("web", ":80", ":7", kubeconfig=cluster.kubeconfig, name="stalled") as fwd:
        web, echoes = (port.local for port in fwd.ports)
        download(web, 64 * MIB)  # every buffer has had its size once
        watched = processes(cluster)
        before = {name: each.memory_info().rss for name, each in watched.items()}
        stalled = [stall(web) for _ in range(STALLED)]
        try:
            with connect(echoes) as sock:
                for _ in range(50):
                    assert echo(sock, b"alive") == b"alive"
            sha256, length = download(web, 256 * MIB)
            assert (sha256, length) == tuple(get_json(web, f"/hash/{256 * MIB}").values())
            rows = [each for each in fwd.connections() if each.state != "closed"]
            assert sum(each.bytes_in <= 8 * STREAM_WINDOW for each in rows) >= STALLED
            for name, process in watched.items():
                grown = process.memory_info().rss - before[name]
                # One window for each stalled stream, and as much again for what allocators keep.
                assert grown < 2 * STALLED * STREAM_WINDOW + 16 * MIB, (name, grown)
        finally:
            for sock in stalled:
                sock.close()
