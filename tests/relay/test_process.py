"""`python -m kfwd_nb.relay` as a process: what it says, and how it ends."""

from __future__ import annotations

import asyncio
import json
import signal
import sys
from pathlib import Path
from typing import Any

import msgspec
import pytest

from kfwd_nb.transport.endpoint import Endpoint
from kfwd_nb.transport.http2.client import Tunnel
from kfwd_nb.transport.tls import client_context

pytestmark = pytest.mark.chain


async def start(path: Path) -> asyncio.subprocess.Process:
    return await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "kfwd_nb.relay", "--config", str(path)),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )


@pytest.fixture
def file(tmp_path: Path, config: Any) -> Path:
    path = tmp_path / "relay.json"
    path.write_bytes(msgspec.json.encode(config))
    return path


def change_file(file: Path, **fields: Any) -> None:
    file.write_text(json.dumps(json.loads(file.read_text()) | fields))


@pytest.mark.parametrize("how", ["stdin", "SIGTERM", "SIGINT"])
async def test_it_says_where_it_listens_and_ends_when_told(
    file: Path, how: str, authority: Any
) -> None:
    process = await start(file)
    assert process.stdin is not None
    assert process.stdout is not None
    async with asyncio.timeout(20):
        port = json.loads(await process.stdout.readline())["listening"]
        tunnel = await Tunnel.open(Endpoint("127.0.0.1", port, client_context(authority.ca)))
        assert (await tunnel.request("GET", "/version")).status == 200
        if how == "stdin":
            process.stdin.close()
        else:
            process.send_signal(signal.Signals[how])
        assert await process.wait() == 0
        await tunnel.closed


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"tokns": []}, "unknown field `tokns`"),
        ({"port": "x"}, "Expected `int`"),
    ],
)
async def test_a_bad_configuration_is_refused_in_one_line(
    file: Path, change: dict[str, Any], words: str
) -> None:
    change_file(file, **change)
    process = await start(file)
    async with asyncio.timeout(20):
        _, err = await process.communicate()
    assert process.returncode == 1
    assert words in err.decode()
    assert len(err.decode().splitlines()) == 1


async def test_a_port_in_use_is_refused_in_one_line(file: Path) -> None:
    holder = await asyncio.start_server(lambda *_: None, "127.0.0.1", 0)
    port = holder.sockets[0].getsockname()[1]
    change_file(file, port=port)
    process = await start(file)
    async with asyncio.timeout(20):
        _, err = await process.communicate()
    holder.close()
    assert process.returncode == 1
    assert err.decode().startswith(f"relay: cannot listen on 127.0.0.1:{port}")


STUCK = """
import sys, time
from kfwd_nb.relay import __main__ as program
from kfwd_nb.transport.endpoint import Endpoint

async def stuck(relay):
    time.sleep(1000)

program.CLOSE_LIMIT = 0.2
program.Relay.close = stuck
sys.exit(program.main())
"""


async def test_a_relay_that_is_stuck_as_it_closes_ends_all_the_same(file: Path) -> None:
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-c", STUCK, "--config", str(file)),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
    )
    assert process.stdin is not None
    assert process.stdout is not None
    try:
        async with asyncio.timeout(20):
            await process.stdout.readline()
            process.stdin.close()
            assert await process.wait() == 1
    finally:
        if process.returncode is None:
            process.kill()
