"""The WebSocket tunnel: our client and our server against each other and against other people's."""

from __future__ import annotations

import asyncio
import hashlib
import random
import ssl
import struct
from collections.abc import AsyncIterator, Callable

import pytest
import websocket as other_client
from peers.streams import until
from wsproto import ConnectionType, WSConnection
from wsproto.events import (
    AcceptConnection,
    BytesMessage,
    CloseConnection,
    Event,
    Ping,
    Pong,
    RejectConnection,
    Request,
    TextMessage,
)

from kfwd_nb.errors import ForbiddenError, KfwdError, LostError, RemoteProtocolError
from kfwd_nb.transport import close_timer
from kfwd_nb.transport.buffers import read_buffer
from kfwd_nb.transport.endpoint import Endpoint
from kfwd_nb.transport.http1.client import UpgradeError
from kfwd_nb.transport.websocket import driver
from kfwd_nb.transport.websocket.tunnel import open_websocket, websocket_switch

pytestmark = pytest.mark.chain

NAME = "SPDY/3.1+portforward.k8s.io"
MIB = 1 << 20


class Inside(asyncio.BufferedProtocol):
    """The protocol inside: notes all, and reads into the loop's own buffer as SPDY does."""

    def __init__(self) -> None:
        self.received = bytearray()
        self.paused: list[bool] = []
        self.lost: asyncio.Future[Exception | None] = asyncio.get_running_loop().create_future()
        self.transport: asyncio.Transport

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport

    def get_buffer(self, sizehint: int) -> memoryview:
        return read_buffer()

    def buffer_updated(self, nbytes: int) -> None:
        self.received += read_buffer()[:nbytes]

    def pause_writing(self) -> None:
        self.paused.append(True)

    def resume_writing(self) -> None:
        self.paused.append(False)

    def connection_lost(self, exc: Exception | None) -> None:
        self.lost.set_result(exc)


@pytest.fixture
def inside(handler, monkeypatch) -> Callable[[], Inside]:
    """Have the server agree to WebSockets; returns the protocol inside, when there is one."""
    made: list[Inside] = []

    def factory() -> Inside:
        made.append(Inside())
        return made[-1]

    async def upgrade(request):
        if request.path == "/forbidden":
            raise ForbiddenError('pods "web" is forbidden.')
        subprotocol = "" if request.path == "/none" else request.path.strip("/") or NAME
        return websocket_switch(request, subprotocol, factory)

    monkeypatch.setattr(handler, "upgrade", upgrade)
    return lambda: made[-1]


@pytest.fixture
def endpoint(server, client_tls, inside) -> Endpoint:
    return Endpoint("127.0.0.1", server.port, client_tls)


@pytest.fixture
async def pair(endpoint, inside) -> AsyncIterator[tuple[Inside, Inside]]:
    opened = await open_websocket(endpoint, "/", {"authorization": "Bearer x"}, [NAME])
    assert opened.subprotocol == NAME
    mine = Inside()
    assert opened.begin(mine) is mine.transport
    yield mine, inside()
    mine.transport.abort()
    inside().transport.abort()


@pytest.mark.parametrize("sizes", [(8, 32768), (1, 125, 126, 65_535, 65_536, 3 * MIB)])
async def test_bytes_go_both_ways_in_messages_of_any_size(pair, sizes):
    data = random.Random(4).randbytes(9 * MIB)

    def write(side: Inside) -> None:
        position = 0
        for number in range(10_000):
            size = sizes[number % len(sizes)]
            buffer = bytearray(data[position : position + size])
            side.transport.write(memoryview(buffer))
            buffer[:] = bytes(len(buffer))  # it is the writer's again
            position += size

    for side in pair:
        write(side)
    await until(lambda: all(len(side.received) == len(data) for side in pair))
    for side in pair:
        assert hashlib.sha256(side.received).digest() == hashlib.sha256(data).digest()


@pytest.mark.parametrize("side", [0, 1])
async def test_a_protocol_with_a_small_buffer_gets_it_all(pair, side, monkeypatch):
    one, other = pair[side], pair[1 - side]
    small = memoryview(bytearray(5))
    received = bytearray()

    def updated(count: int) -> None:
        received.extend(small[:count])

    monkeypatch.setattr(other, "get_buffer", lambda _: small)
    monkeypatch.setattr(other, "buffer_updated", updated)
    data = random.Random(5).randbytes(1003)
    for start in range(0, len(data), 7):
        one.transport.write(data[start : start + 7])
    await until(lambda: len(received) == len(data))
    assert received == data


