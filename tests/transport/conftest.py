"""A server with a handler that does what its path says, and both ends of every kind of stream."""

from __future__ import annotations

import asyncio
import socket
import ssl
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from dataclasses import dataclass, field

import pytest
from peers.authority import Authority
from peers.streams import memory_pair

from kfwd_nb import errors
from kfwd_nb.errors import Hop, RefusedError
from kfwd_nb.transport.endpoint import Endpoint
from kfwd_nb.transport.http import Request, Response, Switch
from kfwd_nb.transport.http2.client import Tunnel
from kfwd_nb.transport.http2.tunnel_stream import TunnelStream
from kfwd_nb.transport.plain_transport import PlainTransport
from kfwd_nb.transport.server import Server, serve
from kfwd_nb.transport.socket_transport import SocketTransport
from kfwd_nb.transport.sockets import accepted_socket, open_socket
from kfwd_nb.transport.stream import ByteStream
from kfwd_nb.transport.tls import client_context, server_context
from kfwd_nb.transport.tls_transport import TlsTransport, handshake


@pytest.fixture(scope="session")
def authority(tmp_path_factory) -> Authority:
    return Authority(tmp_path_factory.mktemp("authority"))


@pytest.fixture(scope="session")
def server_tls(authority: Authority) -> ssl.SSLContext:
    return server_context(*authority.issue("server"), clients=authority.ca)


@pytest.fixture(scope="session")
def client_tls(authority: Authority) -> ssl.SSLContext:
    return client_context(authority.ca)


class Switched(asyncio.Protocol):
    """Sends back what comes, after `hello `."""

    def __init__(self) -> None:
        self.received = bytearray()
        self.over = asyncio.Event()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport
        transport.write(b"hello ")

    def data_received(self, data: bytes) -> None:
        self.received += data
        self.transport.write(data)

    def connection_lost(self, exc: Exception | None) -> None:
        self.over.set()


