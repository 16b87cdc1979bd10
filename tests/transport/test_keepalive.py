"""A peer that is gone without a word is noticed, by both roles; an idle one is kept."""

from __future__ import annotations

import asyncio
import functools
import os
import signal
import socket
import ssl
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import Literal

import pytest
from peers import http2 as peer
from peers.streams import record, until

from kfwd_nb.errors import LostError
from kfwd_nb.protocol.keepalive import Keepalive
from kfwd_nb.transport import driver
from kfwd_nb.transport.endpoint import Endpoint
from kfwd_nb.transport.http2.client import Tunnel
from kfwd_nb.transport.server import serve
from kfwd_nb.transport.tls import client_context

pytestmark = pytest.mark.chain


@pytest.fixture
def quick(monkeypatch) -> Callable[[float], list[str]]:
    """`quick(seconds)`: ask after 30 ms, wait for so long; returns what is decided, in order."""

    def choose(lost_after: float) -> list[str]:
        decided: list[str] = []

        class Quick(Keepalive):
            def due(self, now: float) -> Literal["ping", "lost"] | None:
                what = super().due(now)
                if what:
                    decided.append(what)
                return what

        made = functools.partial(Quick, ping_after=0.03, lost_after=lost_after)
        monkeypatch.setattr(driver, "Keepalive", made)
        return decided

    return choose


@pytest.fixture
def silent_server(authority) -> Iterator[int]:
    """A port whose TLS handshake agrees on HTTP/2, and who then neither reads nor writes."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(*authority.issue("silent"))
    context.set_alpn_protocols(["h2"])
    with ExitStack() as kept:
        listener = kept.enter_context(socket.create_server(("127.0.0.1", 0)))

        def accept() -> None:
            sock, _ = listener.accept()
            sock.settimeout(20)
            kept.enter_context(context.wrap_socket(sock, server_side=True))

        thread = threading.Thread(target=accept)
        thread.start()
        yield listener.getsockname()[1]
        thread.join()


async def test_a_server_that_never_answers_is_given_up(silent_server, client_tls, quick):
    decided = quick(0.05)
    tunnel = await Tunnel.open(Endpoint("127.0.0.1", silent_server, client_tls))
    connecting = asyncio.create_task(tunnel.connect("web.default.pod:80"))
    error = await asyncio.wait_for(asyncio.shield(tunnel.closed), 20)
    assert isinstance(error, LostError)
    assert "not answered" in error.what
    with pytest.raises(LostError, match="not answered"):
        await connecting
    assert decided == ["ping", "lost"]


async def test_a_client_that_never_answers_is_given_up(server, authority, quick, handler):
    decided = quick(0.05)
    context = client_context(authority.ca)
    _, writer = await asyncio.open_connection("127.0.0.1", server.port, ssl=context)
    writer.write(peer.PREFACE + peer.settings() + peer.headers(1, peer.CONNECT))
    stream = record(await handler.streams.get())
    await until(lambda: stream.over)
    assert isinstance(stream.error, LostError)
    assert decided[-1] == "lost"
    await until(lambda: not server.connections)
    writer.transport.abort()


async def test_an_idle_tunnel_stays(handler, server_tls, client_tls, quick):
    decided = quick(0.5)
    server = await serve(handler, server_tls)
    tunnel = await Tunnel.open(Endpoint("127.0.0.1", server.port, client_tls))
    stream = record(await tunnel.connect("web.default.pod:80"))
    await until(lambda: decided.count("ping") >= 3)
    assert "lost" not in decided
    assert tunnel.alive
    assert not stream.over
    tunnel.close()
    await server.close()


STOPPED_SERVER = """
import asyncio, sys
from pathlib import Path
from kfwd_nb.transport.server import serve
from kfwd_nb.transport.tls import server_context

class Handler:
    hop = "relay"
    async def connect(self, request, stream):
        stream.accept()

async def main():
    server = await serve(Handler(), server_context(Path(sys.argv[1]), Path(sys.argv[2])))
    print(server.port, flush=True)
    await asyncio.Event().wait()

asyncio.run(main())
"""


async def test_a_stopped_process_is_noticed_and_a_continued_one_is_reached_again(
    authority, client_tls, quick
):
    quick(0.5)
    cert, key = authority.issue("stopped")
    with subprocess.Popen(  # noqa: ASYNC220 - it is stopped by a signal, not waited for
        [sys.executable, "-c", STOPPED_SERVER, cert, key], stdout=subprocess.PIPE
    ) as process:
        try:
            assert process.stdout is not None
            port = int(await asyncio.to_thread(process.stdout.readline))
            tunnel = await Tunnel.open(Endpoint("127.0.0.1", port, client_tls))
            stream = record(await tunnel.connect("web.default.pod:80"))
            os.kill(process.pid, signal.SIGSTOP)
            assert isinstance(await asyncio.wait_for(tunnel.closed, 20), LostError)
            await until(lambda: stream.over)
            assert isinstance(stream.error, LostError)
            os.kill(process.pid, signal.SIGCONT)
            again = await Tunnel.open(Endpoint("127.0.0.1", port, client_tls))
            assert await again.connect("web.default.pod:80")
            again.close()
        finally:
            process.kill()
