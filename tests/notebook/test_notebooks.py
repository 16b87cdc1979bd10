"""The notebooks that come with the project, run as people run them."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import nbformat
import pytest

pytestmark = pytest.mark.notebook

NOTEBOOKS = Path(__file__).parents[2] / "notebooks"
FIRST = NOTEBOOKS / "01-first-forward.ipynb"


def code_cells(path: Path) -> list[str]:
    notebook = nbformat.read(path, as_version=4)
    nbformat.validate(notebook)
    return [each.source for each in notebook.cells if each.cell_type == "code"]


def test_notebooks_are_committed_without_outputs() -> None:
    for path in NOTEBOOKS.glob("*.ipynb"):
        for cell in nbformat.read(path, as_version=4).cells:
            assert not cell.get("outputs")
            assert cell.get("execution_count") is None


def test_each_cell_twice(new_kernel: Callable[..., Any]) -> None:
    kernel = new_kernel()
    for cell in code_cells(FIRST):
        kernel.ok(cell)
        kernel.ok(cell)


@pytest.mark.timeout(300)
def test_restart_and_run_all_ten_times(
    new_kernel: Callable[..., Any], survivors: Callable[..., Any]
) -> None:
    kernel = new_kernel()
    cells = code_cells(FIRST)
    for _ in range(10):
        for cell in cells[:-1]:
            kernel.ok(cell)
        family = kernel.family()
        assert family
        kernel.restart()
        assert survivors(family) == []
    for cell in cells:
        kernel.ok(cell)


def test_what_the_first_notebook_shows(new_kernel: Callable[..., Any]) -> None:
    kernel = new_kernel()
    runs = [kernel.ok(cell) for cell in code_cells(FIRST)]
    said = "\n".join(f"{run.printed}\n{run.text}" for run in runs)
    for each in ("is ready after", "Hello from pod web", "listening", "nsenter -t", "is down"):
        assert each in said


def test_the_demo_ends_by_itself() -> None:
    demo = subprocess.run(
        [sys.executable, "-m", "kfwd_nb.notebook.demo"],
        capture_output=True,
        text=True,
        timeout=110,
        check=False,
    )
    assert demo.returncode == 0, demo.stdout + demo.stderr
    assert demo.stderr == ""
    for each in ("In [1]: %load_ext kfwd_nb", "Hello from pod web", "default/web", "is down"):
        assert each in demo.stdout
