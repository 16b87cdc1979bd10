"""Pod `web`: HTTP on port 80 and echo on port 7 (RFC 862), both for thousands of connections.

| request | answer |
|---|---|
| `GET /` | a small page that names pod and node |
| `GET /bytes/N` | N bytes: `BLOCK`, repeated |
| `GET /hash/N` | JSON: sha256 and length of those bytes |
| `POST /hash` | JSON: sha256 and length of the body |
| `POST /count` | JSON: length of the body |
| `GET /stats` | JSON: for each port, connections, and bytes in and out before this answer |

A body without Content-Length goes on until the client ends its direction; the answer comes after
it. Standard library only, and few of its modules, for a fast start; run with `python -I -S`.
"""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import html
import json
import os
import random
import socket
from collections.abc import Callable

BLOCK = random.Random(7).randbytes(256 * 1024)  # noqa: S311 - a pattern, not a secret
"""What `/bytes/N` repeats; the same in every pod, so that a test can make it too."""

MAX_HEAD = 16 * 1024
"""Bytes of a request's head."""

MAX_BYTES = 1 << 40
"""Largest N of `/bytes/N`."""

BUFFER = memoryview(bytearray(len(BLOCK)))
"""All connections read into this one buffer: each chunk is used up before the next one is read."""

REASONS = {200: "OK", 400: "Bad Request", 404: "Not Found", 431: "Request Header Fields Too Large"}

Stats = dict[str, int]
STATS: dict[str, Stats] = {}


def pod_name() -> str:
    """As Kubernetes tells it: the environment's HOSTNAME, which is the host name in the pod."""
    return os.environ.get("HOSTNAME") or socket.gethostname()


def page() -> bytes:
    """What `/` shows."""
    pod = html.escape(pod_name())
    node = html.escape(os.environ.get("KFWD_NODE", ""))
    where = f" on node <b>{node}</b>" if node else ""
    return f"<!doctype html><title>{pod}</title><h1>Hello from pod {pod}</h1><p>{where}\n".encode()


def digest(count: int) -> bytes:
    """The JSON of `/hash/N`."""
    sha = hashlib.sha256()
    for start in range(0, count, len(BLOCK)):
        sha.update(BLOCK[: count - start])
    return hash_json(sha.hexdigest(), count)


def hash_json(sha256: str, length: int) -> bytes:
    """The JSON of both hash requests."""
    return json.dumps({"sha256": sha256, "length": length}).encode() + b"\n"


def persists(version: str, connection: str) -> bool:
    """Whether the connection goes on after the answer (RFC 9112 9.3)."""
    options = {option.strip() for option in connection.lower().split(",")}
    return "close" not in options and (version == "HTTP/1.1" or "keep-alive" in options)


class Counted(asyncio.BufferedProtocol):
    """What both ports have in common: counting, one buffer, and obeying a full write buffer."""

    def __init__(self, name: str) -> None:
        self.stats = STATS.setdefault(name, {"connections": 0, "open": 0, "in": 0, "out": 0})
        self.paused = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Count it."""
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport
        self.transport.set_write_buffer_limits(high=len(BLOCK))
        self.stats["connections"] += 1
        self.stats["open"] += 1

    def connection_lost(self, error: Exception | None) -> None:
        """It counts no longer as open."""
        self.stats["open"] -= 1

    def get_buffer(self, sizehint: int) -> memoryview:
        """Where asyncio reads into."""
        return BUFFER

    def send(self, data: bytes) -> None:
        """Write and count."""
        if not self.transport.is_closing():
            self.stats["out"] += len(data)
            self.transport.write(data)

    def pause_writing(self) -> None:
        """The client does not keep up."""
        self.paused = True

    def resume_writing(self) -> None:
        """It does again."""
        self.paused = False


class Echo(Counted):
    """Sends back what comes; after the client's end it still sends what remains, then ends too."""

    def buffer_updated(self, count: int) -> None:
        """Send back what came."""
        self.stats["in"] += count
        self.send(bytes(BUFFER[:count]))

    def pause_writing(self) -> None:
        """Take no more from a client that does not read its echo."""
        self.transport.pause_reading()

    def resume_writing(self) -> None:
        """It reads again."""
        self.transport.resume_reading()

    def eof_received(self) -> bool:
        """The client has ended: asyncio sends what remains, then closes."""
        return False


class Body:
    """A request's body as it comes: its length, and its hash if that is asked for."""

    def __init__(self, length: int | None, *, hashed: bool) -> None:
        self.left = length
        self.length = 0
        self.sha = hashlib.sha256() if hashed else None

    def take(self, data: memoryview) -> memoryview:
        """Use what belongs to the body; returns the rest."""
        own = data if self.left is None else data[: self.left]
        self.length += len(own)
        if self.left is not None:
            self.left -= len(own)
        if self.sha is not None:
            self.sha.update(own)
        return data[len(own) :]

    def json(self) -> bytes:
        """The answer."""
        if self.sha is None:
            return json.dumps({"length": self.length}).encode() + b"\n"
        return hash_json(self.sha.hexdigest(), self.length)


