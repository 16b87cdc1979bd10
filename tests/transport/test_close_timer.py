"""A close gives a slow reader the time it needs, and a peer that reads nothing no more."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable

import pytest
from peers.streams import until

from kfwd_nb.transport import close_timer
from kfwd_nb.transport.close_timer import CloseTimer
from kfwd_nb.transport.socket_transport import WOULD_BLOCK

pytestmark = pytest.mark.chain

MIB = 1 << 20


class Closing(asyncio.Protocol):
    """Has a timer, as every protocol that closes."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport
        self.lost = False

    def close(self, size: int) -> None:
        self.transport.write(bytes(size))
        self.transport.close()
        self.timer = CloseTimer(self.transport)

    def connection_lost(self, exc: Exception | None) -> None:
        self.lost = True
        self.timer.cancel()


@pytest.fixture
async def ends(half) -> tuple[Closing, socket.socket]:
    """(the side that closes, the socket of the one that reads)."""
    begin, peer = half
    protocol = Closing()
    begin(protocol)
    return protocol, peer


@pytest.fixture
def look(monkeypatch) -> Callable[[Closing], None]:
    """`look(protocol)`: the time is up, now."""
    monkeypatch.setattr(close_timer, "CLOSE_TIMEOUT", 1000.0)

    def at_once(protocol: Closing) -> None:
        protocol.timer.cancel()
        protocol.timer._look()

    return at_once


def take(sock: socket.socket, size: int) -> int:
    """Read a little, as far as it is there."""
    try:
        return len(sock.recv(size))
    except WOULD_BLOCK:
        return 0


async def test_a_slow_reader_gets_all_of_it(ends, look):
    """It is looked at more often than the kernel asks for more to send."""
    protocol, reader = ends
    protocol.close(16 * MIB)
    got = looks = 0
    while got < 16 * MIB:
        before = got
        while got < min(before + MIB // 2, 16 * MIB):
            got += take(reader, MIB // 2)
            await asyncio.sleep(0)
        if not protocol.lost and protocol.transport.get_write_buffer_size():
            progress = protocol.timer._before
            await until(lambda: protocol.timer._progress() != progress)  # noqa: B023 - now
            look(protocol)
            looks += 1
    assert looks > 10


async def test_a_peer_that_reads_nothing_is_cut_off(ends, look):
    protocol, _ = ends
    protocol.close(16 * MIB)
    async with asyncio.timeout(20):
        while not protocol.lost:  # its kernel may take some at first
            look(protocol)
            await asyncio.sleep(0)


async def test_a_peer_that_reads_no_more_is_cut_off(ends, look):
    protocol, reader = ends
    protocol.close(16 * MIB)
    got = 0
    while got < MIB:
        got += take(reader, MIB)
        await asyncio.sleep(0)
    async with asyncio.timeout(20):
        while not protocol.lost:
            look(protocol)
            await asyncio.sleep(0)


async def test_a_peer_that_has_read_all_and_keeps_its_side_open_is_cut_off(ends, look):
    protocol, _ = ends
    protocol.timer = CloseTimer(protocol.transport)
    look(protocol)
    await until(lambda: protocol.lost)
