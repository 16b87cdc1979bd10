"""What runs inside a sandbox's namespaces: `python server.py`; says `ready` when it listens.

| port | does |
|---|---|
| 7 | echo; after the client's end it says `bye` and ends |
| 70 | told a number (8 octets), sends so many octets, and stays open |
| 71 | told a number, sends so many octets, and ends |
| 80 | told a number, takes so many octets, answers their SHA-256, and stays open |
| 13 | resets the connection at the first octet |

A standard library's program: it is started by any Python of the machine.
"""

from __future__ import annotations

import asyncio
import hashlib
import socket
import struct

PIECE = hashlib.shake_128(b"kfwd").digest(1 << 18)


async def echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while data := await reader.read(1 << 16):
        writer.write(data)
        await writer.drain()
    writer.write(b"bye")
    writer.close()


async def send(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    left = int.from_bytes(await reader.readexactly(8), "big")
    while left:
        piece = PIECE[:left]
        writer.write(piece)
        await writer.drain()
        left -= len(piece)


async def send_and_stay(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await send(reader, writer)
    await reader.read()
    writer.close()


async def send_and_end(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await send(reader, writer)
    writer.close()


async def take(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    left = int.from_bytes(await reader.readexactly(8), "big")
    seen = hashlib.sha256()
    while left:
        data = await reader.read(min(left, 1 << 18))
        assert data
        seen.update(data)
        left -= len(data)
    writer.write(seen.digest())
    await reader.read()
    writer.close()


async def reset(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await reader.readexactly(1)
    writer.get_extra_info("socket").setsockopt(
        socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0)
    )
    writer.transport.abort()


PORTS = {7: echo, 70: send_and_stay, 71: send_and_end, 80: take, 13: reset}


async def main() -> None:
    asyncio.get_running_loop().set_exception_handler(lambda *_: None)  # clients that go away
    for port, serve in PORTS.items():
        await asyncio.start_server(serve, "127.0.0.1", port, limit=1 << 20, backlog=1024)
    print("ready", flush=True)
    await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(main())
