"""What several floors' tests share: one embedded cluster for the whole session."""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest

from kfwd_nb.cluster import MiniCluster


@pytest.fixture(scope="session")
def cluster() -> Iterator[MiniCluster]:
    """The default cluster, in real namespaces wherever this machine allows them.

    A test that changes it (kills an agent, deletes a pod) starts a cluster of its own instead.
    """
    with MiniCluster() as running:
        if os.geteuid() == 0:
            assert running.isolation == "netns", "as root, simulated isolation is a failure"
        yield running