@dataclass
class FakeHandler:
    """Answers by the path: `/echo`, `/bytes/N`, `/watch`, `/error/KIND`, `/crash`, `/never`.

    A CONNECT to `error.KIND.pod:1` is refused so, to `crash…` and `late…` breaks before and after
    `accept`, to `never…` gets no answer; any other one is accepted and put into `streams`. An
    upgrade to `echo/1` is granted, or refused at `/error/KIND`.
    """

    hop: Hop = "relay"
    requests: list[Request] = field(default_factory=list)
    streams: asyncio.Queue[TunnelStream] = field(default_factory=asyncio.Queue)
    cancelled: int = 0
    lines: asyncio.Queue[bytes | Exception | None] = field(default_factory=asyncio.Queue)
    watches_open: int = 0
    pieces_made: int = 0
    switched: Switched | None = None

    async def request(self, request: Request) -> Response:
        self.requests.append(request)
        match request.path.split("/")[1:]:
            case ["echo"]:
                return Response(200, request.body, {"content-type": "text/plain", "x-echo": "yes"})
            case ["bytes", count]:
                return Response(200, bytes(range(256)) * (int(count) // 256))
            case ["flood", count]:
                return Response(200, self._flood(int(count)))
            case ["watch"]:
                return Response(200, self._watch())
            case ["error", kind]:
                raise getattr(errors, kind)(f"this is {kind}.")
            case ["crash"]:
                raise RuntimeError("a bug of the handler")
            case ["never"]:
                await self._never()
        return Response(404)

    async def admit(self, request: Request) -> None:
        """Everybody may hear of their own connections."""

    async def upgrade(self, request: Request) -> Response | Switch:
        if request.headers["upgrade"] != "echo/1":
            return await self.request(request)
        self.requests.append(request)
        if request.path.startswith("/error/"):
            raise getattr(errors, request.path.split("/")[-1])("no echo here.")
        switched = self.switched = Switched()
        return Switch({"upgrade": "echo/1", "x-told": "yes"}, switched)

    async def connect(self, request: Request, stream: TunnelStream) -> None:
        self.requests.append(request)
        match request.authority.split(".")[:2]:
            case ["error", kind]:
                raise getattr(errors, kind)(f"this is {kind}.")
            case ["crash", _]:
                raise RuntimeError("a bug of the handler")
            case ["never", _]:
                await self._never()
            case ["late", _]:
                stream.accept()
                raise RefusedError("too late.")
        stream.accept({"kfwd-pod": "default/web"})
        self.streams.put_nowait(stream)

    async def _never(self) -> None:
        try:
            await asyncio.Event().wait()
        finally:
            self.cancelled += 1

    async def _watch(self) -> AsyncGenerator[bytes, None]:
        self.watches_open += 1
        try:
            while (line := await self.lines.get()) is not None:
                if isinstance(line, Exception):
                    raise line
                yield line
        finally:
            self.watches_open -= 1

    async def _flood(self, count: int) -> AsyncGenerator[bytes, None]:
        self.watches_open += 1
        try:
            for _ in range(count):
                self.pieces_made += 1
                yield b"x" * 65_535 + b"\n"
        finally:
            self.watches_open -= 1


@pytest.fixture
async def handler() -> FakeHandler:
    return FakeHandler()


@pytest.fixture
async def server(handler: FakeHandler, server_tls) -> AsyncIterator[Server]:
    server = await serve(handler, server_tls)
    yield server
    await server.close()


@pytest.fixture
async def tunnel(server: Server, client_tls) -> AsyncIterator[Tunnel]:
    tunnel = await Tunnel.open(Endpoint("127.0.0.1", server.port, client_tls))
    yield tunnel
    tunnel.close(errors.LostError("the test is over."))


Begin = Callable[[asyncio.BaseProtocol], SocketTransport]


@pytest.fixture(params=["plain", "TLS"])
async def half(request, authority) -> AsyncIterator[tuple[Begin, socket.socket]]:
    """A connection of which one end is a transport, once it has a protocol, and one a socket."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        ours = socket.create_connection(listener.getsockname())
        peer, _ = listener.accept()
    for sock in (ours, peer):
        sock.setblocking(False)
    if request.param == "TLS":
        ours, peer = await asyncio.gather(
            handshake(ours, client_context(authority.ca), server_hostname="localhost"),
            handshake(peer, server_context(*authority.issue("localhost")), server_side=True),
        )
    begun: list[SocketTransport] = []

    def begin(protocol: asyncio.BaseProtocol) -> SocketTransport:
        kind = TlsTransport if isinstance(ours, ssl.SSLSocket) else PlainTransport
        begun.append(kind(ours, protocol))
        begun[-1].begin()
        return begun[-1]

    yield begin, peer
    for transport in begun:
        transport.abort()
        await transport.over
    ours.close()
    peer.close()


Pair = tuple[ByteStream, ByteStream]


async def tcp_pair() -> Pair:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.setblocking(False)
        one = await open_socket(socket.socket(), listener.getsockname())
        accepted, _ = await asyncio.get_running_loop().sock_accept(listener)
        return one, await accepted_socket(accepted)


async def unix_pair() -> Pair:
    one, other = socket.socketpair()
    return await accepted_socket(one), await accepted_socket(other)


@pytest.fixture
async def tunnel_pair(tunnel: Tunnel, handler: FakeHandler) -> Callable[[], object]:
    async def make() -> Pair:
        stream = await tunnel.connect("web.default.pod:80")
        return stream, await handler.streams.get()

    return make


@pytest.fixture(params=["tcp", "unix", "tunnel", "tunnel from its server", "memory"])
async def pair(request, handler, server_tls, client_tls) -> AsyncIterator[Pair]:
    """Both ends of one stream, neither of them started."""
    match request.param:
        case "tcp":
            one, other = await tcp_pair()
        case "unix":
            one, other = await unix_pair()
        case "memory":
            one, other = memory_pair()
        case _:
            server = await serve(handler, server_tls)
            tunnel = await Tunnel.open(Endpoint("127.0.0.1", server.port, client_tls))
            one = await tunnel.connect("web.default.pod:80")
            other = await handler.streams.get()
            if request.param != "tunnel":
                one, other = other, one
    yield one, other
    one.close(errors.LostError("the test is over."))
    other.close(errors.LostError("the test is over."))
    if request.param.startswith("tunnel"):
        tunnel.close()
        await server.close()


@pytest.fixture
def kind(request) -> str:
    """Which kind of stream `pair` is."""
    return request.node.callspec.params["pair"]
