"""What every connector must do: one suite over all of them."""

from __future__ import annotations

import asyncio
import errno
import hashlib
import os
import signal
import socket
from collections.abc import AsyncIterator
from pathlib import Path

import psutil
import pytest
from agent.nodes import Client, echo_pod, python_pod, ready, running_node, sleeping_pod, until

from kfwd_nb.agent.agent import Node
from kfwd_nb.agent.connectors import connect as connect_socket
from kfwd_nb.agent.connectors import loopback, netns
from kfwd_nb.agent.connectors.socat import SocatConnector
from kfwd_nb.errors import RefusedError, ResetError, UnavailableError

pytestmark = pytest.mark.chain

MIB = 1 << 20

ONE_SHOT = """
import os, socket
server = socket.create_server(("127.0.0.1", int(os.environ["KFWD_PORT_80"])))
for _ in range(100):
    connection, _ = server.accept()
    with connection:
"""


@pytest.fixture(
    params=[
        ("netns", "netns"),
        ("netns", "socat"),
        ("loopback", "loopback"),
        ("loopback", "socat"),
    ],
    ids="/".join,
)
async def node(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Node]:
    async with running_node(tmp_path, *request.param) as parts:
        yield parts


async def connect(node: Node, program: str) -> Client:
    """A client of a pod whose Python `program` handles each `connection` it accepts."""
    body = "".join(f"        {line}\n" for line in program.strip().split("\n"))
    place = await ready(node, python_pod("web", ONE_SHOT + body, ports=[80]))
    return Client(await node.connector.open(place, 80))


async def over(client: Client):
    return await asyncio.wait_for(asyncio.shield(client.over), 10)


async def test_echo_and_the_reply_after_our_end(node):
    place = await ready(node, echo_pod("web", 80))
    client = Client(await node.connector.open(place, 80))
    await client.send(b"hello")
    await until(lambda: client.data == b"hello")
    client.stream.write_eof()
    assert await over(client) is None
    assert client.data == b"hellobye"
    assert client.ended


async def test_eight_mebibytes_each_way_with_hash(node):
    client = await connect(
        node,
        """
import hashlib
data = random = os.urandom(1 << 20) * 8
connection.sendall(data)
connection.shutdown(socket.SHUT_WR)
received = hashlib.sha256()
while piece := connection.recv(1 << 16):
    received.update(piece)
print(hashlib.sha256(data).hexdigest(), received.hexdigest(), flush=True)
""",
    )
    data = os.urandom(MIB) * 8
    await client.send(data)
    client.stream.write_eof()
    assert await over(client) is None
    assert len(client.data) == 8 * MIB
    log = next(iter(node.pods.list()))
    assert log.status.phase == "Running"
    (sandbox,) = node.runtime.sandboxes
    text = await until(lambda: sandbox.directory.last_words("web", 0))
    assert text.split() == [
        hashlib.sha256(client.data).hexdigest(),
        hashlib.sha256(data).hexdigest(),
    ]


async def test_the_pods_end_leaves_our_direction_open(node):
    client = await connect(
        node,
        """
connection.sendall(b"done")
connection.shutdown(socket.SHUT_WR)
while piece := connection.recv(1 << 16):
    print(piece, flush=True)
""",
    )
    await until(lambda: client.ended)
    assert client.data == b"done"
    assert not client.over.done()
    await client.send(b"and you?")
    client.stream.write_eof()
    assert await over(client) is None
    (sandbox,) = node.runtime.sandboxes
    await until(lambda: sandbox.directory.last_words("web", 0) == "b'and you?'")


async def test_a_reset_is_an_error_and_not_an_end(node):
    client = await connect(
        node,
        """
import struct
connection.sendall(b"half of i")
connection.recv(1)
connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
""",
    )
    await until(lambda: client.data == b"half of i")
    await client.send(b"!")
    assert isinstance(await over(client), ResetError)
    assert not client.ended


async def test_a_refused_port_says_what_was_tried_and_harms_nobody(node):
    place = await ready(node, echo_pod("web", 80))
    other = Client(await node.connector.open(place, 80))
    with pytest.raises(RefusedError, match=r"port 81.*") as caught:
        await node.connector.open(place, 81)
    assert caught.value.where == "pod"
    assert "default/web" in caught.value.what
    await other.send(b"still here")
    await until(lambda: other.data == b"still here")


async def test_a_declared_port_that_nobody_listens_on_is_refused(node):
    pod = python_pod("web", "import time; time.sleep(1000)", ports=[80])
    await node.pods.put(pod)
    worker = node.pods.find("default", "web")
    await until(lambda: worker.pod.status.phase == "Running")
    with pytest.raises(RefusedError, match=r"nobody listens on port 80.*Connection refused"):
        await node.connector.open(worker.place, 80)


async def test_a_reader_that_stalls_stops_the_pod_and_nobody_else(node):
    client = await connect(
        node,
        """
connection.setblocking(False)
import select
for _ in range(1 << 20):
    if not select.select([], [connection], [], 1)[1]:
        print("stalled", flush=True)
        break
    connection.send(bytes(1 << 16))
connection.setblocking(True)
""",
    )
    await until(lambda: client.data)
    client.stream.pause()
    (sandbox,) = node.runtime.sandboxes
    await until(lambda: sandbox.directory.last_words("web", 0) == "stalled", "back pressure")
    client.stream.resume()
    await until(lambda: client.ended)


