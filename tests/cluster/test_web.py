"""The program of pod `web`: HTTP and echo, spoken to as a client on the wire does."""

from __future__ import annotations

import asyncio
import hashlib
import importlib.util
import json
from collections.abc import AsyncIterator
from dataclasses import dataclass
from types import ModuleType

import pytest

from kfwd_nb.cluster.nodes import PROGRAMS

pytestmark = pytest.mark.pure


def program(name: str) -> ModuleType:
    spec = importlib.util.spec_from_file_location(f"workload_{name}", PROGRAMS / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


WEB = program("web")
LINES = program("lines")


@dataclass
class Answer:
    status: int
    headers: dict[str, str]
    body: bytes


class Client:
    """One connection."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader, self.writer = reader, writer

    async def answer(self, *, whole: bool = True) -> Answer:
        head = (await self.reader.readuntil(b"\r\n\r\n")).decode().split("\r\n")
        headers = dict(line.split(": ", 1) for line in head[1:] if line)
        length = int(headers["content-length"]) if whole else 0
        return Answer(int(head[0].split()[1]), headers, await self.reader.readexactly(length))

    async def ask(self, text: str, body: bytes = b"", whole: bool = True) -> Answer:
        self.writer.write(text.replace("\n", "\r\n").encode() + b"\r\n\r\n" + body)
        return await self.answer(whole=whole)


@pytest.fixture
async def ports() -> AsyncIterator[dict[str, int]]:
    loop = asyncio.get_running_loop()
    servers = {
        "http": await loop.create_server(lambda: WEB.Http("http"), "127.0.0.1", 0),
        "echo": await loop.create_server(lambda: WEB.Echo("echo"), "127.0.0.1", 0),
    }
    yield {name: server.sockets[0].getsockname()[1] for name, server in servers.items()}
    for server in servers.values():
        server.close()


@pytest.fixture
async def http(ports: dict[str, int]) -> AsyncIterator[Client]:
    reader, writer = await asyncio.open_connection("127.0.0.1", ports["http"])
    yield Client(reader, writer)
    writer.close()


def pattern(count: int) -> bytes:
    return (WEB.BLOCK * (count // len(WEB.BLOCK) + 1))[:count]


@pytest.mark.parametrize("count", [0, 1, 65536, 3 * 1024 * 1024 + 17])
async def test_bytes_and_their_hash(http: Client, count: int) -> None:
    answer = await http.ask(f"GET /bytes/{count} HTTP/1.1")
    assert answer.status == 200
    assert answer.body == pattern(count)
    told = json.loads((await http.ask(f"GET /hash/{count} HTTP/1.1")).body)
    assert told == {"sha256": hashlib.sha256(answer.body).hexdigest(), "length": count}


@pytest.mark.parametrize("size", [0, 1, 1_000_000])
async def test_a_body_of_known_length(http: Client, size: int) -> None:
    body = pattern(size)
    answer = await http.ask(f"POST /hash HTTP/1.1\ncontent-length: {size}", body)
    assert json.loads(answer.body) == {"sha256": hashlib.sha256(body).hexdigest(), "length": size}
    answer = await http.ask(f"POST /count HTTP/1.1\ncontent-length: {size}", body)
    assert json.loads(answer.body) == {"length": size}


async def test_a_body_that_ends_with_the_clients_direction(http: Client) -> None:
    body = pattern(1_000_000)
    http.writer.write(b"POST /hash HTTP/1.0\r\n\r\n" + body)
    http.writer.write_eof()
    answer = await http.answer()
    assert json.loads(answer.body)["sha256"] == hashlib.sha256(body).hexdigest()
    assert await http.reader.read() == b""


async def test_a_client_that_asks_whether_it_may_send(http: Client) -> None:
    head = "POST /hash HTTP/1.1\ncontent-length: 5\nexpect: 100-continue"
    assert (await http.ask(head, whole=False)).status == 100
    http.writer.write(b"hello")
    assert json.loads((await http.answer()).body)["length"] == 5


async def test_requests_in_one_go_are_answered_in_order(http: Client) -> None:
    http.writer.write(
        b"GET /bytes/300000 HTTP/1.1\r\n\r\n"
        b"POST /count HTTP/1.1\r\ncontent-length: 3\r\n\r\nabc"
        b"HEAD /bytes/7 HTTP/1.1\r\n\r\n"
        b"GET /missing HTTP/1.1\r\nconnection: close\r\n\r\n"
    )
    assert (await http.answer()).body == pattern(300_000)
    assert json.loads((await http.answer()).body) == {"length": 3}
    assert (await http.answer(whole=False)).headers["content-length"] == "7"
    last = await http.answer()
    assert (last.status, last.headers["connection"]) == (404, "close")
    assert await http.reader.read() == b""


@pytest.mark.parametrize(
    ("request_", "status"),
    [
        ("POST /hash HTTP/1.1\ntransfer-encoding: chunked", 400),
        ("POST /hash HTTP/1.1\ncontent-length: -1", 400),
        ("DELETE / HTTP/1.1", 404),
        ("GET /bytes/many HTTP/1.1", 404),
        ("GET /x HTTP/1.1\nx: " + "y" * WEB.MAX_HEAD, 431),
    ],
)
async def test_what_it_does_not_take(http: Client, request_: str, status: int) -> None:
    assert (await http.ask(request_)).status == status


async def test_the_page_names_the_pod(http: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOSTNAME", "web<1>")
    monkeypatch.setenv("KFWD_NODE", "node-2")
    page = (await http.ask("GET / HTTP/1.1")).body.decode()
    assert "web&lt;1&gt;" in page
    assert "node-2" in page


async def test_statistics_count_every_byte(http: Client) -> None:
    before = json.loads((await http.ask("GET /stats HTTP/1.1")).body)["http"]
    first = "GET /bytes/1000 HTTP/1.1\r\n\r\n"
    http.writer.write(first.encode())
    answer = await http.answer()
    after = json.loads((await http.ask("GET /stats HTTP/1.1")).body)["http"]
    assert after["in"] - before["in"] == len(first) + len("GET /stats HTTP/1.1\r\n\r\n")
    assert after["out"] - before["out"] > len(answer.body)
    assert after["open"] == before["open"]


async def test_echo_after_half_close_of_one_who_did_not_read(ports: dict[str, int]) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", ports["echo"])
    data = pattern(8 * 1024 * 1024)

    async def send() -> None:
        writer.write(data)
        await writer.drain()
        writer.write_eof()

    sending = asyncio.create_task(send())
    await asyncio.sleep(0.2)  # until every buffer on the way is full
    assert await asyncio.wait_for(reader.read(-1), 20) == data
    await sending
    writer.close()


async def test_a_reader_that_stops_does_not_fill_the_servers_memory(ports: dict[str, int]) -> None:
    _, writer = await asyncio.open_connection("127.0.0.1", ports["http"])
    before = WEB.STATS["http"]["out"]
    writer.write(b"GET /bytes/1000000000 HTTP/1.1\r\n\r\n")
    sent = -1
    while sent != (sent := WEB.STATS["http"]["out"] - before):  # noqa: ASYNC110
        await asyncio.sleep(0.2)
    assert 0 < sent < 64 * 1024 * 1024
    writer.close()


def test_the_line_server() -> None:
    assert LINES.answer("set name web pod\n") == "ok"
    assert LINES.answer("get name\n") == "web pod"
    assert LINES.answer("get other\n") == ""
    assert LINES.answer("set \n") == LINES.answer("hello\n") == "error"


@pytest.mark.parametrize(
    ("version", "connection", "kept"),
    [
        ("1.0", "", False),
        ("1.0", "Keep-Alive", True),
        ("1.1", "", True),
        ("1.1", "close", False),
        ("1.1", "Upgrade, Close", False),
    ],
)
async def test_a_connection_ends_after_the_answer_unless_it_is_to_be_kept(
    http: Client, version: str, connection: str, kept: bool
) -> None:
    head = f"GET / HTTP/{version}" + (f"\nConnection: {connection}" if connection else "")
    answer = await http.ask(head)
    assert answer.headers["connection"] == ("keep-alive" if kept else "close")
    if kept:
        assert (await http.ask("GET / HTTP/1.1")).status == 200
    else:
        assert await asyncio.wait_for(http.reader.read(), 10) == b""
