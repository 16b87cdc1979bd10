"""The end of the owner is noticed, by pidfd and where there is none."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace

import psutil
import pytest

from kfwd_nb.cluster.folder import ProcessId
from kfwd_nb.cluster.owner import wait_for_end

pytestmark = pytest.mark.chain


@pytest.fixture(params=["pidfd", "polling"])
def owner(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[ProcessId]:
    if request.param == "polling":
        monkeypatch.delattr(os, "pidfd_open", raising=False)
    process = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    yield ProcessId.of(process.pid)
    process.kill()
    process.communicate()


async def test_it_returns_when_the_owner_ends(owner: ProcessId) -> None:
    waiting = asyncio.create_task(wait_for_end(owner))
    done, _ = await asyncio.wait([waiting], timeout=0.6)
    assert not done
    os.kill(owner.pid, 9)
    await asyncio.wait_for(waiting, 2)


async def test_it_returns_at_once_for_a_pid_that_was_used_again(owner: ProcessId) -> None:
    await asyncio.wait_for(wait_for_end(replace(owner, started=1.0)), 2)


async def test_cancelling_leaves_no_descriptor(owner: ProcessId) -> None:
    before = descriptors()
    waiting = asyncio.create_task(wait_for_end(owner))
    await asyncio.wait([waiting], timeout=0.1)
    waiting.cancel()
    await asyncio.wait([waiting])
    assert descriptors() == before


def descriptors() -> int:
    return psutil.Process().num_fds()
