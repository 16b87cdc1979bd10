"""What the kernel knows of a local program that has ended its direction."""

from __future__ import annotations

import socket
import subprocess
import sys

import pytest
from peers.relay import until

from kfwd_nb.client.local import half_close
from kfwd_nb.client.local.half_close import peer, peer_has_closed

pytestmark = [
    pytest.mark.chain,
    pytest.mark.skipif(sys.platform != "linux", reason="sock_diag is Linux's"),
]


@pytest.fixture(params=["127.0.0.1", "::1"])
def pair(request):
    """(the program's socket, the forward's end of it)."""
    family = socket.AF_INET6 if ":" in request.param else socket.AF_INET
    with socket.create_server((request.param, 0), family=family) as server:
        program = socket.create_connection(server.getsockname()[:2])
        accepted, _ = server.accept()
    with program, accepted:
        yield program, accepted


def unread(sock: socket.socket) -> int | None:
    found = peer(sock)
    return None if found is None else found.unread


def test_a_program_that_is_there(pair):
    assert peer_has_closed(pair[1]) is False


def test_shutdown_is_a_half_close(pair):
    program, accepted = pair
    program.shutdown(socket.SHUT_WR)
    assert accepted.recv(1) == b""
    assert peer_has_closed(accepted) is False
    program.close()
    assert until(lambda: peer_has_closed(accepted)), "and then the program is gone"


def test_close_is_not(pair):
    program, accepted = pair
    program.close()
    assert accepted.recv(1) == b""
    assert until(lambda: peer_has_closed(accepted))


def test_what_a_program_has_not_read_is_octets_only(pair):
    """The kernel counts an end that was not read yet as one more."""
    program, accepted = pair
    accepted.sendall(b"unread")
    assert until(lambda: unread(accepted) == 6)
    accepted.shutdown(socket.SHUT_WR)
    assert unread(accepted) == 6
    assert program.recv(6) == b"unread"
    assert unread(accepted) == 0
    assert program.recv(1) == b""
    assert unread(accepted) == 0


def test_a_socket_that_a_child_still_holds_is_not_closed(pair):
    program, accepted = pair
    child = subprocess.Popen(["sleep", "60"], pass_fds=[program.fileno()])
    try:
        program.shutdown(socket.SHUT_WR)
        program.close()
        assert peer_has_closed(accepted) is False
    finally:
        child.kill()
        child.wait()
    assert until(lambda: peer_has_closed(accepted))


def test_a_reset_leaves_no_socket(pair):
    program, accepted = pair
    program.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
    name = accepted.getpeername()
    program.close()
    assert until(lambda: half_close._ask(accepted.family, name, accepted.getsockname()).inode == 0)


def test_what_is_no_loopback_tcp_cannot_be_known():
    one, other = socket.socketpair()
    with one, other:
        assert peer_has_closed(one) is None
    assert peer_has_closed(one) is None, "a socket that is closed itself"


@pytest.mark.parametrize("trouble", [PermissionError(1, "no"), TimeoutError()])
def test_a_kernel_that_does_not_say(pair, monkeypatch, trouble):
    def refuse(*_):
        raise trouble

    monkeypatch.setattr(half_close, "_ask", refuse)
    assert peer_has_closed(pair[1]) is None


def test_another_system(pair, monkeypatch):
    monkeypatch.setattr(half_close.sys, "platform", "darwin")
    assert peer_has_closed(pair[1]) is None
