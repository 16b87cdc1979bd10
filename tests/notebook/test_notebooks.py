"""The notebooks that come with the project, run as people run them."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import nbformat
import pytest

from kfwd_nb.notebook import demo

pytestmark = pytest.mark.notebook

NOTEBOOKS = Path(__file__).parents[2] / "notebooks"
FIRST = NOTEBOOKS / "01-first-forward.ipynb"


TO_THE_NOTEBOOKS = f"%cd -q {NOTEBOOKS}"


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
    kernel.ok(TO_THE_NOTEBOOKS)
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
        kernel.ok(TO_THE_NOTEBOOKS)
        for cell in cells[:-1]:
            if "answers" not in cell:  # the load takes its time
                kernel.ok(cell)
        family = kernel.family()
        assert family
        kernel.restart()
        assert survivors(family) == []
    kernel.ok(TO_THE_NOTEBOOKS)
    for cell in cells:
        kernel.ok(cell)


NO_KUBECTL = """
import shutil
which = shutil.which
shutil.which = lambda name, *rest, **more: None if name == "kubectl" else which(name, *rest, **more)
"""


@pytest.mark.parametrize("before", ["", NO_KUBECTL], ids=["kubectl", "no kubectl"])
def test_what_the_first_notebook_shows(before: str, new_kernel: Callable[..., Any]) -> None:
    """A pod is replaced under load; what kubectl said then is shown wherever it is run."""
    kernel = new_kernel()
    kernel.ok(f"{TO_THE_NOTEBOOKS}\n{before}")
    runs = [kernel.ok(cell) for cell in code_cells(FIRST)]
    said = "\n".join(f"{run.printed}\n{run.text}" for run in runs)
    for each in ("is ready after", "Hello from pod web", "listening", " → api-", "is down"):
        assert each in said
    assert "error: lost connection to pod" in said
    assert "%portforward: 0 of 200 requests failed" in said
    assert ("a recording: this cell needs kubectl" in said) == bool(before)
    assert any("image/png" in bundle for run in runs for bundle in run.bundles)


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


def test_the_demo_takes_each_reply_for_its_own_cell() -> None:
    """A slow kernel answers the question whether it is ready more than once."""
    with demo.kernel() as client:
        client.kernel_info()
        assert demo.Notebook(client).run("print(6 * 7)") == (True, ["42"])
        client.kernel_info()
        succeeded, outputs = demo.Notebook(client).run("1/0")
    assert not succeeded
    assert "ZeroDivisionError" in outputs[-1]