async def test_masks_are_not_to_be_foreseen(pair):
    """RFC 6455 §5.3: each frame has a fresh one, and zero would be none."""
    mine, _ = pair
    written: list[bytes] = []
    outer = mine.transport._tunnel.transport
    send = outer.write
    outer.write = lambda data: (written.append(bytes(data)), send(data))
    for _ in range(50):
        mine.transport.write(b"\0" * 8)
    masks = {frame[2:6] for frame in written}
    assert len(masks) == 50
    assert b"\0" * 4 not in masks
    assert all(frame[0] == 0x82 and frame[1] == 0x80 | 8 for frame in written)


@pytest.mark.parametrize("stalled", [0, 1])
async def test_a_reader_that_pauses_holds_the_writer_back_and_gets_it_all(pair, stalled):
    reader, writer = pair[stalled], pair[1 - stalled]
    writer.transport.set_write_buffer_limits(high=1 << 16)
    reader.transport.pause_reading()
    assert not reader.transport.is_reading()
    sent = 0
    while not writer.paused:
        writer.transport.write(bytes(1 << 15))
        sent += 1 << 15
        assert sent < 64 * MIB
        await asyncio.sleep(0)
    assert writer.transport.get_write_buffer_size() > 0
    await asyncio.sleep(0.02)
    assert len(reader.received) <= 1 << 19, "at most what was read already"
    reader.transport.resume_reading()
    await until(lambda: len(reader.received) == sent)
    assert writer.paused == [True, False]
    writer.transport.write(b"more")
    await until(lambda: reader.received.endswith(b"more"))


@pytest.mark.parametrize("side", [0, 1])
async def test_close_sends_what_waits_and_is_a_clean_end_for_both(pair, side, server):
    one, other = pair[side], pair[1 - side]
    one.transport.write(bytes(2 * MIB))
    one.transport.close()
    assert one.transport.is_closing()
    one.transport.write(b"too late")
    one.transport.close()
    assert await one.lost is None
    assert await other.lost is None
    assert other.received == bytes(2 * MIB)
    await until(lambda: not server.connections)


@pytest.mark.parametrize("side", [0, 1])
async def test_abort_is_no_clean_end_for_the_other(pair, side, server):
    one, other = pair[side], pair[1 - side]
    one.transport.abort()
    assert await one.lost is None
    assert isinstance(await other.lost, LostError)
    await until(lambda: not server.connections)


async def test_a_close_while_paused_is_told_after_what_was_held(pair):
    mine, theirs = pair
    theirs.transport.write(b"x" * 100)
    await until(lambda: mine.received)
    mine.transport.pause_reading()
    theirs.transport.write(b"last words")
    theirs.transport.close()
    await theirs.lost
    mine.transport.resume_reading()
    assert await mine.lost is None
    assert mine.received.endswith(b"last words")


async def test_no_half_close(pair):
    assert not pair[0].transport.can_write_eof()
    assert pair[0].transport.get_extra_info("ssl_object") is not None


# -- openings -------------------------------------------------------------------------------------


async def test_the_servers_words_when_it_refuses(endpoint):
    with pytest.raises(UpgradeError, match='pods "web" is forbidden') as caught:
        await open_websocket(endpoint, "/forbidden", {}, [NAME])
    assert caught.value.status == 403


@pytest.mark.parametrize("path", ["/none", "/other"])
async def test_another_subprotocol_or_none_is_a_failed_upgrade(endpoint, path, server):
    with pytest.raises(UpgradeError) as caught:
        await open_websocket(endpoint, path, {}, [NAME])
    assert caught.value.status in (101, 400)
    await until(lambda: not server.connections)


async def test_no_subprotocol_where_none_is_wanted(endpoint):
    opened = await open_websocket(endpoint, "/none", {}, [])
    assert opened.subprotocol == ""
    opened.abort()