async def test_a_writer_is_paused_until_the_pod_reads(node):
    client = await connect(node, "connection.recv(4)\nwhile connection.recv(1 << 20): pass")
    client.stream.pause()
    await asyncio.wait_for(client.send(bytes(16 * MIB)), 10)
    client.stream.write_eof()
    client.stream.resume()
    assert await over(client) is None


async def test_closing_leaves_no_process_and_no_descriptor(node):
    place = await ready(node, echo_pod("web", 80))
    us = psutil.Process()
    others = len(us.children())
    first = Client(await node.connector.open(place, 80))  # whatever is made once, is made
    first.stream.close()
    await over(first)
    await until(lambda: len(us.children()) == others)
    descriptors = us.num_fds()
    clients = [Client(await node.connector.open(place, 80)) for _ in range(5)]
    for client in clients:
        await client.send(b"x")
        client.stream.close()
        assert await over(client) is None
    await until(lambda: len(us.children()) == others, "the end of the connector's processes")
    await until(lambda: us.num_fds() <= descriptors, "the end of the connector's descriptors")


async def test_a_pod_that_dies_ends_its_connections(node):
    place = await ready(node, echo_pod("web", 80))
    client = Client(await node.connector.open(place, 80))
    await client.send(b"x")
    await until(lambda: client.data)
    os.kill(place.sandbox.pid, signal.SIGKILL)
    await until(lambda: client.ended or client.over.done())
    with pytest.raises(UnavailableError, match=r"pod is not running. Current status=Failed"):
        await until(lambda: node.pods.find("default", "web").place and None)


async def test_missing_programs_are_named_with_their_package(monkeypatch, tmp_path):
    async with running_node(tmp_path, "netns", "socat") as parts:
        place = await ready(parts, echo_pod("web", 80))
        monkeypatch.setenv("PATH", "/nonexistent")
        with pytest.raises(UnavailableError, match=r"nsenter.*Debian's package util-linux"):
            await parts.connector.open(place, 80)


@pytest.mark.parametrize("module", [netns, loopback])
@pytest.mark.parametrize(
    ("number", "kind", "where"),
    [
        (errno.ECONNREFUSED, RefusedError, "pod"),
        (errno.ECONNRESET, ResetError, "pod"),
        (errno.EADDRNOTAVAIL, UnavailableError, "node agent"),
        (errno.EMFILE, UnavailableError, "node agent"),
    ],
)
async def test_only_a_refusal_means_that_nobody_listens(
    tmp_path, monkeypatch, module, number, kind, where
):
    async def fail(sock, address, port):
        sock.close()
        raise OSError(number, os.strerror(number))

    isolation = "netns" if module is netns else "loopback"
    async with running_node(tmp_path, isolation, isolation) as parts:
        place = await ready(parts, sleeping_pod("web", ports=[]))
        if module is loopback:
            place.sandbox.ports[80] = 1
        monkeypatch.setattr(module, "connect", fail)
        with pytest.raises(kind) as caught:
            await parts.connector.open(place, 80)
    assert type(caught.value) is kind
    assert caught.value.where == where
    assert "port 80" in caught.value.what
    assert os.strerror(number) in caught.value.what
    assert ("nobody listens" in caught.value.what) == (kind is RefusedError)


async def test_without_ipv6_nobody_listens_there(tmp_path, monkeypatch):
    async def fail(sock, address, port):
        number = errno.EADDRNOTAVAIL if sock.family == socket.AF_INET6 else errno.ECONNREFUSED
        sock.close()
        raise OSError(number, os.strerror(number))

    async with running_node(tmp_path, "netns", "netns") as parts:
        place = await ready(parts, sleeping_pod("web"))
        monkeypatch.setattr(netns, "connect", fail)
        with pytest.raises(RefusedError, match="nobody listens on port 80"):
            await parts.connector.open(place, 80)


async def test_a_socat_that_cannot_enter_the_pod_is_no_refusal(tmp_path, monkeypatch):
    command = ["nsenter", "-t", "999999999", "-n", "socat", "-", "TCP4:localhost:80"]
    async with running_node(tmp_path, "netns", "socat") as parts:
        place = await ready(parts, sleeping_pod("web"))
        monkeypatch.setattr(SocatConnector, "_command", lambda *_: command)
        with pytest.raises(UnavailableError, match=r"cannot be connected \(socat: nsenter: "):
            await parts.connector.open(place, 80)


async def test_a_socket_that_met_itself_is_a_refusal():
    sock = socket.socket()
    sock.bind(("127.0.0.1", 0))
    with pytest.raises(ConnectionRefusedError):
        await connect_socket(sock, "127.0.0.1", sock.getsockname()[1])


async def test_netns_reaches_a_server_on_ipv6_only(tmp_path):
    async with running_node(tmp_path, "netns", "netns") as parts:
        place = await ready(parts, echo_pod("web", 80, host="::1"))
        client = Client(await parts.connector.open(place, 80))
        await client.send(b"six")
        await until(lambda: client.data == b"six")
