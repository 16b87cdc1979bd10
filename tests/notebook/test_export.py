"""Notebooks that nobody watches: what nbclient, and so nbconvert and papermill, write down."""

from __future__ import annotations

import os
import re
import subprocess
import sys
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


def nbconvert(folder: Path, to: str, *first: str) -> str:
    """What nbconvert makes of the cells, executed, after some other first lines."""
    cells = [nbformat.v4.new_code_cell(each) for each in (*CELLS[:2], *first, *CELLS[2:])]
    source = folder / "source.ipynb"
    nbformat.write(nbformat.v4.new_notebook(cells=cells), source)
    folders = ("IPYTHONDIR", "JUPYTER_CONFIG_DIR", "JUPYTER_RUNTIME_DIR")
    environment = {name: str(folder / name.lower()) for name in folders}
    words = ["nbconvert", "--execute", f"--to={to}", "--stdout", str(source)]
    done = subprocess.run(
        [sys.executable, "-m", *words],
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.timeout(300)
def test_a_web_page_shows_the_last_state(tmp_path: Path) -> None:
    page = nbconvert(tmp_path, "html")
    (table,) = re.findall(r'data-forward="pod/web">.*?</summary>', page, re.DOTALL)
    assert re.search(r"localhost:400\d\d → 80", table)
    assert "<a href" not in table, "nobody listens there any more"
    assert re.search(r'<span class="state stopped"[^>]*>stopped</span>', table)
    assert "4 in all" in table


@pytest.mark.timeout(300)
def test_a_page_of_text_shows_the_last_state(tmp_path: Path) -> None:
    page = nbconvert(tmp_path, "markdown", "%config Kfwd.display = 'text'")
    assert "<div" not in page
    (line,) = re.findall(r"localhost:400\d\d -> 80  pod/web .*", page)
    assert "  stopped  4 open, 4 in all" in line
