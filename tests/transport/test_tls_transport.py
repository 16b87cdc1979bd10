"""TLS straight on a socket: what asyncio's own transports promise, this one keeps."""

from __future__ import annotations

import asyncio
import socket
import ssl

import pytest
from peers.streams import until

from kfwd_nb.errors import TruncatedError
from kfwd_nb.transport import tls_transport
from kfwd_nb.transport.tls import client_context, server_context
from kfwd_nb.transport.tls_transport import RECORD, TlsTransport, handshake

pytestmark = pytest.mark.chain

MIB = 1 << 20


class Recorder(asyncio.Protocol):
    """Notes what its transport tells it."""

    def __init__(self) -> None:
        self.received = bytearray()
        self.paused: list[bool] = []
        self.lost: asyncio.Future[Exception | None] = asyncio.get_running_loop().create_future()

    def data_received(self, data: bytes) -> None:
        self.received += data

    def pause_writing(self) -> None:
        self.paused.append(True)

    def resume_writing(self) -> None:
        self.paused.append(False)

    def connection_lost(self, exc: Exception | None) -> None:
        self.lost.set_result(exc)


@pytest.fixture
async def secured(authority):
    """(client, server): a transport and its protocol on each side."""
    pair = socket.socketpair()
    contexts = client_context(authority.ca), server_context(*authority.issue("localhost"))
    done = await asyncio.gather(
        handshake(pair[0], contexts[0], server_hostname="localhost"),
        handshake(pair[1], contexts[1], server_side=True),
    )
    sides = []
    for tls in done:
        protocol = Recorder()
        transport = TlsTransport(tls, protocol)
        transport.begin()
        sides.append((transport, protocol))
    yield sides
    for transport, protocol in sides:
        transport.abort()
        await protocol.lost


async def test_a_reader_that_pauses_holds_the_writer_back_and_gets_all_in_order(secured):
    (client, mine), (server, theirs) = secured
    server.pause_reading()
    data = bytes(range(256)) * (4 * MIB // 256)
    buffer = bytearray(data)
    client.write(buffer)
    buffer[:] = bytes(len(buffer))  # it is ours again
    assert mine.paused == [True]
    assert client.get_write_buffer_size() > 0
    client.write(b"the end")
    server.resume_reading()
    await until(lambda: len(theirs.received) == len(data) + 7)
    assert theirs.received == data + b"the end"
    assert mine.paused == [True, False]
    assert client.get_write_buffer_size() == 0


async def test_what_waits_grows_less_while_a_slow_reader_reads(secured):
    """OpenSSL counts nothing as sent before all is that it was given."""
    (client, _), (server, theirs) = secured
    take = theirs.data_received

    def take_and_pause(data: bytes) -> None:
        take(data)
        server.pause_reading()

    theirs.data_received = take_and_pause
    client.write(bytes(8 * MIB))
    seen = {client.get_write_buffer_size()}
    while len(theirs.received) < 8 * MIB:
        read = len(theirs.received)
        server.resume_reading()
        await until(lambda: len(theirs.received) > read)  # noqa: B023 - awaited here
        seen.add(client.get_write_buffer_size())
    assert len(seen) > 20


async def test_a_write_that_grew_while_it_waited_is_sent_in_order(secured):
    (client, _), (server, theirs) = secured
    server.pause_reading()
    sent = b""
    for size in (1, 300_000, 5, 70_000, 1, 2 * MIB, 16_385, 3):
        sent += (piece := bytes([size % 251]) * size)
        client.write(piece)
        await asyncio.sleep(0)
    client.close()
    server.resume_reading()
    await theirs.lost
    assert theirs.received == sent


async def test_close_sends_what_waits_and_says_goodbye(secured):
    (client, mine), (server, theirs) = secured
    server.pause_reading()
    client.write(bytes(2 * MIB))
    client.close()
    assert client.is_closing()
    client.write(b"too late")
    server.resume_reading()
    assert await theirs.lost is None
    assert await mine.lost is None
    assert theirs.received == bytes(2 * MIB)


async def test_a_peer_that_is_gone_is_told_to_the_protocol_and_never_inside_write(secured):
    (client, mine), (server, _theirs) = secured
    server.get_extra_info("socket").shutdown(socket.SHUT_RDWR)
    client.write(bytes(MIB))
    assert not mine.lost.done()
    await mine.lost
    client.write(b"nothing happens")
    client.close()


@pytest.mark.parametrize("unread", [b"", b"unread"], ids=["cut off", "reset"])
async def test_an_end_without_goodbye_is_an_error_after_all_that_came_before(secured, unread):
    (client, mine), (server, theirs) = secured
    server.pause_reading()
    client.pause_reading()
    client.write(unread)  # the kernel of a peer that leaves it there answers with a reset
    server.write(bytes(3 * RECORD))
    server.abort()
    await theirs.lost
    client.resume_reading()
    assert isinstance(await mine.lost, ConnectionError)
    assert mine.received == bytes(3 * RECORD)


async def test_such_an_error_waits_until_the_protocol_reads_on(secured):
    (client, mine), (server, theirs) = secured
    mine.data_received = lambda _: client.pause_reading()
    server.write(bytes(RECORD))
    server.abort()
    await theirs.lost
    await until(lambda: not client.is_reading())
    assert not mine.lost.done()
    client.resume_reading()
    assert isinstance(await mine.lost, TruncatedError)


async def test_a_protocol_that_fails_loses_its_own_connection_only(secured):
    (client, _), (_server, theirs) = secured
    reported: list[dict[str, object]] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: reported.append(context))

    def fail(data: bytes) -> None:
        raise ValueError(data)

    theirs.data_received = fail
    client.write(b"x")
    assert isinstance(await theirs.lost, ValueError)
    assert len(reported) == 1


async def test_a_silent_peer_does_not_keep_the_handshake(authority, monkeypatch):
    monkeypatch.setattr(tls_transport, "HANDSHAKE_TIMEOUT", 0.05)
    mine, silent = socket.socketpair()
    with silent, pytest.raises(TimeoutError):
        await handshake(mine, client_context(authority.ca), server_hostname="localhost")
    assert mine.fileno() == -1


async def test_a_certificate_of_another_name_is_refused(authority):
    mine, other = socket.socketpair()
    context = server_context(*authority.issue("somebody-else"))
    server = asyncio.ensure_future(handshake(other, context, server_side=True))
    with pytest.raises(ssl.SSLCertVerificationError):
        await handshake(mine, client_context(authority.ca), server_hostname="not-in-there")
    with pytest.raises(OSError):
        await server
