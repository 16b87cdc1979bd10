"""Our raw v4 client against containerd's streaming server."""

from __future__ import annotations

import asyncio
import hashlib

import pytest
from containerd.transfers import MIB, Digest, digest_of_sent, number
from peers.streams import chunk, record, until

from kfwd_nb.errors import RefusedError
from kfwd_nb.protocol.channels import BASE64, BINARY
from kfwd_nb.transport.websocket.channels import open_channels

pytestmark = pytest.mark.chain


@pytest.fixture
async def open_ports(containerd, in_daemons_network):
    """Open ports of a pod as channels of one connection."""
    made = []

    async def open_ports(pod, *ports, subprotocol=BINARY):
        endpoint, path = await asyncio.to_thread(containerd.portforward_url, pod, *ports)
        channels = await open_channels(
            endpoint, path, {}, list(ports), subprotocol=subprotocol, parameter="port"
        )
        made.append(channels)
        return channels.streams

    yield open_ports
    for channels in made:
        channels.abort()
    await asyncio.gather(*(each.closed for each in made))


@pytest.mark.parametrize("subprotocol", [BINARY, BASE64])
async def test_an_echo_comes_back_on_each_port(open_ports, pod, subprotocol):
    sides = [record(each) for each in await open_ports(pod, 7, 7, subprotocol=subprotocol)]
    for word, side in zip((b"one", b"other"), sides, strict=True):
        side.stream.write(*chunk(word))
    await until(lambda: [bytes(side.received) for side in sides] == [b"one", b"other"])


async def test_256_mib_come_down_whole(open_ports, pod):
    (stream,) = await open_ports(pod, 70)
    side = Digest(stream)
    stream.write(*number(256 * MIB))
    await until(lambda: side.count == 256 * MIB or side.over)
    assert side.digest == digest_of_sent(256 * MIB)


async def test_256_mib_go_up_whole(open_ports, pod):
    (stream,) = await open_ports(pod, 80)
    side = record(stream)
    stream.write(*number(256 * MIB))
    sent, piece = hashlib.sha256(), bytes(range(256)) * (1 << 12)
    for _ in range(256):
        await side.send(piece, (1 << 17, 65_537, 1, 300_001))
        sent.update(piece)
    await until(lambda: len(side.received) == 32)
    assert side.received == sent.digest()


async def test_a_refused_port_says_so(open_ports, pod):
    (stream,) = await open_ports(pod, 9)
    side = record(stream)
    await until(lambda: side.over)
    assert isinstance(side.error, RefusedError), side.error
    assert "connection refused" in side.error.what


async def test_a_reset_port_ends(open_ports, pod):
    (stream,) = await open_ports(pod, 13)
    side = record(stream)
    stream.write(*chunk(b"!"))
    await until(lambda: side.at_eof or side.over)
    assert not side.received


async def test_the_sandbox_is_removed_under_way(open_ports, containerd, fresh_pod):
    (stream,) = await open_ports(fresh_pod, 70)
    side = Digest(stream)
    stream.write(*number(1 << 40))
    await until(lambda: side.count > 4 * MIB)
    await asyncio.to_thread(containerd.remove, fresh_pod)
    await until(lambda: side.at_eof or side.over)


async def test_200_connections_at_once(open_ports, pod):
    opened = await asyncio.gather(*(open_ports(pod, 7) for _ in range(200)))
    sides = [record(stream) for (stream,) in opened]
    for turn, side in enumerate(sides):
        side.stream.write(*chunk(b"%06d" % turn))
    for turn, side in enumerate(sides):
        await until(lambda side=side, turn=turn: side.received == b"%06d" % turn)
