"""Proxies of the tests' own: HTTP CONNECT (in TLS, too) and SOCKS5, that note what was asked."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import ssl
import struct


class Proxy:
    """Answers on a port of its own; `asked` has each destination, as the client named it."""

    def __init__(self, kind: str, *, password: str = "", refuse: bytes = b"") -> None:
        self.kind = kind
        self.password = password
        self.refuse = refuse
        self.asked: list[str] = []
        self.targets: dict[str, int] = {}
        self.port = 0
        self._tasks: set[asyncio.Task[None]] = set()

    async def start(self, context: ssl.SSLContext | None = None) -> None:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0, ssl=context)
        self.port = self._server.sockets[0].getsockname()[1]

    async def close(self) -> None:
        self._server.close()
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        agree = self._connect if self.kind == "http" else self._socks5
        with contextlib.suppress(ConnectionError, asyncio.IncompleteReadError):
            if port := await agree(reader, writer):
                far_reader, far_writer = await asyncio.open_connection("127.0.0.1", port)
                await asyncio.gather(copy(reader, far_writer), copy(far_reader, writer))
        writer.close()

    async def _connect(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> int:
        head = (await reader.readuntil(b"\r\n\r\n")).decode()
        first, *fields = head.split("\r\n")
        method, target, _ = first.split()
        assert method == "CONNECT"
        self.asked.append(target)
        wanted = "Basic " + base64.b64encode(self.password.encode()).decode()
        if self.password and f"proxy-authorization: {wanted}" not in [
            each.replace("Proxy-A", "proxy-a") for each in fields
        ]:
            writer.write(b"HTTP/1.1 407 Proxy Authentication Required\r\nContent-Length: 0\r\n\r\n")
            return 0
        if self.refuse:
            writer.write(self.refuse)
            return 0
        for piece in (b"HTTP/1.1 200 Connec", b"tion established\r\nVia: x\r\n", b"\r\n"):
            writer.write(piece)
            await writer.drain()
            await asyncio.sleep(0.001)
        return self._port(target)

    async def _socks5(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> int:
        _, count = await reader.readexactly(2)
        methods = await reader.readexactly(count)
        if self.password:
            if 2 not in methods:
                writer.write(b"\x05\xff")
                return 0
            writer.write(b"\x05\x02")
            await reader.readexactly(1)
            user = await reader.readexactly((await reader.readexactly(1))[0])
            password = await reader.readexactly((await reader.readexactly(1))[0])
            right = (user + b":" + password).decode() == self.password
            writer.write(b"\x01\x00" if right else b"\x01\x01")
            if not right:
                return 0
        else:
            writer.write(b"\x05\x00")
        kind = (await reader.readexactly(4))[3]
        assert kind in (1, 3)
        if kind == 3:
            name = (await reader.readexactly((await reader.readexactly(1))[0])).decode()
        else:
            name = ".".join(str(each) for each in await reader.readexactly(4))
        (port,) = struct.unpack("!H", await reader.readexactly(2))
        self.asked.append(f"{name}:{port}")
        writer.write(b"\x05" + (self.refuse or b"\x00") + b"\x00\x01" + bytes(6))
        return 0 if self.refuse else self._port(f"{name}:{port}")

    def _port(self, target: str) -> int:
        """Where a name leads: the proxy looks it up, not the client."""
        return self.targets.get(target) or int(target.rpartition(":")[2])


async def copy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with contextlib.suppress(ConnectionError):
        while data := await reader.read(1 << 16):
            writer.write(data)
            await writer.drain()
    writer.close()