@pytest.mark.parametrize(
    "fields",
    [
        {"sec-websocket-version": "12"},
        {"sec-websocket-key": "short"},
        {"sec-websocket-key": ""},
    ],
)
async def test_an_improper_opening_is_refused_as_a_status_object(server, authority, inside, fields):
    good = {
        "connection": "Upgrade",
        "upgrade": "websocket",
        "sec-websocket-version": "13",
        "sec-websocket-key": "dGhlIHNhbXBsZSBub25jZQ==",
        "sec-websocket-protocol": NAME,
    }
    context = ssl.create_default_context(cafile=authority.ca)
    reader, writer = await asyncio.open_connection("127.0.0.1", server.port, ssl=context)
    lines = [f"{name}: {value}\r\n" for name, value in (good | fields).items()]
    writer.write(("GET / HTTP/1.1\r\nhost: x\r\n" + "".join(lines) + "\r\n").encode())
    head = await reader.readuntil(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 400 ")
    assert b'"kind": "Status"' in await reader.readuntil(b"}")
    writer.transport.abort()


# -- a server that somebody else wrote ------------------------------------------------------------


class OtherServer:
    """A WebSocket server over wsproto, in clear text."""

    def __init__(self, subprotocol: str | None = NAME, accept: str = "") -> None:
        self.events: list[Event] = []
        self.subprotocol = subprotocol
        self.accept = accept
        self.ready = asyncio.Event()
        self.closed = asyncio.Event()

    async def start(self) -> Endpoint:
        self.server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        return Endpoint("127.0.0.1", self.server.sockets[0].getsockname()[1], None)

    def send(self, *events: Event) -> None:
        for event in events:
            data = self.ws.send(event)
            if isinstance(event, AcceptConnection) and self.accept:
                at = data.lower().index(b"sec-websocket-accept: ") + 22
                data = data[:at] + self.accept.encode() + data[at + len(self.accept) :]
            self.writer.write(data)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.ws = WSConnection(ConnectionType.SERVER)
        self.writer = writer
        while data := await reader.read(1 << 16):
            self.ws.receive_data(data)
            for event in self.ws.events():
                self.events.append(event)
                if isinstance(event, Request):
                    self.send(AcceptConnection(subprotocol=self.subprotocol))
                    self.ready.set()
                elif isinstance(event, Ping | CloseConnection) and (
                    isinstance(event, Ping) or not self.closed.is_set()
                ):
                    self.send(event.response())
                    if isinstance(event, CloseConnection):
                        writer.close()
        self.closed.set()
        writer.close()


@pytest.fixture
async def other() -> AsyncIterator[OtherServer]:
    server = OtherServer()
    yield server
    server.server.close()
    if server.ready.is_set():
        server.writer.transport.abort()


async def test_pings_fragments_and_bytes_of_another_server(other):
    opened = await open_websocket(await other.start(), "/", {}, [NAME])
    mine = Inside()
    opened.begin(mine)
    other.send(
        Ping(b"are you there"),
        BytesMessage(b"one ", message_finished=False),
        BytesMessage(b"two ", message_finished=False),
        Pong(b"unasked"),
        BytesMessage(b"three ", message_finished=True),
        BytesMessage(b"four"),
    )
    await until(lambda: mine.received == b"one two three four")
    mine.transport.write(b"thanks")
    mine.transport.close()
    await asyncio.wait_for(other.closed.wait(), 20)
    found = [event for event in other.events if not isinstance(event, Request)]
    assert [type(event) for event in found] == [Pong, BytesMessage, CloseConnection]
    assert found[0].payload == b"are you there"
    assert found[1].data == b"thanks"
    assert found[2].code == 1000


@pytest.mark.parametrize(
    ("event", "kind", "words"),
    [
        (TextMessage("words"), RemoteProtocolError, "text message"),
        (CloseConnection(1011, "the pod is gone"), LostError, r"1011 \(the pod is gone\)"),
        (CloseConnection(1001), LostError, "1001"),
        (CloseConnection(1000), None, ""),
    ],
)
async def test_what_ends_the_tunnel(other, event, kind, words):
    opened = await open_websocket(await other.start(), "/", {}, [NAME])
    mine = Inside()
    opened.begin(mine)
    other.send(BytesMessage(b"before"), event)
    error = await asyncio.wait_for(mine.lost, 20)
    assert mine.received == b"before"
    if kind is None:
        assert error is None
    else:
        assert isinstance(error, kind)
        assert __import__("re").search(words, str(error))


async def test_what_came_with_the_101_waits_for_a_protocol_that_pauses_at_once(other):
    class Patient(Inside):
        def connection_made(self, transport: asyncio.BaseTransport) -> None:
            super().connection_made(transport)
            self.transport.pause_reading()

    opened = await open_websocket(await other.start(), "/", {}, [NAME])
    other.send(BytesMessage(b"early "), BytesMessage(b"words"), CloseConnection(1000))
    await asyncio.sleep(0.02)
    opened._upgraded._driver._received += b"\x82\x05first"
    patient = Patient()
    opened.begin(patient)
    await asyncio.sleep(0.02)
    assert not patient.received
    assert not patient.lost.done()
    patient.transport.resume_reading()
    assert await asyncio.wait_for(patient.lost, 20) is None
    assert patient.received == b"firstearly words"


async def test_a_server_that_vanishes(other):
    opened = await open_websocket(await other.start(), "/", {}, [NAME])
    mine = Inside()
    opened.begin(mine)
    await other.ready.wait()
    other.writer.transport.abort()
    assert isinstance(await asyncio.wait_for(mine.lost, 20), LostError)


async def test_a_server_that_does_not_agree_to_our_close_is_cut_off(other, monkeypatch):
    monkeypatch.setattr(close_timer, "CLOSE_TIMEOUT", 0.05)
    opened = await open_websocket(await other.start(), "/", {}, [NAME])
    mine = Inside()
    opened.begin(mine)
    await other.ready.wait()
    other.send = lambda *_: None
    other.writer.close = lambda: None
    mine.transport.close()
    assert await mine.lost is None
    await asyncio.wait_for(other.closed.wait(), 20)


async def test_a_wrong_accept_key_is_a_failed_upgrade():
    other = OtherServer(accept="AAAAAAAAAAAAAAAAAAAAAAAAAAA=")
    with pytest.raises(UpgradeError, match="Sec-WebSocket-Accept") as caught:
        await open_websocket(await other.start(), "/", {}, [NAME])
    assert caught.value.status == 101
    other.server.close()


async def test_a_frame_beyond_the_limit(other):
    opened = await open_websocket(await other.start(), "/", {}, [NAME])
    mine = Inside()
    opened.begin(mine)
    await other.ready.wait()
    other.writer.write(b"\x82\x7f" + struct.pack("!Q", 1 << 40))
    error = await asyncio.wait_for(mine.lost, 20)
    assert isinstance(error, KfwdError)
    assert "octets" in error.what


async def test_a_peer_that_pings_for_ever_and_reads_nothing_is_cut_off(other, monkeypatch):
    monkeypatch.setattr(driver, "MAX_UNREAD", 1 << 16)
    opened = await open_websocket(await other.start(), "/", {}, [NAME])
    mine = Inside()
    opened.begin(mine)
    await other.ready.wait()
    other.writer.transport.pause_reading()
    async with asyncio.timeout(20):
        while not mine.lost.done():
            other.writer.write(b"\x89\x7d" * 1 + bytes(125))
            other.writer.write((b"\x89\x7d" + bytes(125)) * 500)
            await asyncio.sleep(0)
    assert "unread" in str(await mine.lost)


# -- a client that somebody else wrote ------------------------------------------------------------


async def test_websocket_client_of_pypi(server, authority, inside):
    def run() -> tuple[str | None, bytes, int]:
        client = other_client.create_connection(
            f"wss://127.0.0.1:{server.port}/",
            subprotocols=[NAME],
            sslopt={"ca_certs": str(authority.ca)},
            timeout=20,
        )
        client.send_binary(b"ask " * 50_000)
        client.ping("still there?")
        answer = b""
        while len(answer) < 12:
            answer += client.recv()
        client.send_close(1000)
        _, data = client.recv_data()
        client.shutdown()
        return client.getsubprotocol(), answer, struct.unpack("!H", data[:2])[0]

    running = asyncio.create_task(asyncio.to_thread(run))
    await until(lambda: running.done() or inside_received(inside) == 200_000)
    inside().transport.write(b"a big answer")
    name, answer, code = await running
    assert (name.upper(), answer, code) == (NAME.upper(), b"a big answer", 1000)
    assert await inside().lost is None
    await until(lambda: not server.connections)


def inside_received(inside: Callable[[], Inside]) -> int:
    try:
        return len(inside().received)
    except IndexError:
        return 0


async def test_wsproto_is_refused_with_a_status(server, authority, inside):
    context = ssl.create_default_context(cafile=authority.ca)
    reader, writer = await asyncio.open_connection("127.0.0.1", server.port, ssl=context)
    client = WSConnection(ConnectionType.CLIENT)
    writer.write(client.send(Request(host="x", target="/forbidden", subprotocols=[NAME])))
    client.receive_data(await reader.read(1 << 16))
    event = next(iter(client.events()))
    assert isinstance(event, RejectConnection)
    assert event.status_code == 403
    writer.transport.abort()
