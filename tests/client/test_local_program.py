"""Whose the other end of a local connection is, as far as the system tells it."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import sys
from contextlib import contextmanager

import pytest
from peers.relay import until

from kfwd_nb.client.local.program import OURSELVES, programs

pytestmark = [
    pytest.mark.chain,
    pytest.mark.skipif(sys.platform != "linux", reason="/proc is Linux's"),
]


@contextmanager
def held(sock: socket.socket, *names: str, folder):
    """Programs of those names have the socket; the test has not."""
    inode = os.fstat(sock.fileno()).st_ino
    running = []
    for name in names:
        shutil.copy(shutil.which("sleep"), folder / name)
        running.append(subprocess.Popen([folder / name, "60"], pass_fds=[sock.fileno()]))
    sock.close()
    try:
        yield inode
    finally:
        for each in running:
            each.kill()
            each.wait()


def test_this_process_is_called_the_kernel():
    with socket.socket() as sock:
        inode = os.fstat(sock.fileno()).st_ino
        assert programs([inode]) == {inode: OURSELVES}


def test_another_program_has_its_own_name(tmp_path):
    with held(socket.socket(), "reader", folder=tmp_path) as inode, socket.socket() as own:
        ours = os.fstat(own.fileno()).st_ino
        assert until(lambda: programs([inode, ours]) == {inode: "reader", ours: OURSELVES})


def test_of_a_socket_that_several_programs_share_nothing_is_said(tmp_path):
    with held(socket.socket(), "one", "other", folder=tmp_path) as inode:
        assert programs([inode]) == {}


def test_a_socket_that_nobody_has_is_nobodys():
    assert programs([2**40]) == {}


def test_programs_of_other_users_are_not_named(tmp_path, monkeypatch):
    with held(socket.socket(), "reader", folder=tmp_path) as inode:
        assert until(lambda: programs([inode]))
        monkeypatch.setattr(os, "geteuid", lambda: 54321)
        assert programs([inode]) == {}
