"""Upgrades of HTTP/1.1 (RFC 9110 §7.8): both sides against each other and against raw bytes."""

from __future__ import annotations

import asyncio
import contextlib
import json
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable

import pytest
from peers.streams import until

from kfwd_nb.errors import (
    ForbiddenError,
    KfwdError,
    LostError,
    NotFoundError,
    RemoteProtocolError,
    UnavailableError,
)
from kfwd_nb.transport.endpoint import Endpoint
from kfwd_nb.transport.http1 import client as http1_client
from kfwd_nb.transport.http1.client import UpgradeError, upgrade
from kfwd_nb.transport.http1.driver import MAX_HEAD

pytestmark = pytest.mark.chain

ECHO = {"upgrade": "echo/1"}


class Mine(asyncio.Protocol):
    def __init__(self) -> None:
        self.received = bytearray()
        self.lost: asyncio.Future[Exception | None] = asyncio.get_running_loop().create_future()

    def data_received(self, data: bytes) -> None:
        self.received += data

    def connection_lost(self, exc: Exception | None) -> None:
        self.lost.set_result(exc)


class MineBuffered(asyncio.BufferedProtocol):
    def __init__(self) -> None:
        self.received = bytearray()
        self.lost: asyncio.Future[Exception | None] = asyncio.get_running_loop().create_future()
        self._buffer = bytearray(5)

    def get_buffer(self, sizehint: int) -> memoryview:
        return memoryview(self._buffer)

    def buffer_updated(self, nbytes: int) -> None:
        self.received += self._buffer[:nbytes]

    def connection_lost(self, exc: Exception | None) -> None:
        self.lost.set_result(exc)


@pytest.fixture
def endpoint(server, client_tls) -> Endpoint:
    return Endpoint("127.0.0.1", server.port, client_tls)


@pytest.mark.parametrize("kind", [Mine, MineBuffered])
async def test_both_sides_switch_and_bytes_go_both_ways(endpoint, handler, server, kind):
    upgraded = await upgrade(endpoint, "/any?x=1", ECHO, method="GET")
    assert upgraded.headers["x-told"] == "yes"
    mine = kind()
    transport = upgraded.begin(mine)
    transport.write(b"you")
    await until(lambda: mine.received == b"hello you")
    (request,) = handler.requests
    assert (request.method, request.path) == ("GET", "/any?x=1")
    transport.write(bytes(3 << 20))
    await until(lambda: len(mine.received) == 9 + (3 << 20))
    transport.close()
    assert await mine.lost is None
    await handler.switched.over.wait()
    await until(lambda: not server.connections)


async def test_a_server_that_stops_ends_switched_connections(endpoint, server):
    mine = Mine()
    (await upgrade(endpoint, "/", ECHO)).begin(mine)
    await server.close()
    await mine.lost
    assert not server.connections


async def test_abort(endpoint, handler, server):
    (await upgrade(endpoint, "/", ECHO)).abort()
    await handler.switched.over.wait()
    await until(lambda: not server.connections)


async def test_the_servers_own_words(endpoint):
    with pytest.raises(UpgradeError, match=r"no echo here") as caught:
        await upgrade(endpoint, "/error/ForbiddenError", ECHO)
    assert caught.value.status == 403
    assert isinstance(caught.value.cause, ForbiddenError)


async def test_a_token_that_the_server_does_not_know_is_answered_as_usual(endpoint, handler):
    with pytest.raises(UpgradeError) as caught:
        await upgrade(endpoint, "/nowhere", {"upgrade": "other/2"})
    assert caught.value.status == 404
    assert isinstance(caught.value.cause, NotFoundError)
    with pytest.raises(UpgradeError) as caught:
        await upgrade(endpoint, "/echo", {"upgrade": "other/2"})
    assert caught.value.status == 200


# -- requests written by hand ---------------------------------------------------------------------

Ask = Callable[[bytes], Awaitable[bytes]]


