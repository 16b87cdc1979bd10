"""A reply for which nobody waits goes with what is sent next; all others go at once."""

from __future__ import annotations

import asyncio
import socket

import pytest
from peers.streams import chunk, record, until

from kfwd_nb.protocol.spdy import DataReceived, StreamEnded, StreamOpened
from kfwd_nb.transport import driver
from kfwd_nb.transport.plain_transport import PlainTransport
from kfwd_nb.transport.spdy.client import PortforwardConnection
from kfwd_nb.transport.spdy.driver import SpdyDriver
from kfwd_nb.transport.spdy.server import PortforwardServer

pytestmark = pytest.mark.pure

ERROR, DATA, PAYLOAD = StreamOpened(1, {}, True), StreamOpened(3, {}, False), DataReceived(3, 0, 1)
ERROR_2, DATA_2 = StreamOpened(5, {}, True), StreamOpened(7, {}, False)
PAYLOAD_2 = DataReceived(7, 0, 1)


@pytest.mark.parametrize(
    ("events", "nobody"),
    [
        ([], False),
        ([ERROR], False),
        ([DATA], False),
        ([ERROR, DATA], False),
        ([PAYLOAD], False),
        ([StreamEnded(3)], False),
        ([ERROR, DATA, PAYLOAD], True),
        ([ERROR, DATA, PAYLOAD, PAYLOAD], True),
        ([ERROR, DATA, PAYLOAD_2], False),
        ([ERROR, DATA, PAYLOAD, ERROR_2], False),
        ([ERROR, DATA, PAYLOAD, ERROR_2, DATA_2], False),
        ([ERROR, DATA, ERROR_2, DATA_2, PAYLOAD_2, PAYLOAD], True),
    ],
)
async def test_who_waits_for_a_reply(events, nobody):
    role = PortforwardServer(lambda _: None)
    assert SpdyDriver(role, client=False).nobody_waits(events) is nobody


class Counted(PlainTransport):
    """A transport that counts its writes."""

    writes = 0

    def write(self, data) -> None:
        self.writes += 1
        super().write(data)


@pytest.fixture
async def ends():
    """A client, what its server serves, and the server's transport."""
    pairs: asyncio.Queue = asyncio.Queue()
    client, server = PortforwardConnection(), PortforwardServer(pairs.put_nowait)
    a, b = socket.socketpair()
    PlainTransport(a, client.protocol).begin()
    transport = Counted(b, server.protocol)
    transport.begin()
    yield client, pairs, transport
    client.close()
    await until(server.closed.done)
    await until(client.closed.done)


async def test_it_goes_with_the_first_answer(ends):
    client, pairs, transport = ends
    for byte in (b"x", b"y"):
        before = transport.writes
        stream = client.open(80)
        ours = record(stream)
        stream.write(*chunk(byte))
        served = await pairs.get()
        theirs = record(served)
        await until(lambda theirs=theirs, byte=byte: theirs.received == byte)
        served.write(*chunk(byte))
        await until(lambda ours=ours, byte=byte: ours.received == byte)
        assert stream.replied
        assert transport.writes == before + 1
        stream.close()
        await until(lambda theirs=theirs: theirs.at_eof)
        served.write_eof()  # the client hears of this one with the next answer
        await until(lambda theirs=theirs: theirs.over)


async def test_it_does_not_wait_for_a_pod_that_says_nothing(ends):
    client, pairs, transport = ends
    stream = client.open(80)
    record(stream)
    stream.write(*chunk(b"x"))
    record(await pairs.get())
    await until(lambda: stream.replied)
    assert transport.writes == 1


async def test_who_has_sent_nothing_hears_at_once(ends, monkeypatch):
    monkeypatch.setattr(driver, "LATE", 3600)
    client, pairs, _ = ends
    stream = client.open(80)
    record(stream)
    record(await pairs.get())
    await until(lambda: stream.replied)
