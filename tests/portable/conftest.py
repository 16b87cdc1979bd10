"""A Python that has nothing of what only Linux has.

A child interpreter runs `crippled.py` first, which hides modules and functions as if the system had
never had them, then the code of the test.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

CRIPPLED = Path(__file__).with_name("crippled.py")

Run = Callable[..., "subprocess.CompletedProcess[str]"]


def crippled_command(*words: str) -> list[str]:
    """The command of a Python without Linux, with these arguments."""
    return [sys.executable, "-P", str(CRIPPLED), *words]


@pytest.fixture
def portable(tmp_path: Path) -> Run:
    """Run code, or `-m MODULE ARGUMENT...`, in such a Python; its output when it succeeds."""

    def run(*words: str, **environment: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            crippled_command(*words),
            env={**os.environ, **environment},
            cwd=tmp_path,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )

    return run


@pytest.fixture
def portable_start(tmp_path: Path) -> Iterator[Callable[..., subprocess.Popen[str]]]:
    """Start the same, and let it run; it is killed at the end of the test if it still does."""
    running: list[subprocess.Popen[str]] = []

    def start(*words: str) -> subprocess.Popen[str]:
        process = subprocess.Popen(
            crippled_command(*words), cwd=tmp_path, stdout=subprocess.PIPE, text=True
        )
        running.append(process)
        return process

    yield start
    for process in running:
        process.kill()
        process.communicate()