@pytest.fixture
async def ask(server, authority) -> AsyncIterator[Ask]:
    """Send octets, read until `enough` stands in what came or the server closes."""
    context = ssl.create_default_context(cafile=authority.ca)
    kept = []

    async def run(data: bytes, enough: bytes = b"\r\n\r\n") -> bytes:
        reader, writer = await asyncio.open_connection("127.0.0.1", server.port, ssl=context)
        kept.append(writer)
        writer.write(data)
        gathered = b""
        async with asyncio.timeout(20):
            while enough not in gathered and (piece := await reader.read(1 << 16)):
                gathered += piece
        return gathered

    yield run
    for writer in kept:
        writer.transport.abort()


HEAD = b"GET /x HTTP/1.1\r\nHost: x\r\nConnection: keep-alive, upgrade\r\nUpgrade: echo/1\r\n"


async def test_what_comes_before_the_101_reaches_the_new_protocol(ask):
    answer = await ask(HEAD + b"\r\nimpatient", b"impatient")
    head, _, rest = answer.partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 101 ")
    assert rest == b"hello impatient"


async def test_an_upgrade_with_a_body(ask, handler):
    answer = await ask(HEAD + b"Content-Length: 4\r\n\r\nbodyand more", b"and more")
    assert answer.endswith(b"\r\n\r\nhello and more")
    assert handler.requests[0].body == b"body"


async def test_repeated_fields_are_joined(ask, handler):
    await ask(HEAD + b"X-Version: a\r\nX-Version: b\r\n\r\n")
    assert handler.requests[0].headers["x-version"] == "a, b"


@pytest.mark.parametrize(
    "head",
    [
        b"GET /echo HTTP/1.0\r\nConnection: upgrade\r\nUpgrade: echo/1\r\n\r\n",
        b"GET /echo HTTP/1.1\r\nHost: x\r\nUpgrade: echo/1\r\n\r\n",
    ],
)
async def test_what_is_no_upgrade_is_answered_as_usual(ask, head):
    assert (await ask(head)).startswith(b"HTTP/1.1 200 ")


async def test_a_refused_upgrade_leaves_the_connection_for_the_next_request(ask):
    refused = HEAD.replace(b"/x", b"/error/ForbiddenError") + b"\r\n"
    follows = b"POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\n\r\nabc"
    answer = await ask(refused + follows, b"abc")
    assert answer.startswith(b"HTTP/1.1 403 ")
    assert b"HTTP/1.1 200 " in answer


# -- answers written by hand ----------------------------------------------------------------------

SWITCHED = b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: echo/1\r\n\r\n"


@pytest.fixture
async def answering() -> AsyncIterator[Callable[..., Awaitable[Endpoint]]]:
    """`await answering(b"…", close=True)`: a plain server that gives this answer to all."""
    async with contextlib.AsyncExitStack() as kept:

        async def make(*pieces: bytes, close: bool = True) -> Endpoint:
            async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
                with contextlib.suppress(ConnectionError, asyncio.IncompleteReadError):
                    await reader.readuntil(b"\r\n\r\n")
                    for piece in pieces:
                        writer.write(piece)
                        await writer.drain()
                        await asyncio.sleep(0.001)
                    if not close:
                        await reader.read()
                writer.close()

            listener = await asyncio.start_server(answer, "127.0.0.1", 0)
            kept.callback(listener.close)
            return Endpoint("127.0.0.1", listener.sockets[0].getsockname()[1], None)

        yield make


@pytest.mark.parametrize("kind", [Mine, MineBuffered])
@pytest.mark.parametrize("cut", [1, 20, len(SWITCHED) - 1, len(SWITCHED), len(SWITCHED) + 3])
async def test_what_comes_with_the_101_reaches_the_new_protocol_and_so_does_the_end(
    answering, cut, kind
):
    whole = SWITCHED + b"early words"
    upgraded = await upgrade(await answering(whole[:cut], whole[cut:]), "/", ECHO)
    mine = kind()
    upgraded.begin(mine)
    assert await mine.lost is None
    assert mine.received == b"early words"