class Http(Counted):
    """HTTP/1.1, one request after the other; what comes during an answer waits."""

    def __init__(self, name: str) -> None:
        super().__init__(name)
        self.head = bytearray()
        self.body: Body | None = None
        self.busy = False
        self.to_send = 0
        self.streaming = False
        self.last = False

    def buffer_updated(self, count: int) -> None:
        """Bytes of requests came."""
        self.stats["in"] += count
        self.feed(BUFFER[:count])

    def eof_received(self) -> bool:
        """The client has ended: a body without a length is whole now."""
        self.last = True
        if self.body is not None and self.body.left is None and not self.busy:
            self.answer(200, self.body.json())
        return self.busy

    def resume_writing(self) -> None:
        """Go on with a long answer."""
        super().resume_writing()
        if self.streaming:
            self.stream()

    def feed(self, data: memoryview) -> None:
        """Take bytes of a head or of a body, and answer when a request is whole."""
        if self.body is not None:
            self.head += self.body.take(data)
        else:
            self.head += data
            self.read_head()
        if self.body is not None and self.body.left == 0 and not self.busy:
            self.answer(200, self.body.json())

    def read_head(self) -> None:
        """Act on a request's head once it is there."""
        if self.busy:
            return
        end = self.head.find(b"\r\n\r\n")
        if (len(self.head) if end < 0 else end) > MAX_HEAD:
            self.last = True
            self.answer(431)
            return
        if end < 0:
            return
        lines = bytes(self.head[:end]).decode("latin-1").split("\r\n")
        rest = bytes(self.head[end + 4 :])
        self.head.clear()
        headers = {
            name.strip().lower(): value.strip()
            for name, _, value in (line.partition(":") for line in lines[1:])
        }
        method, _, target = lines[0].partition(" ")
        target, _, version = target.partition(" ")
        path = target.partition("?")[0]
        self.last = self.last or not persists(version, headers.get("connection", ""))
        if method == "POST" and path in ("/hash", "/count"):
            self.read_body(headers, rest, hashed=path == "/hash")
        else:
            self.head += rest
            self.get(path if method in ("GET", "HEAD") else "", only_head=method == "HEAD")

    def read_body(self, headers: dict[str, str], rest: bytes, *, hashed: bool) -> None:
        """A body begins; a client that waits to be asked for it is asked (RFC 9110 10.1.1)."""
        length = headers.get("content-length")
        if (length is not None and not length.isdecimal()) or "transfer-encoding" in headers:
            self.last = True
            self.answer(400, b"this server needs a Content-Length, or none at all\n")
            return
        if headers.get("expect", "").lower() == "100-continue":
            self.send(b"HTTP/1.1 100 Continue\r\n\r\n")
        self.body = Body(None if length is None else int(length), hashed=hashed)
        self.last = self.last or length is None
        self.head += self.body.take(memoryview(rest))

    def get(self, path: str, *, only_head: bool) -> None:
        """Answer a request without a body."""
        _, _, number = path.rpartition("/")
        count = min(int(number), MAX_BYTES) if number.isdecimal() else None
        if path == f"/bytes/{number}" and count is not None:
            self.begin(200, count, "application/octet-stream")
            self.to_send, self.streaming = (0 if only_head else count), True
            self.stream()
        elif path == f"/hash/{number}" and count is not None:
            self.hash_later(count)
        elif path == "/stats":
            self.answer(200, json.dumps(STATS).encode() + b"\n", only_head=only_head)
        elif path == "/":
            self.answer(200, page(), "text/html; charset=utf-8", only_head=only_head)
        else:
            self.answer(404, b"there is no such page\n", "text/plain", only_head=only_head)

    def hash_later(self, count: int) -> None:
        """Hash on another thread; a GiB takes a second."""
        self.hold()
        hashed = asyncio.get_running_loop().run_in_executor(None, digest, count)
        hashed.add_done_callback(lambda done: self.answer(200, done.result()))

    def hold(self) -> None:
        """Read no more until the answer is given."""
        if not self.busy:
            self.busy = True
            self.transport.pause_reading()

    def begin(self, status: int, length: int, kind: str) -> None:
        """Send a response's head."""
        self.hold()
        head = (
            f"HTTP/1.1 {status} {REASONS[status]}\r\n"
            f"content-type: {kind}\r\ncontent-length: {length}\r\n"
            f"connection: {'close' if self.last else 'keep-alive'}\r\n\r\n"
        )
        self.send(head.encode())

    def answer(
        self,
        status: int,
        body: bytes = b"",
        kind: str = "application/json",
        *,
        only_head: bool = False,
    ) -> None:
        """Send a whole response."""
        self.begin(status, len(body), kind)
        if not only_head:
            self.send(body)
        self.done()

    def stream(self) -> None:
        """Send blocks until the write buffer is full or all is sent."""
        while self.to_send and not self.paused and not self.transport.is_closing():
            block = BLOCK[: self.to_send]
            self.to_send -= len(block)
            self.send(block)
        if not self.to_send:
            self.streaming = False
            self.done()

    def done(self) -> None:
        """A response is sent: close, or go on with the next request."""
        self.body, self.busy = None, False
        if self.last:
            self.transport.close()
            return
        self.transport.resume_reading()
        if self.head:
            asyncio.get_running_loop().call_soon(self.feed, memoryview(b""))


def raise_descriptor_limit() -> None:
    """Thousands of connections need as many descriptors; the usual soft limit is 1,024."""
    with contextlib.suppress(ImportError, ValueError, OSError):
        import resource

        _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


async def main() -> None:
    """Listen until the pod ends."""
    raise_descriptor_limit()
    loop = asyncio.get_running_loop()
    ports: tuple[tuple[str, int, Callable[[], asyncio.BaseProtocol]], ...] = (
        ("http", 80, lambda: Http("http")),
        ("echo", 7, lambda: Echo("echo")),
    )
    for name, port, factory in ports:
        STATS[name] = {"connections": 0, "open": 0, "in": 0, "out": 0}
        number = int(os.environ.get(f"KFWD_PORT_{port}", port))
        await loop.create_server(factory, "127.0.0.1", number, backlog=4096)
    await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(main())
