"""`loop="kernel"`: the whole client on the caller's own loop, for people who only await."""

from __future__ import annotations

import subprocess
import sys

import pytest

from kfwd_nb.client import forward
from kfwd_nb.errors import UsageError

pytestmark = pytest.mark.chain

PROGRAM = """
import asyncio, socket, sys, threading
from kfwd_nb.client import forward, forwards

async def echo(port, data):
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(data)
    writer.write_eof()
    answer = await reader.read()
    writer.close()
    return answer

async def main():
    background = asyncio.create_task(asyncio.sleep(0.01, "runs on"))
    fwd = forward("web", ":7", loop="kernel")
    assert fwd.ready
    assert forward("web", ":7", loop="kernel") is fwd
    assert await echo(fwd.local_port, b"x" * 300_000) == b"x" * 300_000
    assert not [each for each in threading.enumerate() if each.name == "kfwd"], "no thread"
    answers = await asyncio.gather(*(echo(fwd.local_port, b"%d" % n) for n in range(20)))
    assert answers == [b"%d" % n for n in range(20)]
    held = await asyncio.open_connection("127.0.0.1", fwd.local_port)
    fwd.stop()
    assert fwd.state == "stopped" and forwards() == []
    socket.create_server(("127.0.0.1", fwd.local_port)).close()
    held[1].close()

    async with forward("web", ":7", loop="kernel") as other:
        assert await echo(other.local_port, b"y") == b"y"
    assert other.state == "stopped"
    with forward("web", ":7", loop="kernel") as third:
        assert await echo(third.local_port, b"z") == b"z"

    async with forward("web", loop="kernel") as fourth:
        opened = fourth.wait_for("opened", 20)
        sock = await fourth.open_async(7)
        assert (await opened).facts["peer"] == "in-process"
        reader, writer = await asyncio.open_connection(sock=sock)
        writer.write(b"x")
        writer.write_eof()
        assert await reader.read() == b"x"
        writer.close()
        assert fourth.wait_until(lambda fwd: fwd.totals.bytes_in, 20) == 1
        assert fourth.wait_until(lambda fwd: fwd.totals.open == 0, 20)
        async for event in fourth.events(past=True):
            if event.kind == "closed":
                break
        try:
            iter(fourth.events())
        except Exception as error:
            print(type(error).__name__, "for a blocking loop")
    fifth = forward("web", ":7", loop="kernel")
    await asyncio.to_thread(fifth.stop)  # asked for on another thread, done on this loop
    assert fifth.state == "stopped"
    assert await background == "runs on"
    try:
        forward("nobody", ":7", loop="kernel")
    except Exception as error:
        print(type(error).__name__)

asyncio.run(main())
print("done")
"""


def test_a_program_that_only_awaits(relay, kubeconfig):
    done = subprocess.run(
        [sys.executable, "-X", "dev", "-W", "ignore", "-c", PROGRAM],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines() == [
        "UsageError for a blocking loop",
        "NotFoundError",
        "done",
    ]
    assert "never awaited" not in done.stderr
    assert "never retrieved" not in done.stderr


def test_it_needs_a_loop_that_runs(relay, kubeconfig):
    with pytest.raises(UsageError, match='loop="kernel" needs a running event loop'):
        forward("web", ":7", loop="kernel")
