"""Local ports that cannot be had: who has them, and what to do."""

from __future__ import annotations

import errno
import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from kfwd_nb.client.local import listener
from kfwd_nb.client.local.listener import listen, listen_error
from kfwd_nb.errors import ListenError

pytestmark = pytest.mark.chain


def close(sockets: list[socket.socket]) -> None:
    for sock in sockets:
        sock.close()


def test_a_free_port_is_the_same_one_in_both_families():
    sockets = listen("localhost", 0, 80)
    names = [sock.getsockname() for sock in sockets]
    assert [name[0] for name in names] == ["127.0.0.1", "::1"]
    assert names[0][1] == names[1][1]
    close(sockets)


def test_without_ipv6_localhost_is_one_address(monkeypatch):
    monkeypatch.setattr(listener, "_has_ipv6_loopback", lambda: False)
    (sock,) = listen("localhost", 0, 80)
    assert sock.getsockname()[0] == "127.0.0.1"
    sock.close()


def test_a_free_port_is_drawn_again_when_only_one_family_has_it(monkeypatch):
    """Each port that 127.0.0.1 gives is taken on ::1, twice; the third is not."""
    real, taken = listener._bind, []

    def bind(address: str, port: int) -> socket.socket:
        if address == "::1" and len(taken) < 2:
            taken.append(port)
            raise OSError(errno.EADDRINUSE, "in use")
        return real(address, port)

    monkeypatch.setattr(listener, "_bind", bind)
    sockets = listen("localhost", 0, 80)
    assert len(taken) == 2
    assert sockets[0].getsockname()[1] == sockets[1].getsockname()[1]
    close(sockets)


@pytest.fixture(params=["127.0.0.1", "::1"])
def holder(request, tmp_path: Path):
    """Another process that listens: (address, port, pid); it is called `holder.py`."""
    program = tmp_path / "holder.py"
    program.write_text(
        "import socket, sys\n"
        "family = socket.AF_INET6 if ':' in sys.argv[1] else socket.AF_INET\n"
        "sock = socket.create_server((sys.argv[1], 0), family=family)\n"
        "print(sock.getsockname()[1], flush=True)\n"
        "sys.stdin.read()\n"
    )
    with subprocess.Popen(
        [sys.executable, str(program), request.param],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    ) as process:
        assert process.stdout is not None
        yield request.param, int(process.stdout.readline()), process.pid
        process.kill()


def test_a_port_that_another_process_holds_in_either_family_names_it(holder):
    address, port, pid = holder
    with pytest.raises(ListenError) as caught:
        listen("localhost", port, 80)
    shown = f"[{address}]" if ":" in address else address
    assert caught.value.what == (
        f"Unable to listen on port {port}: {shown}:{port} is in use by holder.py (pid {pid})."
    )
    assert ":80" in (caught.value.hint or "")
    # What could be bound for a moment is free again.
    other = "::1" if address == "127.0.0.1" else "127.0.0.1"
    close(listen(other, port, 80))


def test_a_port_that_this_process_holds():
    with socket.create_server(("127.0.0.1", 0)) as mine:
        with pytest.raises(ListenError, match="is in use by this very process"):
            listen("localhost", mine.getsockname()[1], 80)


AS_NOBODY = """
import os
from kfwd_nb.client.local.listener import listen
from kfwd_nb.errors import ListenError
import psutil, encodings.idna
if os.geteuid() == 0:
    os.setgroups([])
    os.setgid(65534)
    os.setuid(65534)
try:
    listen("localhost", 80, 80)
except ListenError as error:
    print(error)
"""


def test_a_port_below_1024_without_the_right_to_it():
    first_free = int(Path("/proc/sys/net/ipv4/ip_unprivileged_port_start").read_text())
    assert first_free > 80, "this machine lets everybody bind port 80"
    done = subprocess.run(
        [sys.executable, "-c", AS_NOBODY], capture_output=True, text=True, timeout=60, check=True
    )
    assert done.stdout.splitlines() == [
        "Unable to listen on port 80: this user may not bind ports below 1024.",
        "hint: use a port above, as in 8080:80, or :80 for any free one.",
    ]


@pytest.mark.parametrize(
    "address", ["192.0.2.1", "2001:db8::1", "no such host", "::ffff:1:2:3:4:5:6"]
)
def test_an_address_that_is_not_ours(address):
    with pytest.raises(ListenError, match="is no address of this machine"):
        listen(address, 0, 80)


@pytest.mark.parametrize(
    ("code", "port", "words", "hint"),
    [
        (errno.EACCES, 443, "may not bind ports below 1024", "8443:443, or :443"),
        (errno.EPERM, 443, "may not bind ports below 1024", "8443:443, or :443"),
        (errno.EACCES, 8443, os.strerror(errno.EACCES), "another local port, or :443"),
        (errno.EADDRNOTAVAIL, 443, "is no address of this machine", "0.0.0.0 is every address"),
        (errno.ENOBUFS, 443, os.strerror(errno.ENOBUFS), "another local port, or :443"),
    ],
)
def test_what_the_system_says_in_a_persons_words(code, port, words, hint):
    error = listen_error(OSError(code, os.strerror(code)), "127.0.0.1", port, 443)
    assert words in error.what
    assert hint in (error.hint or "")
    assert error.where == "client"
