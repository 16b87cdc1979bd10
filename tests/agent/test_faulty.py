"""Streams through ports that stall, while the fault comes and goes. No node, no pod."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from kfwd_nb.agent.connectors.faulty import FaultyConnector, StalledStream

pytestmark = pytest.mark.pure

WEB: Any = SimpleNamespace(name="default/web")


class Inner:
    """A connector and its streams, which go where they are sent."""

    def __init__(self) -> None:
        self.may_open = asyncio.Event()
        self.may_open.set()
        self.receivers: list[Any] = []

    async def open(self, pod: Any, port: int) -> Any:
        await self.may_open.wait()
        return SimpleNamespace(start=self.receivers.append, close=lambda error: None)


def broken(inner: Any, folder: Path, **faults: str) -> FaultyConnector:
    file = folder / "node.faults"
    file.write_text(json.dumps({f"default/{name}:80": kind for name, kind in faults.items()}))
    return FaultyConnector(inner, file)


async def test_streams_that_are_over_are_forgotten(tmp_path: Path) -> None:
    inner = Inner()
    connector = broken(inner, tmp_path, web="stall")
    for number in range(10):
        stream = await connector.open(WEB, 80)
        stream.start(SimpleNamespace(closed=lambda error: None))  # type: ignore[arg-type]
        assert len(connector._stalled) == 1
        if number % 2:
            stream.close()
        else:
            inner.receivers[-1].closed(None)
        assert not connector._stalled


async def test_a_fault_that_ends_while_a_stream_is_opened_does_not_hold_it(tmp_path: Path) -> None:
    inner = Inner()
    connector = broken(inner, tmp_path, web="stall")
    inner.may_open.clear()
    opening = asyncio.create_task(connector.open(WEB, 80))
    await asyncio.sleep(0)
    (tmp_path / "node.faults").write_text("{}")
    connector.read()
    inner.may_open.set()
    assert not isinstance(await opening, StalledStream)
