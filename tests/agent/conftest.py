from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from agent.nodes import running_node

from kfwd_nb.agent.agent import Node


@pytest.fixture(params=["netns", "loopback"])
def isolation(request: pytest.FixtureRequest) -> str:
    """Each way of keeping pods apart that root can have."""
    return str(request.param)


@pytest.fixture
async def node(tmp_path: Path, isolation: str) -> AsyncIterator[Node]:
    """A running node, with the connector that goes with its isolation."""
    async with running_node(tmp_path, isolation, isolation) as parts:
        yield parts
