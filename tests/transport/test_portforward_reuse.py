"""When a connection carries another pair, how one that may be dead is used, limits of a server."""

from __future__ import annotations

import asyncio
import socket

import pytest
from peers.streams import chunk, fill, record, until

from kfwd_nb.errors import LostError, RefusedError
from kfwd_nb.protocol.portforward import DATA, ERROR, pair_headers
from kfwd_nb.transport import close_timer
from kfwd_nb.transport.plain_transport import PlainTransport
from kfwd_nb.transport.spdy import client as spdy_client
from kfwd_nb.transport.spdy import server as spdy_server
from kfwd_nb.transport.spdy.client import MAX_REUSED, PortforwardConnection
from kfwd_nb.transport.spdy.server import PortforwardServer

pytestmark = pytest.mark.pure


class Ends:
    def __init__(self) -> None:
        self.served: asyncio.Queue = asyncio.Queue()
        self.client = PortforwardConnection()
        self.server = PortforwardServer(self._serve)
        self.transports = []
        for sock, protocol in zip(
            socket.socketpair(), (self.client.protocol, self.server.protocol), strict=True
        ):
            sock.setblocking(False)
            self.transports.append(PlainTransport(sock, protocol))
            self.transports[-1].begin()

    def _serve(self, pair) -> None:
        if pair.port == 81:
            raise RefusedError("nobody listens on port 81.")
        self.served.put_nowait(pair)

    async def pair(self, port: int = 80):
        return self.client.open(port), await asyncio.wait_for(self.served.get(), 10)


@pytest.fixture
async def ends():
    made = Ends()
    yield made
    for transport in made.transports:
        transport.abort()
    await until(made.client.closed.done)
    await until(made.server.closed.done)


@pytest.mark.parametrize(("octets", "spoiled"), [(MAX_REUSED, False), (MAX_REUSED + 1, True)])
async def test_a_pair_that_sent_much_spoils_its_connection(ends, octets, spoiled):
    client, served = await ends.pair()
    ours, theirs = record(client), record(served)
    await ours.send(bytes(octets))
    await until(lambda: len(theirs.received) == octets)
    client.close()
    assert ends.client.spoiled is spoiled


async def test_a_pair_that_failed_spoils_its_connection(ends):
    refused = record(ends.client.open(81))
    await until(lambda: refused.over)
    assert ends.client.spoiled


async def test_after_a_silence_nothing_is_sent_before_the_pair_is_taken(ends, monkeypatch):
    monkeypatch.setattr(spdy_client, "TRUSTED", -1.0)
    stream = ends.client.open(80)
    ours = record(stream)
    assert stream.write(*chunk(b"first words")) is False
    stream.write_eof()
    assert stream.sent == 0
    theirs = record(await ends.served.get())
    await until(lambda: theirs.at_eof)
    assert theirs.received == b"first words"
    assert stream.sent == len(b"first words")
    assert not ours.over


async def test_and_nothing_was_sent_if_it_is_not(ends, monkeypatch):
    monkeypatch.setattr(spdy_client, "TRUSTED", -1.0)
    monkeypatch.setattr(spdy_client, "CAREFUL_TIMEOUT", 0.01)
    ends.transports[1].pause_reading()
    stream = ends.client.open(80)
    ours = record(stream)
    stream.write(*chunk(b"POST /pay"))
    await until(lambda: ours.over)
    assert isinstance(ours.error, LostError)
    assert stream.sent == 0
    assert ends.client.spoiled


async def test_a_peer_that_reads_no_more_does_not_keep_a_connection_that_is_closed(
    ends, monkeypatch
):
    monkeypatch.setattr(close_timer, "CLOSE_TIMEOUT", 0.01)
    client, served = await ends.pair()
    record(client)
    record(served)
    await asyncio.sleep(0)
    ends.transports[1].pause_reading()
    await fill(client, bytes(1 << 16))
    ends.client.close()
    await until(ends.client.closed.done)


async def test_what_had_come_whole_before_the_connection_broke_is_delivered(ends):
    client, served = await ends.pair()
    ours, theirs = record(client), record(served)
    await until(lambda: client.replied)
    ends.client._driver.limit_holding(1 << 20)
    client.pause()
    await theirs.send(bytes(100_000))
    served.write_eof()
    await until(lambda: client._remote_ended)
    ends.transports[0].abort()
    await until(ends.client.closed.done)
    client.resume()
    await until(lambda: ours.over)
    assert ours.error is None
    assert ours.at_eof
    assert len(ours.received) == 100_000


@pytest.mark.parametrize("kind", [ERROR, DATA])
async def test_a_lone_stream_does_not_stop_the_connection_for_ever(ends, monkeypatch, kind):
    monkeypatch.setattr(spdy_server, "MAX_HELD", 1000)
    connection, client = ends.client._driver.connection, ends.client._driver
    stream_id = connection.open(pair_headers(kind, 80, 7))
    client.flush()
    frame = bytearray(8 + 2000)
    connection.frame(stream_id, 2000, frame, 0)
    client.write_frame(frame)
    await until(lambda: not ends.transports[1].is_reading())
    ends.server.lone_stream_over(stream_id)
    assert ends.transports[1].is_reading()
    assert ends.server._driver.held == 0


async def test_all_lone_streams_together_have_a_limit(ends, monkeypatch):
    monkeypatch.setattr(spdy_server, "MAX_HELD_ALL", 10_000)
    connection, client = ends.client._driver.connection, ends.client._driver
    for request in range(100):
        stream_id = connection.open(pair_headers(DATA, 80, request))
        client.flush()
        frame = bytearray(8 + 1000)
        connection.frame(stream_id, 1000, frame, 0)
        client.write_frame(frame)
    await until(lambda: not ends.transports[1].is_reading())
    assert ends.server._driver.held >= 10_000


async def test_a_client_that_vanishes_while_its_connection_is_paused_is_noticed(ends, monkeypatch):
    client, served = await ends.pair()
    record(client)
    theirs = record(served)
    await until(lambda: client.replied)
    ends.server._driver.stop_reading(served)
    ends.transports[0].abort()
    for _ in range(2):  # what is written meets nobody
        ends.server._driver._tick()
        await asyncio.sleep(0)
    await until(lambda: theirs.over)
    assert ends.server.closed.done()
