"""Many pairs on one connection whose client does not read."""

from __future__ import annotations

import asyncio
import socket

import pytest
from peers.streams import chunk, record, until

from kfwd_nb.transport import driver
from kfwd_nb.transport.plain_transport import PlainTransport
from kfwd_nb.transport.spdy import client as spdy_client
from kfwd_nb.transport.spdy.client import PortforwardConnection
from kfwd_nb.transport.spdy.driver import MAX_HELD
from kfwd_nb.transport.spdy.server import PortforwardServer

pytestmark = pytest.mark.pure

PIECE = 1 << 18


@pytest.fixture
async def ends():
    served: list = []

    def serve(pair):
        served.append(pair)

    client, server = PortforwardConnection(), PortforwardServer(serve)
    transports = []
    for sock, protocol in zip(socket.socketpair(), (client.protocol, server.protocol), strict=True):
        sock.setblocking(False)
        transports.append(PlainTransport(sock, protocol))
        transports[-1].begin()
    yield client, server, served, transports
    client.close()
    await until(server.closed.done)
    await until(client.closed.done)


async def test_pairs_wait_in_line_and_all_comes_in_the_end(ends):
    client, server, served, transports = ends
    count = 2 * driver.MAX_UNREAD // PIECE
    ours = [record(client.open(80)) for _ in range(count)]
    await until(lambda: len(served) == count)
    theirs = [record(pair) for pair in served]
    transports[0].pause_reading()
    for number, each in enumerate(theirs):
        each.stream.write(*chunk(bytes([number]) * PIECE))
        each.stream.write_eof()
    assert transports[1].get_write_buffer_size() < driver.MAX_UNREAD // 2
    server.protocol.flush()
    transports[0].resume_reading()
    await until(lambda: all(each.at_eof for each in ours))
    for number, each in enumerate(ours):
        assert each.received == bytes([number]) * PIECE
        assert "closed" not in each.calls


async def test_a_client_that_gives_up_still_sends_what_it_wrote(ends):
    client, _, served, transports = ends
    ours = record(client.open(80))
    await until(lambda: served)
    theirs = record(served[0])
    transports[1].pause_reading()
    written = 0
    for _ in range(8):
        ours.stream.write(*chunk(b"x" * PIECE))
        written += PIECE
    ours.stream.close()
    assert client.pairs == 0
    transports[1].resume_reading()
    await until(lambda: theirs.at_eof)
    assert len(theirs.received) == written


async def test_one_that_stalls_beside_another_holds_first(ends):
    client, _, served, _ = ends
    slow, fast = client.open(80), client.open(81)
    await until(lambda: len(served) == 2)
    stalled, quick = record(slow), record(fast)
    for pair in served:
        record(pair)
    await until(lambda: slow._live)
    slow.pause()
    by_port = {pair.port: pair for pair in served}
    by_port[80].write(*chunk(bytes(PIECE)))
    by_port[81].write(*chunk(b"not stopped"))
    await until(lambda: quick.received == b"not stopped")
    assert not stalled.received
    assert MAX_HELD > PIECE
    slow.resume()
    await until(lambda: len(stalled.received) == PIECE)


async def test_a_server_that_never_replies_is_given_up(monkeypatch):
    monkeypatch.setattr(spdy_client, "REPLY_TIMEOUT", 0.01)
    a, b = socket.socketpair()
    client = PortforwardConnection()
    a.setblocking(False)
    PlainTransport(a, client.protocol).begin()
    ours = record(client.open(80))
    await until(lambda: ours.over)
    assert "did not take the connection" in ours.error.what
    assert client.pairs == 0
    client.close()
    await until(client.closed.done)
    b.close()
    await asyncio.sleep(0)
