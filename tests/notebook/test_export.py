"""Notebooks that nobody watches: what nbclient, and so nbconvert and papermill, write down."""

from __future__ import annotations

import os
from pathlib import Path

import nbformat
import pytest
from jupyter_client import AsyncKernelManager
from jupyter_client.kernelspec import KernelSpecManager
from nbclient import NotebookClient

pytestmark = pytest.mark.notebook

HERE = Path(__file__).parent

CELLS = (
    f"import sys; sys.path.insert(0, {str(HERE)!r}); import fake_client\nfake_client.install()",
    "%load_ext kfwd_nb",
    "web = %portforward web :80",
    "for n in range(3):\n    web.connect()\n    web.move(1024)",
    "import time\nweb.connect()\ntime.sleep(0.6)  # the thread of the tables sees it first",
    "%portforward --stop all",
    "'the end'",
)


async def test_a_saved_table_shows_what_came_after_it(tmp_path: Path) -> None:
    specs = KernelSpecManager()
    specs.kernel_dirs = []
    manager = AsyncKernelManager(
        kernel_spec_manager=specs,
        connection_file=str(tmp_path / "kernel.json"),
        transport="ipc",
    )
    cells = [nbformat.v4.new_code_cell(each) for each in CELLS]
    notebook = nbformat.v4.new_notebook(cells=cells)
    client = NotebookClient(notebook, km=manager, timeout=60)
    await client.async_execute(env={**os.environ, "IPYTHONDIR": str(tmp_path / "ipython")})
    (table,) = notebook.cells[2].outputs
    for form in ("text/html", "text/plain"):
        assert "0 open" not in table.data[form]
        assert "4 in all" in table.data[form]
        assert "stopped" in table.data[form]
    for later in notebook.cells[3:5]:
        assert later.outputs == [], "an update belongs to the table that is there"
