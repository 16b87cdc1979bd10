"""Requests by HTTP/1.1 to our own server, and to servers that answer strangely."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator, Callable

import pytest
from peers.streams import until

from kfwd_nb.errors import (
    ConfigError,
    ForbiddenError,
    KfwdError,
    LimitError,
    LostError,
    RemoteProtocolError,
    UnavailableError,
)
from kfwd_nb.transport import answers
from kfwd_nb.transport.endpoint import Endpoint
from kfwd_nb.transport.http1 import client as http1_client
from kfwd_nb.transport.http1.client import Http1Client
from kfwd_nb.transport.tls import server_context
from kfwd_nb.transport.tls_transport import TlsTransport, handshake

pytestmark = pytest.mark.chain


@pytest.fixture
def client(server, client_tls) -> Http1Client:
    endpoint = Endpoint("127.0.0.1", server.port, client_tls)
    return Http1Client(endpoint, {"Authorization": "Bearer x"})


async def test_a_request_and_its_answer(client, handler, server):
    reply = await client.request("PUT", "/echo", body=b"words", headers={"X-More": "1"})
    assert (reply.status, reply.body, reply.headers["x-echo"]) == (200, b"words", "yes")
    (request,) = handler.requests
    assert request.headers["authorization"] == "Bearer x"
    assert request.headers["x-more"] == "1"
    assert request.headers["content-type"] == "application/json"
    assert request.authority == f"127.0.0.1:{server.port}"
    await until(lambda: not server.connections)


async def test_large_bodies_both_ways(client):
    body = bytes(range(251)) * 20_000
    assert (await client.request("PUT", "/echo", body=body)).body == body


async def test_fields_that_are_asked_for_anew(server, client_tls, handler):
    tokens = iter(["one", "two"])

    async def headers() -> dict[str, str]:
        return {"authorization": next(tokens)}

    client = Http1Client(Endpoint("127.0.0.1", server.port, client_tls), headers)
    await client.request("GET", "/echo")
    await client.request("GET", "/echo")
    assert [each.headers["authorization"] for each in handler.requests] == ["one", "two"]


async def test_many_requests_at_once(client, server):
    replies = await asyncio.gather(
        *(client.request("PUT", "/echo", body=b"%d" % number) for number in range(30))
    )
    assert [reply.body for reply in replies] == [b"%d" % number for number in range(30)]
    await until(lambda: not server.connections)


async def test_lines_of_a_watch_come_as_they_are_made(client, handler, server):
    lines = client.lines("/watch")
    handler.lines.put_nowait(b"one\ntw")
    assert await anext(lines) == b"one"
    handler.lines.put_nowait(b"o\n")
    assert await anext(lines) == b"two"
    handler.lines.put_nowait(b"three")
    handler.lines.put_nowait(None)
    assert [line async for line in lines] == [b"three"]
    await until(lambda: not server.connections)


async def test_a_watch_that_is_left_ends_at_the_server(client, handler, server):
    lines = client.lines("/watch")
    handler.lines.put_nowait(b"one\n")
    await anext(lines)
    await lines.aclose()
    await until(lambda: handler.watches_open == 0 and not server.connections)


async def test_a_refused_watch(client):
    with pytest.raises(ForbiddenError, match="this is ForbiddenError"):
        await anext(client.lines("/error/ForbiddenError"))


async def test_a_request_that_is_cancelled_leaves_nothing(client, handler, server):
    asking = asyncio.create_task(client.request("GET", "/never"))
    await until(lambda: handler.requests)
    asking.cancel()
    await asyncio.gather(asking, return_exceptions=True)
    await until(lambda: handler.cancelled == 1 and not server.connections)


async def test_a_token_that_no_field_may_hold(server, client_tls):
    client = Http1Client(Endpoint("127.0.0.1", server.port, client_tls), {"authorization": "a\nb"})
    with pytest.raises(ConfigError, match="cannot be written"):
        await client.request("GET", "/echo")
    await until(lambda: not server.connections)


async def test_no_answer_in_time(client, server, monkeypatch):
    monkeypatch.setattr(http1_client, "REQUEST_TIMEOUT", 0.1)
    with pytest.raises(LostError, match="no answer to GET /never"):
        await client.request("GET", "/never")
    with pytest.raises(LostError, match="no answer to GET /never"):
        await anext(client.lines("/never"))
    await until(lambda: not server.connections)


async def test_lines_that_do_not_come(client, handler, server):
    lines = client.lines("/watch", silence=0.2)
    handler.lines.put_nowait(b"one\ntw")
    assert await anext(lines) == b"one"
    with pytest.raises(LostError, match=r"nothing came from /watch"):
        await anext(lines)
    await until(lambda: handler.watches_open == 0 and not server.connections)


async def test_nobody_answers():
    with pytest.raises(UnavailableError, match="nobody answers"):
        await Http1Client(Endpoint("127.0.0.1", 1, None), {}).request("GET", "/")


# -- answers written by hand, in clear text -------------------------------------------------------


@pytest.fixture
async def answering() -> AsyncIterator[Callable[[bytes], object]]:
    async with contextlib.AsyncExitStack() as kept:

        async def make(answer: bytes) -> Http1Client:
            async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
                with contextlib.suppress(ConnectionError, asyncio.IncompleteReadError):
                    await reader.readuntil(b"\r\n\r\n")
                    writer.write(answer)
                writer.close()

            listener = await asyncio.start_server(serve, "127.0.0.1", 0)
            kept.callback(listener.close)
            port = listener.sockets[0].getsockname()[1]
            return Http1Client(Endpoint("127.0.0.1", port, None), {})

        yield make


@pytest.mark.parametrize(
    ("answer", "body"),
    [
        (b"HTTP/1.1 200 OK\r\n\r\nuntil the end", b"until the end"),
        (b"HTTP/1.0 200 OK\r\n\r\nold", b"old"),
        (
            b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n",
            b"abc",
        ),
        (b"HTTP/1.1 100 Go on\r\n\r\nHTTP/1.1 204 No\r\n\r\n", b""),
    ],
)
async def test_forms_of_an_answer(answering, answer, body):
    client = await answering(answer)
    assert (await client.request("GET", "/")).body == body


@pytest.mark.parametrize(
    ("answer", "kind"),
    [
        (b"", LostError),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\ncut", LostError),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nab", LostError),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n", RemoteProtocolError),
        (b"HTTP/1.1 101 x\r\nUpgrade: x\r\n\r\n", KfwdError),
        (b"\x00\x00\x12\x04\x00\x00\x00\x00\x00" * 9, RemoteProtocolError),
    ],
)
async def test_bad_answers(answering, answer, kind):
    client = await answering(answer)
    with pytest.raises(kind):
        await client.request("GET", "/")
    with pytest.raises(kind):
        await anext(client.lines("/"))


async def test_limits(answering, monkeypatch):
    monkeypatch.setattr(answers, "MAX_BODY", 100)
    monkeypatch.setattr(answers, "MAX_LINE", 100)
    client = await answering(b"HTTP/1.1 200 OK\r\n\r\n" + b"x" * 101)
    with pytest.raises(LimitError):
        await client.request("GET", "/")
    with pytest.raises(LimitError):
        await anext(client.lines("/"))


# -- the same, secured: with TLS's own end, and without -------------------------------------------


class Answering(asyncio.Protocol):
    """Answers the first request, then is gone: with a goodbye, or as many servers go."""

    def __init__(self, answer: bytes, *, goodbye: bool) -> None:
        self._answer = answer
        self._goodbye = goodbye
        self._asked = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        self._asked += data
        if self._asked.endswith(b"\r\n\r\n"):
            self._transport.write(self._answer)
            (self._transport.close if self._goodbye else self._transport.abort)()


@pytest.fixture
async def secured(authority, client_tls) -> AsyncIterator[Callable[..., Http1Client]]:
    listener = socket.create_server(("127.0.0.1", 0))
    listener.setblocking(False)
    context = server_context(*authority.issue("answering"))
    tasks = []

    async def serve(answer: bytes, goodbye: bool) -> None:
        while True:
            sock, _ = await asyncio.get_running_loop().sock_accept(listener)
            tls = await handshake(sock, context, server_side=True)
            TlsTransport(tls, Answering(answer, goodbye=goodbye)).begin()

    def begin(answer: bytes, *, goodbye: bool) -> Http1Client:
        tasks.append(asyncio.create_task(serve(answer, goodbye)))
        return Http1Client(Endpoint("127.0.0.1", listener.getsockname()[1], client_tls), {})

    yield begin
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    listener.close()


WHOLE = [
    b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nabc",
    b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n",
]
UNTIL_THE_END = b"HTTP/1.1 200 OK\r\n\r\nabc"


@pytest.mark.parametrize("answer", WHOLE)
@pytest.mark.parametrize("goodbye", [True, False])
async def test_an_answer_that_tells_its_length_needs_no_goodbye(secured, answer, goodbye):
    client = secured(answer, goodbye=goodbye)
    assert (await client.request("GET", "/")).body == b"abc"


async def test_an_answer_until_the_end_is_whole_only_with_a_goodbye(secured):
    assert (await secured(UNTIL_THE_END, goodbye=True).request("GET", "/")).body == b"abc"


async def test_and_may_be_cut_off_without(secured):
    """RFC 9112 §9.8: anybody on the way can end a TCP connection."""
    with pytest.raises(LostError, match="close_notify"):
        await secured(UNTIL_THE_END, goodbye=False).request("GET", "/")