async def test_the_end_is_told_when_it_came_before_the_beginning(answering):
    upgraded = await upgrade(await answering(SWITCHED + b"bye"), "/", ECHO)
    await asyncio.sleep(0.02)
    mine = Mine()
    upgraded.begin(mine)
    await mine.lost
    assert mine.received == b"bye"


async def test_an_interim_answer_is_passed_over(answering):
    endpoint = await answering(b"HTTP/1.1 103 Early Hints\r\n\r\n" + SWITCHED, close=False)
    (await upgrade(endpoint, "/", ECHO)).abort()


@pytest.mark.parametrize(
    ("answer", "kind", "words"),
    [
        (b"", LostError, "closed before"),
        (SWITCHED[:30], (LostError, RemoteProtocolError), "no HTTP|closed"),
        (SWITCHED[:-2], (LostError, RemoteProtocolError), "no HTTP|closed"),
        (b"SSH-2.0-OpenSSH_9.2\r\n\r\n", RemoteProtocolError, "no HTTP/1.1"),
        (b"\x15\x03\x01\x00\x02\x02\x16" * 40, RemoteProtocolError, "no HTTP/1.1"),
        (b"HTTP/1.1 101 x\r\nConnection: Upgrade\r\n\r\n", UpgradeError, "not to 'echo/1'"),
        (b"HTTP/1.1 101 x\r\nUpgrade: echo/1\r\n\r\n", UpgradeError, "not to 'echo/1'"),
        (SWITCHED.replace(b"echo/1", b"h2c"), UpgradeError, "switched to 'h2c'"),
        (
            b"HTTP/1.1 200 OK\r\n" + b"a: " + b"b" * 4 * MAX_HEAD,
            RemoteProtocolError,
            "no HTTP/1.1: Receive buffer too long",
        ),
        (b"HTTP/1.1 502 x\r\nContent-Length: 90\r\n\r\ncut off", UpgradeError, "answer is 502"),
        (b"HTTP/1.1 400 x\r\n\r\nplain words until the end", UpgradeError, "answer is 400"),
    ],
)
async def test_bad_answers_are_typed_errors(answering, answer, kind, words):
    with pytest.raises(kind, match=words) as caught:
        await upgrade(await answering(answer), "/", ECHO)
    assert isinstance(caught.value, KfwdError)


async def test_a_status_object_keeps_its_words_and_its_hint(answering):
    body = json.dumps(
        {
            "kind": "Status",
            "message": 'pods "web" is forbidden',
            "details": {"causes": [{"reason": "Hint", "message": "ask the admin."}]},
        }
    ).encode()
    head = b"HTTP/1.1 403 Forbidden\r\nContent-Length: %d\r\n\r\n" % len(body)
    with pytest.raises(UpgradeError) as caught:
        await upgrade(await answering(head, body, close=False), "/", ECHO)
    error = caught.value
    assert (error.status, error.what, error.hint) == (
        403,
        'pods "web" is forbidden',
        "ask the admin.",
    )


@pytest.mark.parametrize(
    "answer", [b"", SWITCHED[:30], b"HTTP/1.1 403 Forbidden\r\nContent-Length: 10\r\n\r\nnot"]
)
async def test_a_server_that_falls_silent_is_given_up(answering, answer, monkeypatch):
    monkeypatch.setattr(http1_client, "UPGRADE_TIMEOUT", 0.1)
    with pytest.raises(LostError, match="did not answer in"):
        await upgrade(await answering(answer, close=False), "/", ECHO)


async def test_nobody_answers():
    with pytest.raises(UnavailableError, match="nobody answers"):
        await upgrade(Endpoint("127.0.0.1", 1, None), "/", ECHO)
