"""A tunnel's opening and its end: who is told what when the other side is not as it should be."""

from __future__ import annotations

import asyncio
import socket
import ssl

import pytest
from peers import http2 as peer
from peers.leftovers import left_over, of_server
from peers.streams import chunk, record, until

from kfwd_nb.errors import KfwdError, LostError, UnavailableError
from kfwd_nb.transport import driver
from kfwd_nb.transport import endpoint as endpoint_module
from kfwd_nb.transport.endpoint import Endpoint
from kfwd_nb.transport.http2.client import Tunnel
from kfwd_nb.transport.server import serve
from kfwd_nb.transport.tls import client_context, server_context

pytestmark = pytest.mark.chain

TARGET = "web.default.pod:80"


# -- the end --------------------------------------------------------------------------------------


async def test_a_server_that_is_gone_ends_everything_with_a_typed_error(
    handler, server_tls, client_tls
):
    server = await serve(handler, server_tls)
    tunnel = await Tunnel.open(Endpoint("127.0.0.1", server.port, client_tls))
    stream = record(await tunnel.connect(TARGET))
    never_started = await tunnel.connect(TARGET)

    async def watch() -> None:
        async for _ in tunnel.lines("/watch"):
            pass

    waiting = [
        asyncio.create_task(tunnel.request("GET", "/never")),
        asyncio.create_task(tunnel.connect("never.default.pod:1")),
        asyncio.create_task(watch()),
    ]
    await until(lambda: len(handler.requests) == 5)
    of_server(server).driver.abandon(LostError("killed."))
    for result in await asyncio.gather(*waiting, return_exceptions=True):
        assert isinstance(result, LostError), result
    await until(lambda: stream.over)
    assert isinstance(stream.error, LostError)
    late = record(never_started)
    await until(lambda: late.over)
    assert isinstance(late.error, LostError)
    await tunnel.closed
    assert not tunnel.alive
    with pytest.raises(LostError):
        await tunnel.connect(TARGET)
    with pytest.raises(LostError):
        await tunnel.request("GET", "/echo")
    assert not left_over(tunnel)
    await until(lambda: handler.cancelled == 2 and handler.watches_open == 0)
    await server.close()


@pytest.mark.parametrize("error", [None, LostError("stopped.")])
async def test_after_close_every_call_has_a_clear_end(tunnel, server, handler, error):
    """In the same turn of the loop too, when the connection is not gone yet."""
    stream = await tunnel.connect(TARGET)
    one = record(stream)
    await until(lambda: one.stream._live)
    other = record(await handler.streams.get())
    asking = asyncio.create_task(tunnel.request("GET", "/never"))
    await until(lambda: len(handler.requests) == 2)
    tunnel.close(error)
    assert not tunnel.alive
    stream.write(*chunk(b"x"))
    stream.write_eof()
    stream.resume()
    stream.close()
    stream.close(LostError("again."))
    with pytest.raises(LostError):
        await tunnel.connect(TARGET)
    with pytest.raises(LostError):
        await tunnel.request("GET", "/echo")
    tunnel.close(error)
    asking.cancel()
    await asyncio.gather(asking, return_exceptions=True)
    assert await tunnel.closed is error
    await until(lambda: one.over and other.over)
    assert other.error is not None
    await until(lambda: not server.connections)


async def test_a_server_that_closes_says_so(tunnel, server, handler):
    stream = record(await tunnel.connect(TARGET))
    await server.close()
    assert isinstance(await tunnel.closed, LostError)
    await until(lambda: stream.over)
    assert isinstance(stream.error, LostError)


async def test_a_peer_that_breaks_the_rules_is_cut_off_and_its_handler_ends(
    server, authority, handler
):
    context = client_context(authority.ca)
    reader, writer = await asyncio.open_connection("127.0.0.1", server.port, ssl=context)
    writer.write(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + bytes(9) + b"\xff" * 100)
    gathered = await reader.read()
    assert b"\x07\x00\x00\x00\x00\x00" in gathered, "a GOAWAY frame"
    writer.close()
    await until(lambda: not server.connections)


@pytest.mark.parametrize("question", [peer.frame(peer.PING, 0, 0, bytes(8)), peer.settings()])
async def test_a_peer_that_asks_for_ever_and_reads_no_answer_is_cut_off(
    server, authority, monkeypatch, question
):
    monkeypatch.setattr(driver, "MAX_UNREAD", 1 << 16)
    server._listener.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4096)
    sock = socket.socket()
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    sock.connect(("127.0.0.1", server.port))
    _, writer = await asyncio.open_connection(
        sock=sock, ssl=client_context(authority.ca), server_hostname="localhost", limit=1
    )
    writer.write(peer.PREFACE + peer.settings())
    await until(lambda: server.connections)
    async with asyncio.timeout(20):
        while server.connections:
            writer.write(question * 500)
            await asyncio.sleep(0)
    writer.transport.abort()


# -- opening --------------------------------------------------------------------------------------


async def test_nobody_answers(client_tls):
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    with pytest.raises(UnavailableError, match=f"nobody answers at 127.0.0.1:{port}"):
        await Tunnel.open(Endpoint("127.0.0.1", port, client_tls))


async def test_a_server_that_accepts_and_says_nothing(client_tls, monkeypatch):
    monkeypatch.setattr(endpoint_module, "CONNECT_TIMEOUT", 0.1)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        port = silent.getsockname()[1]
        with pytest.raises(UnavailableError, match="does not answer"):
            await Tunnel.open(Endpoint("127.0.0.1", port, client_tls))


async def test_a_server_that_hangs_up(client_tls):
    listener = await asyncio.start_server(lambda _, w: w.transport.abort(), "127.0.0.1", 0)
    port = listener.sockets[0].getsockname()[1]
    with pytest.raises(KfwdError, match=f"127.0.0.1:{port}"):
        await Tunnel.open(Endpoint("127.0.0.1", port, client_tls))
    listener.close()


async def test_a_server_without_tls(client_tls):
    def answer(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 400 Bad Request\r\n\r\n")
        writer.close()

    listener = await asyncio.start_server(answer, "127.0.0.1", 0)
    port = listener.sockets[0].getsockname()[1]
    with pytest.raises(LostError, match="no TLS with"):
        await Tunnel.open(Endpoint("127.0.0.1", port, client_tls))
    listener.close()


async def test_a_server_that_speaks_no_http2(authority, client_tls):
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(*authority.issue("old"))
    context.set_alpn_protocols(["http/1.1"])
    listener = await asyncio.start_server(lambda _, w: None, "127.0.0.1", 0, ssl=context)
    port = listener.sockets[0].getsockname()[1]
    with pytest.raises(LostError, match=r"does not speak HTTP/2|no TLS"):
        await Tunnel.open(Endpoint("127.0.0.1", port, client_tls))
    listener.close()


async def test_a_certificate_of_somebody_else(server, tmp_path):
    from peers.authority import Authority

    stranger = Authority(tmp_path, "somebody else's CA")
    with pytest.raises(LostError, match="no TLS with"):
        await Tunnel.open(Endpoint("127.0.0.1", server.port, client_context(stranger.ca)))


async def test_a_certificate_for_another_name(handler, authority, client_tls):
    server = await serve(handler, server_context(*authority.issue("node-1")))
    with pytest.raises(LostError, match="no TLS with"):
        await Tunnel.open(Endpoint("127.0.0.1", server.port, client_tls, server_hostname="node-2"))
    tunnel = await Tunnel.open(
        Endpoint("127.0.0.1", server.port, client_tls, server_hostname="node-1")
    )
    tunnel.close()
    await server.close()
