"""What the system tells of a connected socket."""

from __future__ import annotations

import socket
import sys
import time
from contextlib import suppress

import pytest
from peers.relay import until

from kfwd_nb.transport.socket_facts import socket_facts

pytestmark = [
    pytest.mark.chain,
    pytest.mark.skipif(sys.platform != "linux", reason="the queues are Linux's"),
]


def unsent(sock: socket.socket) -> int:
    facts = socket_facts(sock)
    assert facts is not None
    return facts.unsent


def test_what_waits_to_be_sent_is_octets_only():
    """The kernel counts an end that waits behind them as one more."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        program = socket.create_connection(server.getsockname())
        sock, _ = server.accept()
    with program, sock:
        sock.setblocking(False)
        given = 0
        with suppress(BlockingIOError):
            while True:
                given += sock.send(bytes(65536))
        looks = [given, unsent(sock)]
        while looks[-1] != looks[-2] or looks[-1] == given:  # until the other side is full, too
            time.sleep(0.1)
            looks.append(unsent(sock))
        sock.shutdown(socket.SHUT_WR)
        assert unsent(sock) == looks[-1] > 0
        left = given
        while piece := program.recv(1 << 20):
            left -= len(piece)
        assert left == 0
        assert until(lambda: unsent(sock) == 0)


def test_a_socket_that_is_closed_tells_nothing():
    one, other = socket.socketpair()
    with one, other:
        facts = socket_facts(one)
        assert facts is not None
        assert facts.rtt is None, "no TCP"
    assert socket_facts(one) is None
