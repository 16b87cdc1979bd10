"""A dashboard where no IPython runs, as in marimo: its MIME bundle is all that a host needs."""

from __future__ import annotations

import subprocess
import sys

import pytest

pytestmark = pytest.mark.pure

ALONE = """
import kfwd_nb
board = kfwd_nb.Dashboard()
board.show()
data, _ = board._repr_mimebundle_()
assert data.keys() >= {"application/vnd.jupyter.widget-view+json", "text/html", "text/plain"}, data
from IPython.core.interactiveshell import InteractiveShell
assert not InteractiveShell.initialized()
"""


def test_no_shell_is_made() -> None:
    command = [sys.executable, "-c", ALONE]
    done = subprocess.run(command, check=False, capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.parametrize("arguments", ["parts=None", "parts='way'", "parts=['nosuch']", "foo=1"])
def test_one_that_cannot_be_made_leaves_no_noise(arguments: str) -> None:
    made = f"try: kfwd_nb.Dashboard({arguments})\nexcept Exception as error: print(error)"
    code = f"import gc, kfwd_nb\n{made}\ngc.collect()"
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True
    )
    assert done.stderr == ""
    assert done.stdout
