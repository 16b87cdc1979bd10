"""Requests and answers, by both HTTP versions, asked by clients that nobody here wrote."""

from __future__ import annotations

import asyncio
import http.client
import json
import socket
import ssl
from collections.abc import Callable
from typing import Any

import pytest
from peers.streams import until

from kfwd_nb import errors
from kfwd_nb.transport import linger
from kfwd_nb.transport.endpoint import Endpoint
from kfwd_nb.transport.http import MAX_BODY, Identity
from kfwd_nb.transport.http1 import server as http1_server
from kfwd_nb.transport.http2.client import Tunnel
from kfwd_nb.transport.server import serve
from kfwd_nb.transport.tls import client_context, server_context

pytestmark = pytest.mark.chain

Answer = tuple[int, dict[str, str], bytes]
Ask = Callable[..., Any]


@pytest.fixture(params=["http.client", "curl HTTP/1.1", "curl HTTP/2", "Tunnel"])
async def ask(request, server, tunnel, authority) -> Ask:
    """`await ask(method, path, body)`: an answer's (status, headers, body)."""

    def by_http_client(method: str, path: str, body: bytes) -> Answer:
        context = ssl.create_default_context(cafile=authority.ca)
        connection = http.client.HTTPSConnection("127.0.0.1", server.port, context=context)
        connection.request(method, path, body=body or None)
        answer = connection.getresponse()
        content = answer.read()
        connection.close()
        return answer.status, {k.lower(): v for k, v in answer.getheaders()}, content

    async def by_curl(method: str, path: str, body: bytes) -> Answer:
        version = "--http2" if request.param.endswith("2") else "--http1.1"
        words = ["--silent", "--show-error", version, "--cacert", authority.ca, "-X", method]
        words += ["-D", "/dev/stderr", "--data-binary", "@-"] if body else ["-D", "/dev/stderr"]
        curl = await asyncio.create_subprocess_exec(
            "curl",
            *words,
            f"https://127.0.0.1:{server.port}{path}",
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
        )
        content, head = await curl.communicate(body)
        assert curl.returncode == 0, head
        first, *rest = head.decode().split("\r\n\r\n")[-2].splitlines()
        assert first.startswith("HTTP/2" if version == "--http2" else "HTTP/1.1")
        fields = dict(line.split(": ", 1) for line in rest)
        return int(first.split()[1]), {k.lower(): v for k, v in fields.items()}, content

    async def by_any(method: str, path: str, body: bytes = b"") -> Answer:
        if request.param == "Tunnel":
            reply = await tunnel.request(method, path, body=body)
            return reply.status, dict(reply.headers), reply.body
        if request.param == "http.client":
            return await asyncio.to_thread(by_http_client, method, path, body)
        return await by_curl(method, path, body)

    return by_any


async def test_a_request_arrives_and_its_answer_comes_back(ask, handler):
    status, headers, body = await ask("POST", "/echo", b"a small body")
    assert (status, body) == (200, b"a small body")
    assert headers["content-type"] == "text/plain"
    assert headers["x-echo"] == "yes"
    (request,) = handler.requests
    assert (request.method, request.path, request.body) == ("POST", "/echo", b"a small body")
    assert request.authority.startswith("127.0.0.1:")
    assert request.identity is None
    assert all(name == name.lower() for name in request.headers)


async def test_an_empty_answer(ask):
    assert (await ask("GET", "/nowhere"))[0] == 404


