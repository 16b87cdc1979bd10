"""`pods/portforward` of the relay, in its three wire forms, against fake node agents."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import msgspec
import pytest

from kfwd_nb.errors import (
    ForbiddenError,
    KfwdError,
    LimitError,
    LostError,
    NotFoundError,
    RefusedError,
    UnauthorizedError,
    UnavailableError,
    UsageError,
)
from kfwd_nb.kube.objects import Namespace, Node, ObjectMeta, Pod, PodStatus
from kfwd_nb.protocol.portforward import PROTOCOL, TUNNEL, VERSION_HEADER
from kfwd_nb.relay import portforward
from kfwd_nb.relay.config import RelayConfig, Rule, Token
from kfwd_nb.relay.controllers.deletion import delete
from kfwd_nb.transport.endpoint import Endpoint
from kfwd_nb.transport.http1.client import UpgradeError, upgrade
from kfwd_nb.transport.spdy.client import PortforwardConnection
from kfwd_nb.transport.stream import HEADROOM, ByteStream
from kfwd_nb.transport.tls import client_context
from kfwd_nb.transport.websocket.channels import open_channels
from kfwd_nb.transport.websocket.tunnel import open_websocket

pytestmark = pytest.mark.chain

PATH = "/api/v1/namespaces/default/pods/web/portforward"
ADMIN = "the-admin-token"
SPDY = {"upgrade": "SPDY/3.1", VERSION_HEADER: PROTOCOL}

FORMS = ("spdy", "websocket", "channels")


@pytest.fixture
def config(config: RelayConfig) -> RelayConfig:
    """Three more users: one may only `create`, one only `get`, the third both."""

    def rule(verb: str) -> Rule:
        users = (f"may-{verb}", "may-both")
        return Rule(verbs=(verb,), resources=("pods/portforward",), users=users)

    tokens = tuple(Token(f"{verbs}-token", f"may-{verbs}") for verbs in ("create", "get", "both"))
    return msgspec.structs.replace(
        config,
        tokens=(*config.tokens, *tokens),
        rules=(*config.rules, rule("create"), rule("get")),
    )


class Opener:
    """Opens connections to a port of pod `web`, in one form."""

    def __init__(self, bench: Any, form: str, token: str = ADMIN) -> None:
        self.form = form
        self.endpoint = Endpoint("127.0.0.1", bench.port, client_context(bench.authority.ca))
        self.headers = {"authorization": f"Bearer {token}"}
        self.connections: list[Any] = []

    async def connection(self, path: str = PATH, method: str = "POST") -> PortforwardConnection:
        connection = PortforwardConnection()
        if self.form == "spdy":
            upgraded = await upgrade(self.endpoint, path, self.headers | SPDY, method=method)
            upgraded.begin(connection.protocol)
        else:
            opened = await open_websocket(self.endpoint, path, self.headers, [TUNNEL])
            opened.begin(connection.protocol)
        self.connections.append(connection)
        return connection

    async def open(self, port: int, path: str = PATH) -> Any:
        if self.form != "channels":
            return (await self.connection(path)).open(port)
        channels = await open_channels(self.endpoint, path, self.headers, [port])
        self.connections.append(channels)
        return channels.streams[0]

    def close(self) -> None:
        for connection in self.connections:
            connection.close()


@pytest.fixture(params=FORMS)
async def opener(request: pytest.FixtureRequest, bench: Any) -> AsyncIterator[Opener]:
    opener = Opener(bench, request.param)
    yield opener
    opener.close()


class Reader:
    """Collects what a stream brings."""

    def __init__(self, stream: ByteStream) -> None:
        self.stream = stream
        self.data = bytearray()
        self.eof = asyncio.Event()
        self.over: asyncio.Future[KfwdError | None] = asyncio.get_running_loop().create_future()
        stream.start(self)

    def send(self, data: bytes) -> None:
        chunk = memoryview(bytearray(HEADROOM) + data)
        self.stream.write(chunk, HEADROOM, len(chunk))

    def data_received(self, buffer: memoryview, start: int, end: int) -> None:
        self.data += buffer[start:end]

    def eof_received(self) -> None:
        self.eof.set()

    def writable(self) -> None: ...

    def closed(self, error: KfwdError | None) -> None:
        self.over.set_result(error)


async def test_bytes_go_there_and_back(bench: Any, opener: Opener, echo: int, until: Any) -> None:
    await bench.agent(p7=echo)
    await bench.pod("web")
    reader = Reader(await opener.open(7))
    reader.send(b"hello")
    await until(lambda: reader.data == b"hello")
    if opener.form != "channels":
        reader.stream.write_eof()
        await asyncio.wait_for(reader.over, 10)
        assert reader.data == b"hellothe end", "what comes after our end must arrive"


async def test_a_refused_port_says_so_and_harms_nobody(
    bench: Any, opener: Opener, echo: int, until: Any
) -> None:
    await bench.agent(p7=echo)
    await bench.pod("web")
    good = Reader(await opener.open(7))
    good.send(b"1")
    await until(lambda: good.data == b"1")
    if opener.form == "channels":
        stream = await opener.open(9)
    else:
        stream = opener.connections[0].open(9)
    error = await asyncio.wait_for(Reader(stream).over, 10)
    assert isinstance(error, RefusedError)
    assert "error forwarding port 9 to pod web, uid : " in stream.error_text
    assert "connection refused" in stream.error_text.lower()
    good.send(b"2")
    await until(lambda: good.data == b"12")


async def test_a_connection_ends_with_its_pod(bench: Any, opener: Opener, echo: int) -> None:
    await bench.agent(p7=echo)
    pod = await bench.pod("web")
    stream = await opener.open(7)
    reader = Reader(stream)
    delete(bench.relay.store, pod)
    await asyncio.wait_for(reader.over, 10)
    await asyncio.wait_for(asyncio.shield(opener.connections[0].closed), 10)


async def test_another_pod_of_the_name_is_another_pod(
    bench: Any, echo: int, until: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(portforward.Portforward, "step", lambda self: None)
    await bench.agent(p7=echo)
    pod = await bench.pod("web")
    opener = Opener(bench, "spdy")
    connection = await opener.connection()
    delete(bench.relay.store, pod)
    await until(lambda: bench.relay.store.get(Pod, "default", "web") is None)
    await bench.pod("web")
    error = await asyncio.wait_for(Reader(connection.open(7)).over, 10)
    assert isinstance(error, UnavailableError)
    opener.close()


async def test_a_lost_agent_is_said(bench: Any, opener: Opener, echo: int, until: Any) -> None:
    agent = await bench.agent(p7=echo)
    await bench.pod("web")
    reader = Reader(await opener.open(7))
    reader.send(b"hello")
    await until(lambda: reader.data == b"hello")
    await agent.close()
    error = await asyncio.wait_for(reader.over, 10)
    assert isinstance(error, LostError | UnavailableError)


# -- refusals -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("token", "form", "kind"),
    [
        ("wrong", "POST spdy", UnauthorizedError),
        ("the-visitor-token", "POST spdy", ForbiddenError),
        ("create-token", "POST spdy", None),
        ("create-token", "GET tunnel", ForbiddenError),
        ("create-token", "GET raw", ForbiddenError),
        ("create-token", "GET spdy", ForbiddenError),
        ("create-token", "CONNECT", None),
        ("get-token", "POST spdy", ForbiddenError),
        ("get-token", "GET tunnel", ForbiddenError),
        ("get-token", "GET raw", ForbiddenError),
        ("get-token", "GET spdy", ForbiddenError),
        ("get-token", "CONNECT", ForbiddenError),
        ("both-token", "POST spdy", None),
        ("both-token", "GET tunnel", None),
        ("both-token", "GET raw", None),
        ("both-token", "GET spdy", None),
        ("both-token", "CONNECT", None),
    ],
)
async def test_every_form_needs_create_and_a_get_needs_get_besides(
    bench: Any, echo: int, token: str, form: str, kind: type[KfwdError] | None
) -> None:
    await bench.agent(p7=echo)
    await bench.pod("web")
    opener = Opener(bench, {"GET tunnel": "websocket", "GET raw": "channels"}.get(form, "spdy"))
    opener.headers["authorization"] = f"Bearer {token}"
    refused: KfwdError | None = None
    try:
        if form == "CONNECT":
            await (await bench.tunnel(token)).connect("web.default.pod:7")
        elif form == "GET spdy":
            await opener.connection(method="GET")
        else:
            await opener.open(7)
    except UpgradeError as error:
        refused = error.cause
    except ForbiddenError as error:
        refused = error
    assert type(refused) is (kind or type(None))
    opener.close()


@pytest.mark.parametrize(
    ("headers", "status", "words"),
    [
        ({"upgrade": "SPDY/3.1"}, 400, f"{VERSION_HEADER} is required"),
        (SPDY | {VERSION_HEADER: "v9, v8"}, 403, "unable to negotiate protocol"),
        ({"upgrade": "h2c"}, 400, "Upgrade request required"),
        ({"upgrade": "websocket"}, 400, ""),
    ],
)
async def test_upgrades_that_are_refused(
    bench: Any, headers: dict[str, str], status: int, words: str
) -> None:
    await bench.agent()
    await bench.pod("web")
    opener = Opener(bench, "spdy")
    with pytest.raises(UpgradeError) as caught:
        await upgrade(opener.endpoint, PATH, opener.headers | headers)
    assert caught.value.status == status
    assert words in caught.value.cause.what


async def test_what_cannot_be_forwarded_is_said_before_the_switch(
    bench: Any, opener: Opener, until: Any
) -> None:
    agent = await bench.agent()

    async def refused(kind: type[KfwdError], words: str, path: str = PATH) -> None:
        with pytest.raises(UpgradeError) as caught:
            await opener.open(7, path)
        assert isinstance(caught.value.cause, kind)
        assert words in caught.value.cause.what

    await refused(NotFoundError, 'pods "web" not found')
    pod = await bench.pod("web")
    agent.report(msgspec.structs.replace(pod, status=PodStatus(phase="Succeeded")))
    store = bench.relay.store
    await until(lambda: store.require(Pod, "default", "web").status.phase == "Succeeded")
    await refused(UnavailableError, "pod is not running. Current status=Succeeded")
    store.create(Namespace(metadata=ObjectMeta(name="away")))
    waiting = Pod(metadata=ObjectMeta(name="web", namespace="away"))
    await agent.close()
    await until(lambda: not store.select(Node)[0].ready)
    store.create(waiting)
    await refused(UsageError, "does not have a host", PATH.replace("default", "away"))


async def test_limits_are_named(
    bench: Any, echo: int, monkeypatch: pytest.MonkeyPatch, until: Any
) -> None:
    await bench.agent(p7=echo)
    await bench.pod("web")
    monkeypatch.setattr(portforward, "MAX_CONNECTIONS", 1)
    monkeypatch.setattr(portforward, "MAX_PAIRS", 1)
    opener = Opener(bench, "spdy")
    connection = await opener.connection()
    first = Reader(connection.open(7))
    first.send(b"1")
    await until(lambda: first.data == b"1")
    error = await asyncio.wait_for(Reader(connection.open(7)).over, 10)
    assert "that is its limit" in str(error)
    with pytest.raises(UpgradeError) as caught:
        await opener.connection()
    assert isinstance(caught.value.cause, LimitError)
    first.stream.close()
    connection.close()
    await until(lambda: not bench.relay._portforward._connections)
    await until(lambda: bench.relay._portforward._pairs == 0)
    again = Opener(bench, "spdy")
    reader = Reader((await again.connection()).open(7))
    reader.send(b"2")
    await until(lambda: reader.data == b"2")
    again.close()
