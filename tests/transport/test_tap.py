"""A tap hears what passes, octet for octet, and neither end notices it."""

from __future__ import annotations

import asyncio
import socket

import pytest
from peers.streams import until

from kfwd_nb.transport.plain_transport import PlainTransport
from kfwd_nb.transport.tap import TappedProtocol, TappedTransport

pytestmark = pytest.mark.chain


class Ear:
    def __init__(self) -> None:
        self.out = bytearray()
        self.into = bytearray()
        self.ends = 0

    def sent(self, data: memoryview) -> None:
        self.out += data

    def received(self, data: memoryview) -> None:
        self.into += data

    def closed(self) -> None:
        self.ends += 1


class Plain(asyncio.Protocol):
    def __init__(self) -> None:
        self.received = bytearray()
        self.calls: list[str] = []
        self.transport: asyncio.Transport

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport
        self.calls.append("made")

    def data_received(self, data: bytes) -> None:
        self.received += data

    def eof_received(self) -> bool:
        self.calls.append("eof")
        return True

    def pause_writing(self) -> None:
        self.calls.append("pause")

    def resume_writing(self) -> None:
        self.calls.append("resume")

    def connection_lost(self, exc: Exception | None) -> None:
        self.calls.append("lost")


class Buffered(Plain, asyncio.BufferedProtocol):
    def __init__(self) -> None:
        super().__init__()
        self._buffer = bytearray(3)

    def get_buffer(self, sizehint: int) -> memoryview:
        return memoryview(self._buffer)

    def buffer_updated(self, nbytes: int) -> None:
        self.received += self._buffer[:nbytes]


@pytest.mark.parametrize("kind", [Plain, Buffered])
async def test_both_directions_and_every_call(kind: type[Plain]):
    ear, protocol = Ear(), kind()
    ours, theirs = socket.socketpair()
    theirs.setblocking(False)
    loop = asyncio.get_running_loop()
    with theirs:
        PlainTransport(ours, TappedProtocol(protocol, ear)).begin()
        transport = protocol.transport
        assert isinstance(transport, TappedTransport)
        assert transport.get_protocol() is protocol
        await loop.sock_sendall(theirs, b"a question")
        await until(lambda: protocol.received == b"a question")
        transport.set_write_buffer_limits(high=10)
        much = bytearray(b"x" * (1 << 21))
        transport.write(much)
        much[:] = bytes(len(much))  # it is the caller's again
        assert protocol.calls == ["made", "pause"]
        assert transport.get_write_buffer_size() > 10
        assert transport.get_write_buffer_limits() == (2, 10)
        heard = 0
        while heard < len(much):
            piece = await loop.sock_recv(theirs, 1 << 18)
            assert piece.strip(b"x") == b""
            heard += len(piece)
        await until(lambda: protocol.calls[-1] == "resume")
        theirs.shutdown(socket.SHUT_WR)
        await until(lambda: protocol.calls[-1] == "eof")
        assert transport.can_write_eof()
        other = kind()
        transport.set_protocol(other)
        transport.write(b"last")
        transport.close()
        transport.write(b"nobody sends this")
        await until(lambda: other.calls == ["lost"])
        assert await loop.sock_recv(theirs, 100) == b"last"
        assert await loop.sock_recv(theirs, 100) == b""
    assert bytes(ear.into) == b"a question"
    assert bytes(ear.out) == b"x" * (1 << 21) + b"last"
    assert ear.ends == 1
    assert transport.is_closing()