async def test_a_body_of_many_windows_comes_down(ask):
    status, headers, body = await ask("GET", f"/bytes/{5 << 20}")
    assert status == 200
    assert headers["content-length"] == str(5 << 20)
    assert body == bytes(range(256)) * ((5 << 20) // 256)


async def test_a_body_of_many_windows_goes_up_and_comes_back(ask):
    sent = bytes(range(251)) * ((4 << 20) // 251)
    assert (await ask("PUT", "/echo", sent))[2] == sent


async def test_a_streamed_answer_of_many_windows(ask):
    status, _, body = await ask("GET", "/flood/80")
    assert status == 200
    assert body == (b"x" * 65_535 + b"\n") * 80


@pytest.mark.parametrize(
    ("kind", "status", "reason"),
    [
        ("UsageError", 400, "BadRequest"),
        ("UnauthorizedError", 401, "Unauthorized"),
        ("ForbiddenError", 403, "Forbidden"),
        ("NotFoundError", 404, "NotFound"),
        ("ConfigError", 422, "Invalid"),
        ("LimitError", 429, "TooManyRequests"),
        ("UnavailableError", 503, "ServiceUnavailable"),
        ("ClusterError", 500, "InternalError"),
    ],
)
async def test_an_error_becomes_a_status_object(tunnel, kind, status, reason):
    reply = await tunnel.request("GET", f"/error/{kind}")
    assert reply.status == status
    found = json.loads(reply.body)
    assert (found["kind"], found["code"], found["reason"]) == ("Status", status, reason)
    assert found["message"] == f"this is {kind}."


async def test_an_error_is_the_same_in_every_version(ask):
    status, headers, body = await ask("GET", "/error/NotFoundError")
    assert (status, headers["content-type"]) == (404, "application/json")
    assert json.loads(body)["message"] == "this is NotFoundError."


async def test_a_bug_of_the_handler_is_a_500_that_tells_nothing_and_the_next_one_works(ask):
    status, _, body = await ask("GET", "/crash")
    assert status == 500
    assert b"a bug of the handler" not in body
    assert (await ask("POST", "/echo", b"still here"))[2] == b"still here"


async def test_several_requests_on_one_http1_connection(server, authority):
    def run() -> list[bytes]:
        context = ssl.create_default_context(cafile=authority.ca)
        connection = http.client.HTTPSConnection("127.0.0.1", server.port, context=context)
        bodies = []
        for number in range(5):
            connection.request("POST", "/echo", body=f"number {number}")
            bodies.append(connection.getresponse().read())
            sock = connection.sock
            assert sock is not None, "kept open"
        connection.close()
        return bodies

    assert await asyncio.to_thread(run) == [f"number {n}".encode() for n in range(5)]
    await until(lambda: not server.connections)


@pytest.mark.parametrize(
    "noise",
    [
        b"\r\n\r\n\r\n",
        b"HELO\r\n\r\n",
        b"GET /\x00 HTTP/1.1\r\nHost: x\r\n\r\n",
        b"GET / HTTP/1.1\r\n\r\n",
        b"POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: -1\r\n\r\n",
        b"POST /echo HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
        b"GET / HTTP/1.1\r\nHost: x\r\n" + b"a: " + b"b" * 200_000 + b"\r\n\r\n",
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
        b"\x16\x03\x01" + bytes(200),
    ],
)
async def test_noise_on_an_http1_connection_is_answered_or_ended(server, authority, noise):
    def run() -> bytes:
        context = ssl.create_default_context(cafile=authority.ca)
        with (
            socket.create_connection(("127.0.0.1", server.port), timeout=20) as plain,
            context.wrap_socket(plain, server_hostname="localhost") as sock,
        ):
            gathered = b""
            sock.sendall(noise)
            while data := sock.recv(1 << 16):
                gathered += data
            return gathered

    answer = await asyncio.to_thread(run)
    assert answer.startswith(b"HTTP/1.1 4")
    await until(lambda: not server.connections)


async def test_an_early_answer_is_not_lost_to_a_reset(server, authority):
    """RFC 9112 §9.6: the server has answered, and the client is still sending."""

    def run() -> bytes:
        context = ssl.create_default_context(cafile=authority.ca)
        with (
            socket.create_connection(("127.0.0.1", server.port), timeout=20) as plain,
            context.wrap_socket(plain, server_hostname="localhost") as sock,
        ):
            sock.sendall(b"PUT /echo HTTP/1.1\r\nHost: x\r\nContent-Length: 90000000\r\n\r\n")
            for _ in range(40):
                sock.sendall(bytes(1 << 20))
            gathered = b""
            while data := sock.recv(1 << 16):
                gathered += data
            return gathered

    answer = await asyncio.to_thread(run)
    assert answer.startswith(b"HTTP/1.1 429 ")
    assert b"the body exceeds" in answer
    await until(lambda: not server.connections)


async def test_a_client_that_does_not_close_after_its_answer_is_cut_off(
    server, authority, monkeypatch
):
    monkeypatch.setattr(linger, "LINGER_TIMEOUT", 0.05)
    context = ssl.create_default_context(cafile=authority.ca)
    _, writer = await asyncio.open_connection("127.0.0.1", server.port, ssl=context)
    writer.transport.pause_reading()
    writer.write(b"GET /echo HTTP/1.0\r\n\r\n")
    await until(lambda: server.connections)
    await until(lambda: not server.connections)
    writer.transport.abort()


async def test_a_client_that_sends_for_ever_after_its_answer_is_cut_off(
    server, authority, monkeypatch
):
    monkeypatch.setattr(linger, "LINGER_OCTETS", 1 << 20)
    context = ssl.create_default_context(cafile=authority.ca)
    _, writer = await asyncio.open_connection("127.0.0.1", server.port, ssl=context)
    with pytest.raises(ConnectionError):
        async with asyncio.timeout(20):
            writer.write(b"nonsense\r\n\r\n")
            while True:
                writer.write(bytes(1 << 16))
                await writer.drain()
    await until(lambda: not server.connections)


async def test_a_client_that_speaks_no_tls_is_let_go(server, tunnel):
    reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
    writer.write(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
    assert len(await reader.read()) < 100
    writer.close()
    assert (await tunnel.request("GET", "/echo")).status == 200


async def test_an_idle_http1_connection_is_closed(server, authority, monkeypatch):
    monkeypatch.setattr(http1_server, "IDLE_TIMEOUT", 0.05)
    context = ssl.create_default_context(cafile=authority.ca)
    reader, writer = await asyncio.open_connection("127.0.0.1", server.port, ssl=context)
    assert await reader.read() == b""
    writer.close()


async def test_a_body_beyond_the_limit_is_refused(tunnel, server, authority):
    with pytest.raises(errors.KfwdError):
        await tunnel.request("PUT", "/echo", body=bytes(MAX_BODY + 1))
    assert (await tunnel.request("PUT", "/echo", body=b"small")).body == b"small"


async def test_a_watch_is_ended_when_its_http1_client_goes(server, authority, handler):
    context = ssl.create_default_context(cafile=authority.ca)
    reader, writer = await asyncio.open_connection("127.0.0.1", server.port, ssl=context)
    writer.write(b"GET /watch HTTP/1.1\r\nHost: x\r\n\r\n")
    handler.lines.put_nowait(b"one\n")
    await reader.readuntil(b"one\n")
    assert handler.watches_open == 1
    writer.transport.abort()
    await until(lambda: handler.watches_open == 0)
    await until(lambda: not server.connections)


async def test_a_slow_http1_client_stops_the_generator(server, authority, handler):
    context = ssl.create_default_context(cafile=authority.ca)
    _, writer = await asyncio.open_connection("127.0.0.1", server.port, ssl=context, limit=1)
    writer.write(b"GET /flood/2000 HTTP/1.1\r\nHost: x\r\n\r\n")
    await until(lambda: handler.pieces_made)
    made = -1
    while made != handler.pieces_made:
        made = handler.pieces_made
        await asyncio.sleep(0.1)
    assert made < 1000, "it waits, long before its 131 MB are made"
    writer.transport.abort()
    await until(lambda: handler.watches_open == 0)


async def test_a_client_certificate_names_its_owner(handler, authority, server):
    tls = client_context(authority.ca)
    cert, key = authority.issue("node-7", "system:nodes", "more")
    tls.load_cert_chain(cert, key)
    tunnel = await Tunnel.open(Endpoint("127.0.0.1", server.port, tls))
    await tunnel.request("GET", "/echo")
    identity = handler.requests[-1].identity
    assert identity is not None
    assert identity.name == "node-7"
    assert sorted(identity.groups) == ["more", "system:nodes"]
    tunnel.close()


async def test_a_server_that_wants_certificates_refuses_clients_without(
    handler, authority, client_tls
):
    context = server_context(*authority.issue("strict"), clients=authority.ca, require=True)
    server = await serve(handler, context)
    with pytest.raises(errors.KfwdError):
        tunnel = await Tunnel.open(Endpoint("127.0.0.1", server.port, client_tls))
        await tunnel.request("GET", "/echo")
    assert handler.requests == []
    cert, key = authority.issue("allowed")
    tunnel = await Tunnel.open(
        Endpoint("127.0.0.1", server.port, client_context(authority.ca, cert=cert, key=key))
    )
    await tunnel.request("GET", "/echo")
    assert handler.requests[-1].identity == Identity("allowed")
    tunnel.close()
    await server.close()


async def test_close_ends_connections_of_both_versions(handler, server_tls, client_tls, authority):
    server = await serve(handler, server_tls)
    tunnel = await Tunnel.open(Endpoint("127.0.0.1", server.port, client_tls))
    context = ssl.create_default_context(cafile=authority.ca)
    reader, writer = await asyncio.open_connection("127.0.0.1", server.port, ssl=context)
    writer.write(b"GET /never HTTP/1.1\r\nHost: x\r\n\r\n")
    await until(lambda: handler.requests)
    await server.close()
    assert await reader.read() == b""
    await tunnel.closed
    assert handler.cancelled == 1
    assert not server.connections
    writer.close()
    with pytest.raises(errors.UnavailableError):
        await Tunnel.open(Endpoint("127.0.0.1", server.port, client_tls))


async def test_the_answer_to_a_head_has_no_body(tunnel, handler):
    reply = await tunnel.request("HEAD", "/bytes/1024")
    assert (reply.status, reply.headers["content-length"], reply.body) == (200, "1024", b"")
    assert (await tunnel.request("HEAD", "/watch")).body == b""
    assert handler.watches_open == 0
    assert (await tunnel.request("GET", "/bytes/1024")).body == bytes(range(256)) * 4
