"""What a forked child (multiprocessing in a cell) must not keep of its parent's sockets."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

pytestmark = pytest.mark.chain

PROGRAM = """
import asyncio, json, os, socket, ssl, struct, sys, time
from pathlib import Path
from kfwd_nb.client.local.listener import listen
from kfwd_nb.errors import ResetError
from kfwd_nb.transport.endpoint import Endpoint
from kfwd_nb.transport.loop_thread import loop_thread
from kfwd_nb.transport.server import serve
from kfwd_nb.transport.sockets import accepted_socket
from kfwd_nb.transport.tls import client_context, server_context
from kfwd_nb.transport.http2.client import Tunnel

class Handler:
    hop = "relay"

async def prepare():
    global tunnel, stream, local, listener
    server = await serve(Handler(), server_context(Path(sys.argv[1]), Path(sys.argv[2])))
    tunnel = await Tunnel.open(
        Endpoint("127.0.0.1", server.port, client_context(Path(sys.argv[3])))
    )
    (listener,) = listen("127.0.0.1", 0, 80)
    local = socket.create_connection(listener.getsockname())
    while True:
        try:
            accepted, _ = listener.accept()
            break
        except BlockingIOError:
            await asyncio.sleep(0.001)
    stream = await accepted_socket(accepted)

loop_thread().run(prepare())
before = loop_thread()
mine = {
    "listener": listener.fileno(),
    "tunnel": tunnel._driver.transport.get_extra_info("socket").fileno(),
    "accepted": stream._transport.get_extra_info("socket").fileno(),
}
name = listener.getsockname()
inodes = {what: os.fstat(fd).st_ino for what, fd in mine.items()}
read, write = os.pipe()
child = os.fork()
if child == 0:
    held = {os.fstat(int(fd)).st_ino for fd in os.listdir("/proc/self/fd")
            if os.path.exists(f"/proc/self/fd/{fd}")}
    kept = sorted(what for what, inode in inodes.items() if inode in held)
    fresh = loop_thread() is not before and loop_thread().run(asyncio.sleep(0, "runs"))
    os.write(write, json.dumps({"kept": kept, "fresh": fresh}).encode())
    time.sleep(60)
    os._exit(0)
answer = json.loads(os.read(read, 1 << 16))

async def end():
    stream.close(ResetError("x"))

loop_thread().run(end())
local.settimeout(20)
try:
    answer["seen by the local program"] = repr(local.recv(1))
except ConnectionResetError:
    answer["seen by the local program"] = "reset"
listener.close()
try:
    socket.create_server(name).close()
    answer["port"] = "free"
except OSError as error:
    answer["port"] = str(error)
os.kill(child, 9)
os.waitpid(child, 0)
print(json.dumps(answer))
"""


@pytest.fixture(scope="module")
def answer(authority) -> dict[str, object]:
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, *authority.issue("fork"), authority.ca],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def test_a_child_holds_no_listener_no_tunnel_and_no_accepted_connection(answer):
    assert answer["kept"] == []


def test_a_port_is_free_though_a_child_lives(answer):
    assert answer["port"] == "free"


def test_a_reset_reaches_the_local_program_though_a_child_lives(answer):
    assert answer["seen by the local program"] == "reset"


def test_a_child_has_a_loop_of_its_own(answer):
    assert answer["fresh"] == "runs"
