"""A transport straight on a socket, plain or TLS, when its peer ends first."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import ssl
from collections.abc import Iterable
from typing import Any

import pytest
from peers.streams import until

from kfwd_nb.errors import KfwdError
from kfwd_nb.protocol.websocket import Piece
from kfwd_nb.transport import close_timer
from kfwd_nb.transport.driver import ConnectionDriver
from kfwd_nb.transport.http1.driver import Http1Driver
from kfwd_nb.transport.socket_transport import WOULD_BLOCK
from kfwd_nb.transport.tls_transport import RECORD
from kfwd_nb.transport.websocket.driver import WebSocketDriver

pytestmark = pytest.mark.chain

MIB = 1 << 20


class Noting(asyncio.Protocol):
    """Notes its calls; closes at the first octets if it shall."""

    def __init__(self, *, closes: bool = False) -> None:
        self.calls: list[str] = []
        self._closes = closes

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        self.calls.append("data")
        if self._closes:
            self._transport.close()

    def eof_received(self) -> None:
        self.calls.append("eof")

    def connection_lost(self, exc: Exception | None) -> None:
        self.calls.append("lost")


def end(peer: socket.socket) -> None:
    """The peer sends no more; it may go on reading."""
    if isinstance(peer, ssl.SSLSocket):
        with contextlib.suppress(ssl.SSLWantReadError):
            peer.unwrap()  # close_notify; the answer is not there yet
    else:
        peer.shutdown(socket.SHUT_WR)


async def test_what_waits_is_sent_to_a_peer_that_has_ended(half):
    begin, peer = half
    protocol = Noting()
    transport = begin(protocol)
    end(peer)  # not noticed yet
    transport.write(bytes(16 * MIB))
    await until(transport.is_closing)
    got = 0
    async with asyncio.timeout(20):
        while not transport.over.done() or got < 16 * MIB:
            with contextlib.suppress(*WOULD_BLOCK):
                if not (count := len(peer.recv(MIB))):
                    break
                got += count
            await asyncio.sleep(0)
    assert got == 16 * MIB
    await transport.over
    assert protocol.calls == ["eof", "lost"]


async def test_a_protocol_that_has_closed_hears_of_no_end(half):
    begin, peer = half
    peer.send(bytes(RECORD))
    end(peer)
    protocol = Noting(closes=True)
    transport = begin(protocol)
    await transport.over
    assert protocol.calls == ["data", "lost"]


# -- those that cannot half-close have a limit to that --------------------------------------------


class NoFrames:
    """A protocol without words."""

    def receive(self, buffer: memoryview, start: int, end: int) -> Iterable[Any]:
        return ()

    def data_to_send(self) -> bytes:
        return b""

    def close(self) -> None:
        """No goodbye."""


class SilentDriver(ConnectionDriver):
    """Drives it."""

    def __init__(self) -> None:
        super().__init__(NoFrames())

    def act(self, buffer: memoryview, event: Any) -> None:
        """Nothing happens."""

    def ask(self) -> None:
        """Nothing is asked."""

    def ended(self, error: KfwdError | None) -> None:
        """Nobody waits."""


class SilentWebSocket(WebSocketDriver):
    """Sends no message."""

    def __init__(self) -> None:
        super().__init__(client=True)

    def opened(self) -> None:
        """Nothing to do."""

    def received(self, pieces: list[Piece]) -> None:
        """Nobody wants it."""

    def ended(self, error: KfwdError | None) -> None:
        """Nobody waits."""


@pytest.mark.parametrize("kind", [SilentDriver, SilentWebSocket, lambda: Http1Driver(client=True)])
async def test_a_peer_that_has_ended_and_reads_nothing_is_cut_off(half, monkeypatch, kind):
    monkeypatch.setattr(close_timer, "CLOSE_TIMEOUT", 0.01)
    begin, peer = half
    transport = begin(kind())
    end(peer)  # not noticed yet
    transport.write(bytes(16 * MIB))
    await until(transport.over.done)
