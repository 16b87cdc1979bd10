"""Raw v4 channels: our client and our server, and a server's side spoken to by another client."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import random
from collections.abc import AsyncIterator

import pytest
import websocket as other_client
from peers.streams import ODD_SIZES, Recorder, chunk, fill, record, until

from kfwd_nb.errors import LostError, RefusedError, ResetError, UsageError
from kfwd_nb.protocol.channels import BASE64, BINARY
from kfwd_nb.protocol.portforward import text_of_error
from kfwd_nb.transport.endpoint import Endpoint
from kfwd_nb.transport.http1.client import UpgradeError
from kfwd_nb.transport.websocket.channels import (
    HELD,
    Channels,
    ChannelStream,
    channels_switch,
    open_channels,
)

pytestmark = pytest.mark.chain

PATH = "/api/v1/namespaces/default/pods/web/portforward"
MIB = 1 << 20


class Pod:
    """The pod's side: a stream for each port that was asked for; port 9 refuses, 13 has a bug."""

    def __init__(self) -> None:
        self.streams: dict[int, ChannelStream] = {}

    def serve(self, stream: ChannelStream) -> None:
        match stream.port:
            case 9:
                raise RefusedError("nobody listens.")
            case 13:
                raise RuntimeError("a bug")
        self.streams[stream.port] = stream


@pytest.fixture
def pod(handler, monkeypatch) -> Pod:
    pod = Pod()

    async def upgrade(request):
        return channels_switch(
            request, pod.serve, lambda error, port: text_of_error(error, port, "default/web")
        )

    monkeypatch.setattr(handler, "upgrade", upgrade)
    return pod


@pytest.fixture
def endpoint(server, client_tls, pod) -> Endpoint:
    return Endpoint("127.0.0.1", server.port, client_tls)


@pytest.fixture(params=[BINARY, BASE64, ""])
async def opened(request, endpoint) -> AsyncIterator[Channels]:
    channels = await open_channels(endpoint, PATH, {}, [80, 443], subprotocol=request.param)
    yield channels
    channels.abort()


async def sides(channels: Channels, pod: Pod, *ports: int) -> list[tuple[Recorder, Recorder]]:
    await until(lambda: all(port in pod.streams for port in ports))
    mine = {stream.port: stream for stream in channels.streams}
    return [(record(mine[port]), record(pod.streams[port])) for port in ports]


async def test_two_ports_both_ways_at_once(opened, pod):
    (a, b), (c, d) = await sides(opened, pod, 80, 443)
    data = [random.Random(seed).randbytes(3 * MIB) for seed in range(4)]
    await asyncio.gather(
        *(side.send(each, ODD_SIZES) for side, each in zip((a, b, c, d), data, strict=True))
    )
    for side, expected in zip((b, a, d, c), data, strict=True):
        await until(lambda side=side, expected=expected: len(side.received) == len(expected))
        assert hashlib.sha256(side.received).digest() == hashlib.sha256(expected).digest()


async def test_the_end_is_told_when_all_ports_have_ended(opened, pod, server):
    (a, b), (c, d) = await sides(opened, pod, 80, 443)
    b.stream.write(*chunk(b"all I have"))
    b.stream.write_eof()
    d.stream.write(*chunk(b"more"))
    await until(lambda: c.received == b"more" and a.received == b"all I have")
    assert not a.at_eof
    d.stream.write_eof()
    await until(lambda: a.at_eof and c.at_eof)
    for side in (a, c):
        side.stream.write_eof()
    await until(lambda: a.over and b.over and c.over and d.over)
    assert [side.error for side in (a, b, c, d)] == [None] * 4
    assert await opened.closed is None
    await until(lambda: not server.connections)


async def test_a_refused_port_ends_alone(endpoint, pod):
    channels = await open_channels(endpoint, PATH, {}, [9, 80])
    refused = record(channels.streams[0])
    await until(lambda: refused.over)
    assert isinstance(refused.error, RefusedError)
    assert "error forwarding port 9 to pod default/web" in channels.streams[0].error_text
    ((mine, theirs),) = await sides(channels, pod, 80)
    mine.stream.write(*chunk(b"still here"))
    await until(lambda: theirs.received == b"still here")
    mine.stream.close()
    await until(lambda: theirs.over or theirs.at_eof)
    assert await channels.closed is None


async def test_a_bug_while_serving_tells_nothing(endpoint):
    channels = await open_channels(endpoint, PATH, {}, [13])
    mine = record(channels.streams[0])
    await until(lambda: mine.over)
    assert isinstance(mine.error, LostError)
    assert "a bug" not in mine.error.what


async def test_a_client_that_gives_up_is_an_end_and_then_a_reset_for_the_pod(endpoint, pod):
    channels = await open_channels(endpoint, PATH, {}, [80])
    ((mine, theirs),) = await sides(channels, pod, 80)
    mine.stream.write(*chunk(b"x"))
    mine.stream.close()
    await until(lambda: mine.over and theirs.at_eof)
    assert mine.error is None
    assert not theirs.over
    theirs.stream.write(*chunk(b"nobody reads this"))
    await until(lambda: theirs.over)
    assert isinstance(theirs.error, ResetError)


