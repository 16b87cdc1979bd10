"""Processes of a cluster: how they start, what is known of their failure, and that they end."""

from __future__ import annotations

import asyncio
import sys
import time

import psutil
import pytest

from kfwd_nb.cluster import child as module
from kfwd_nb.cluster.child import Child
from kfwd_nb.errors import ClusterError

pytestmark = pytest.mark.chain

READY = "print('{\"listening\": 4711}', flush=True)"


async def start(*lines: str) -> Child:
    return await Child.start("tester", [sys.executable, "-c", "\n".join(lines)])


async def test_it_says_where_it_listens() -> None:
    child = await start(READY, "input()")
    assert child.said == {"listening": 4711}
    assert psutil.pid_exists(child.pid)
    await child.stop()
    assert not psutil.pid_exists(child.pid)


async def test_its_standard_input_is_its_lifeline() -> None:
    child = await start("import signal", "signal.signal(15, signal.SIG_IGN)", READY, "input()")
    began = time.monotonic()
    await child.stop(grace=30)
    assert time.monotonic() - began < 10


async def test_one_that_obeys_nothing_is_killed() -> None:
    child = await start(
        "import signal, time", "signal.signal(15, signal.SIG_IGN)", READY, "time.sleep(1000)"
    )
    await child.stop(grace=0.2)
    assert not psutil.pid_exists(child.pid)


async def test_an_early_end_is_told_in_its_last_words() -> None:
    with pytest.raises(ClusterError, match=r"tester ended \(exit code 3: no such relay\)"):
        await start("import sys", "print('first\\nno such relay', file=sys.stderr)", "sys.exit(3)")


async def test_silence_has_a_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "START_LIMIT", 0.3)
    before = psutil.Process().children()
    with pytest.raises(ClusterError, match=r"not ready within 0\.3 s"):
        await start("input()")
    assert psutil.Process().children() == before


@pytest.mark.parametrize("line", ["hello", "[1]", "17"])
async def test_a_first_line_of_another_kind_is_no_start(
    line: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "START_LIMIT", 5)
    with pytest.raises(ClusterError, match="before it was ready"):
        await start(f"print({line!r})")


async def test_a_later_end_is_noticed() -> None:
    child = await start(READY, "import os, signal", "input()", "os.kill(os.getpid(), 9)")
    ended = asyncio.create_task(child.ended())
    psutil.Process(child.pid).kill()
    assert await ended == "tester ended (signal 9)"


async def test_what_it_writes_neither_blocks_it_nor_fills_memory() -> None:
    child = await start(
        READY,
        "import sys",
        "for stream in sys.stdout, sys.stderr:",
        "    for n in range(2000): print('x' * 1000, file=stream)",
        "print('last', file=sys.stderr)",
    )
    assert await child.ended() == "tester ended (exit code 0: last)"
    assert len(child._words) <= module.LAST_WORDS
