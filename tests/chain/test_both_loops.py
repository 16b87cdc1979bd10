"""The same conformance steps over `loop="thread"` and `loop="kernel"`, in all three dialects."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.chain

PROGRAM = Path(__file__).parents[1] / "peers" / "conformance.py"
STEPS = re.findall(r"^    (\w+),$", PROGRAM.read_text(), re.MULTILINE)


@pytest.mark.parametrize("dialect", ["connect", "websocket", "spdy"])
@pytest.mark.parametrize("loop", ["thread", "kernel"])
def test_every_step_holds(cluster, loop, dialect):
    done = subprocess.run(
        [sys.executable, PROGRAM, loop, str(cluster.kubeconfig), dialect],
        capture_output=True,
        text=True,
        timeout=110,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert len(STEPS) == 6
    assert done.stdout.split() == [*STEPS, "the_port_is_free_again"]
