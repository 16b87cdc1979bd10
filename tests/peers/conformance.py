"""What every forward does, whichever loop and dialect: `conformance.py LOOP KUBECONFIG [DIALECT]`.

A program of its own, because `loop="kernel"` changes asyncio in its whole process. It only awaits,
so that the same steps hold for both loops. Prints the name of each step that held.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
import sys
from collections.abc import Awaitable, Callable
from typing import Literal, cast

from kfwd_nb import Forward, forward

MIB = 1 << 20
LOOP = cast("Literal['thread', 'kernel']", sys.argv[1])
KUBECONFIG = sys.argv[2]
DIALECT = sys.argv[3] if len(sys.argv) > 3 else None

Step = Callable[[Forward], Awaitable[None]]


async def connect(fwd: Forward, port: int) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    local = next(each.local for each in fwd.ports if each.remote == port)
    return await asyncio.open_connection("127.0.0.1", local)


async def an_echo_comes_back(fwd: Forward) -> None:
    reader, writer = await connect(fwd, 7)
    writer.write(b"hello")
    assert await reader.readexactly(5) == b"hello"
    writer.close()


async def the_reply_comes_after_half_close(fwd: Forward) -> None:
    reader, writer = await connect(fwd, 7)
    writer.write(b"last words")
    writer.write_eof()
    assert await reader.read() == b"last words"
    writer.close()


async def a_download_is_whole(fwd: Forward) -> None:
    reader, writer = await connect(fwd, 80)
    writer.write(b"GET /bytes/%d HTTP/1.1\r\nHost: pod\r\nConnection: close\r\n\r\n" % (32 * MIB))
    await reader.readuntil(b"\r\n\r\n")
    digest = hashlib.sha256()
    while piece := await reader.read(MIB):
        digest.update(piece)
    writer.close()
    reader, writer = await connect(fwd, 80)
    writer.write(b"GET /hash/%d HTTP/1.1\r\nHost: pod\r\nConnection: close\r\n\r\n" % (32 * MIB))
    answer = await reader.read()
    assert json.loads(answer.partition(b"\r\n\r\n")[2])["sha256"] == digest.hexdigest()
    writer.close()


async def a_refused_port_ends_its_own_connection_only(fwd: Forward) -> None:
    good_reader, good_writer = await connect(fwd, 7)
    try:
        reader, _ = await connect(fwd, 9)
        await reader.read(1)
    except ConnectionResetError:
        pass
    else:
        raise AssertionError("the connection was not reset")
    good_writer.write(b"x")
    assert await good_reader.readexactly(1) == b"x"
    good_writer.close()
    assert any("nobody listens on port 9" in each.reason for each in fwd.connections())
    assert fwd.ready


async def two_hundred_connections_at_once(fwd: Forward) -> None:
    async def one(number: int) -> None:
        reader, writer = await connect(fwd, 7)
        word = b"%06d" % number
        writer.write(word)
        assert await reader.readexactly(6) == word
        writer.close()

    await asyncio.gather(*[one(number) for number in range(200)])


async def a_stalled_reader_harms_nobody(fwd: Forward) -> None:
    _, stalled = await connect(fwd, 80)
    stalled.write(b"GET /bytes/1099511627776 HTTP/1.1\r\nHost: pod\r\n\r\n")
    stalled.transport.pause_reading()  # type: ignore[attr-defined]
    await a_download_is_whole(fwd)
    stalled.transport.abort()


STEPS: list[Step] = [
    an_echo_comes_back,
    the_reply_comes_after_half_close,
    a_download_is_whole,
    a_refused_port_ends_its_own_connection_only,
    two_hundred_connections_at_once,
    a_stalled_reader_harms_nobody,
]


async def main() -> None:
    ports = (":7", ":80", ":9")
    async with forward("web", *ports, kubeconfig=KUBECONFIG, loop=LOOP, dialect=DIALECT) as fwd:
        assert DIALECT in (None, fwd.dialect)
        for step in STEPS:
            await asyncio.wait_for(step(fwd), 60)
            print(step.__name__, flush=True)
    assert fwd.state == "stopped"
    try:
        await asyncio.open_connection("127.0.0.1", fwd.ports[0].local)
    except ConnectionRefusedError:
        print("the_port_is_free_again", flush=True)


if __name__ == "__main__":
    asyncio.run(main())