async def test_a_client_that_vanishes_ends_its_ports(endpoint, pod, server):
    channels = await open_channels(endpoint, PATH, {}, [80, 443])
    ((mine, theirs),) = await sides(channels, pod, 80)
    channels.abort()
    await until(lambda: mine.over and theirs.over)
    assert isinstance(theirs.error, LostError)
    await until(lambda: not server.connections)


async def test_a_stalled_reader_alone_stops_its_writer(endpoint, pod):
    channels = await open_channels(endpoint, PATH, {}, [80])
    ((mine, theirs),) = await sides(channels, pod, 80)
    mine.stream.pause()
    written = await fill(theirs.stream, bytes(1 << 15))
    assert channels.streams[0].holds < MIB
    mine.stream.resume()
    await until(lambda: len(mine.received) == written)
    await until(theirs.may_write.is_set)


async def test_a_stalled_reader_holds_so_much_and_then_the_others_wait(endpoint, pod):
    channels = await open_channels(endpoint, PATH, {}, [80, 443])
    (a, b), (c, d) = await sides(channels, pod, 80, 443)
    a.stream.pause()
    await b.send(bytes(2 * MIB))
    d.stream.write(*chunk(b"not held up"))
    await until(lambda: c.received == b"not held up")
    written = 2 * MIB + await fill(b.stream, bytes(1 << 15))
    assert HELD <= channels.streams[0].holds <= HELD + MIB
    a.stream.resume()
    await until(lambda: len(a.received) == written)


async def test_closing_the_stalled_one_frees_the_others(endpoint, pod):
    channels = await open_channels(endpoint, PATH, {}, [80, 443])
    (a, b), (c, d) = await sides(channels, pod, 80, 443)
    a.stream.pause()
    await fill(b.stream, bytes(1 << 15))
    d.stream.write(*chunk(b"waits"))
    a.stream.close()
    await until(lambda: c.received == b"waits")


async def test_what_came_before_the_start_is_kept(endpoint, pod):
    channels = await open_channels(endpoint, PATH, {}, [80])
    await until(lambda: 80 in pod.streams)
    theirs = record(pod.streams[80])
    theirs.stream.write(*chunk(b"early"))
    theirs.stream.write_eof()
    await asyncio.sleep(0.01)
    mine = record(channels.streams[0])
    await until(lambda: mine.at_eof)
    assert mine.received == b"early"


@pytest.mark.parametrize(
    ("query", "words"),
    [
        ("", 'query parameter "port" is required'),
        ("?ports=http", "unable to parse"),
        ("?ports=0", "must be > 0"),
        ("?ports=70000", "unable to parse"),
    ],
)
async def test_queries_that_ask_for_no_port(endpoint, query, words):
    with pytest.raises(UpgradeError, match=words) as caught:
        await open_channels(endpoint, PATH + query, {}, [])
    assert caught.value.status == 400
    assert isinstance(caught.value.cause, UsageError)


# -- a client that somebody else wrote ------------------------------------------------------------


@pytest.mark.parametrize("query", ["ports=80&ports=443", "ports=80,443", "port=80&port=443"])
async def test_websocket_client_of_pypi(server, authority, pod, query):
    def run() -> list[bytes]:
        client = other_client.create_connection(
            f"wss://127.0.0.1:{server.port}{PATH}?{query}",
            subprotocols=[BINARY],
            sslopt={"ca_certs": str(authority.ca)},
            timeout=20,
        )
        said = [client.recv() for _ in range(4)]
        client.send_binary(b"\x02hello 443")
        said.append(client.recv())
        client.close()
        return said

    running = asyncio.create_task(asyncio.to_thread(run))
    await until(lambda: 443 in pod.streams)
    theirs = record(pod.streams[443])
    await until(lambda: theirs.received == b"hello 443")
    theirs.stream.write(*chunk(b"hello client"))
    assert await running == [
        b"\x00\x50\x00",
        b"\x01\x50\x00",
        b"\x02\xbb\x01",
        b"\x03\xbb\x01",
        b"\x02hello client",
    ]
    await until(lambda: theirs.at_eof)
    await until(lambda: not server.connections)


async def test_the_base64_variant_of_another_client(server, authority, pod):
    def run() -> list[str]:
        client = other_client.create_connection(
            f"wss://127.0.0.1:{server.port}{PATH}?ports=80",
            subprotocols=[BASE64],
            sslopt={"ca_certs": str(authority.ca)},
            timeout=20,
        )
        client.send("0" + base64.b64encode(b"ask").decode())
        said = [client.recv() for _ in range(3)]
        client.close()
        return said

    running = asyncio.create_task(asyncio.to_thread(run))
    await until(lambda: 80 in pod.streams)
    theirs = record(pod.streams[80])
    await until(lambda: theirs.received == b"ask")
    theirs.stream.write(*chunk(b"answer"))
    port = base64.b64encode(b"\x50\x00").decode()
    assert await running == ["0" + port, "1" + port, "0" + base64.b64encode(b"answer").decode()]
