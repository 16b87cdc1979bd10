"""Stream pairs over a socket pair: what one end says, the other one hears."""

from __future__ import annotations

import asyncio
import os
import socket

import pytest
from peers.streams import ODD_SIZES, chunk, fill, record, until

from kfwd_nb.errors import LostError, RefusedError, ResetError, UnavailableError
from kfwd_nb.transport.plain_transport import PlainTransport
from kfwd_nb.transport.spdy import driver
from kfwd_nb.transport.spdy.client import PortforwardConnection
from kfwd_nb.transport.spdy.served_pair import ServedPair
from kfwd_nb.transport.spdy.server import PortforwardServer

pytestmark = pytest.mark.pure

A_MEBIBYTE = 1 << 20


class Peer:
    """Both ends; the server's pairs wait in `pairs` and their tasks until `done`."""

    def __init__(self) -> None:
        self.pairs: asyncio.Queue[ServedPair] = asyncio.Queue()
        self.refusals: dict[int, Exception] = {}
        self.client = PortforwardConnection()
        self.server = PortforwardServer(self._serve)

    def _serve(self, pair: ServedPair) -> None:
        pair.pod = "default/web"
        if pair.port in self.refusals:
            raise self.refusals[pair.port]
        self.pairs.put_nowait(pair)

    async def pair(self, port: int = 80):
        client = self.client.open(port)
        return client, await asyncio.wait_for(self.pairs.get(), 10)


@pytest.fixture
async def peer():
    made = Peer()
    a, b = socket.socketpair()
    for sock, protocol in ((a, made.client.protocol), (b, made.server.protocol)):
        sock.setblocking(False)
        PlainTransport(sock, protocol).begin()
    yield made
    made.client.close()
    await until(made.server.closed.done)
    await until(made.client.closed.done)


async def test_bytes_may_follow_before_any_reply(peer):
    stream = peer.client.open(80)
    ours = record(stream)
    stream.write(*chunk(b"first words"))
    assert not stream.replied
    served = await peer.pairs.get()
    theirs = record(served)
    await until(lambda: theirs.received == b"first words")
    served.write(*chunk(b"answer"))
    await until(lambda: ours.received == b"answer")
    assert served.port == 80
    assert stream.replied


@pytest.mark.parametrize("upwards", [True, False])
async def test_a_mebibyte_arrives_whole_with_a_half_close_and_a_reply(peer, upwards):
    client, served = await peer.pair()
    sender, receiver = record(client), record(served)
    if not upwards:
        sender, receiver = receiver, sender
    data = os.urandom(4 * A_MEBIBYTE)
    await sender.send(data, ODD_SIZES)
    sender.stream.write_eof()
    await until(lambda: receiver.at_eof)
    assert receiver.received == data
    receiver.stream.write(*chunk(b"reply after the end"))
    receiver.stream.write_eof()
    await until(lambda: sender.over and receiver.over)
    assert sender.received == b"reply after the end"
    assert sender.error is None
    assert receiver.error is None
    assert peer.client.pairs == 0


async def test_a_refused_port_ends_its_own_pair_only(peer):
    peer.refusals[81] = RefusedError("nobody listens on port 81.", where="pod")
    other, served = await peer.pair()
    good, echo = record(other), record(served)
    bad = record(peer.client.open(81))
    await until(lambda: bad.over)
    assert isinstance(bad.error, RefusedError)
    assert bad.error.what == "nobody listens on port 81. (connection refused)"
    other.write(*chunk(b"x"))
    await until(lambda: echo.received == b"x")
    assert not good.over
    again = record((await peer.pair(7))[0])
    assert not again.over


async def test_a_pair_that_is_given_up_frees_its_connection_at_once(peer):
    for _ in range(50):
        client, served = await peer.pair()
        ours, theirs = record(client), record(served)
        client.write(*chunk(b"x"))
        client.close()
        assert peer.client.pairs == 0
        await until(lambda ours=ours: ours.over)
        await until(lambda theirs=theirs: theirs.at_eof)
        assert theirs.received == b"x", "what was sent before still counts"
        served.write(*chunk(b"nobody reads this"))
        await until(lambda theirs=theirs: theirs.over)
        assert isinstance(theirs.error, ResetError)
    assert peer.client.alive


async def test_frames_for_a_pair_that_was_given_up_are_swallowed(peer):
    client, served = await peer.pair()
    record(client)
    theirs = record(served)
    await asyncio.sleep(0)
    client.close()
    served.write(*chunk(bytes(A_MEBIBYTE)))
    await until(lambda: theirs.at_eof)
    served.close()
    again, served = await peer.pair()
    ours = record(again)
    record(served)
    served.write(*chunk(b"for the second"))
    await until(lambda: ours.received == b"for the second")


@pytest.mark.parametrize(
    ("error", "kind", "words"),
    [
        (ResetError("reset by the pod."), ResetError, "reset"),
        (LostError("the agent was lost."), LostError, "the agent was lost"),
        (UnavailableError("the sandbox x is not running"), UnavailableError, "not running"),
    ],
)
async def test_an_error_under_way_reaches_the_client(peer, error, kind, words):
    client, served = await peer.pair()
    ours = record(client)
    record(served)
    served.write(*chunk(b"half of it"))
    served.close(error)
    await until(lambda: ours.over)
    assert type(ours.error) is kind
    assert words in ours.error.what
    assert ours.received == b"half of it"
    assert not ours.at_eof
    assert peer.client.alive


async def test_a_stalled_reader_of_a_client_pauses_its_connection(peer):
    client, served = await peer.pair()
    ours, theirs = record(client), record(served)
    await until(lambda: served.write(*chunk(b"x")))
    await until(lambda: ours.received)
    client.pause()
    written = await fill(served, bytes(1 << 16))
    assert written < 8 * A_MEBIBYTE
    client.resume()
    await until(lambda: "writable" in theirs.calls)
    await until(lambda: len(ours.received) == written + 1)


async def test_a_stalled_reader_of_a_server_holds_before_it_stops_the_others(peer):
    slow, slow_served = await peer.pair()
    fast, fast_served = await peer.pair()
    record(slow)
    stalled, echo = record(slow_served), record(fast_served)
    await until(lambda: slow.write(*chunk(b"x")))
    await until(lambda: stalled.received)
    slow_served.pause()
    for _ in range(20):
        await until(lambda: slow.write(*chunk(bytes(1 << 16))) or True)
    fast.write(*chunk(b"not stopped"))
    record(fast)
    await until(lambda: echo.received == b"not stopped")
    more = await fill(slow, bytes(1 << 16))
    assert more < driver.MAX_HELD + 8 * A_MEBIBYTE
    slow_served.resume()
    await until(lambda: len(stalled.received) == more + 20 * (1 << 16) + 1)


async def test_the_end_of_the_connection_is_the_end_of_its_pairs(peer):
    client, served = await peer.pair()
    ours, theirs = record(client), record(served)
    await until(lambda: client.replied)
    peer.server.close()
    await until(lambda: ours.over and theirs.over)
    assert isinstance(ours.error, LostError)
    assert not peer.client.alive
    with pytest.raises(LostError):
        peer.client.open(80)


async def test_ping(peer):
    assert await peer.client.ping() >= 0
