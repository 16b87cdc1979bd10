"""What an exec plugin says while a cell waits for it: a code to type, a URL to open."""

from __future__ import annotations

import threading
from collections import deque
from typing import TYPE_CHECKING

from kfwd_nb.errors import printable
from kfwd_nb.notebook.drawing.render import Sheet, sheet_bundle
from kfwd_nb.notebook.output import Output, updates_in_place

if TYPE_CHECKING:
    from IPython.core.interactiveshell import InteractiveShell

MAX_LINES = 20
"""Lines that stay in sight, the last ones; a device login says five or so."""

TITLE = "the exec plugin of the kubeconfig says"


class Notice:
    """One output of the cell that makes it, which appears with the first line.

    It may be called from any thread, and long after its cell, when a token is renewed.

    Args:
        shell: whose running cell gets the output.
    """

    def __init__(self, shell: InteractiveShell) -> None:
        self._output = Output()
        self._in_place = updates_in_place(shell)
        self._lines: deque[str] = deque(maxlen=MAX_LINES)
        self._lock = threading.Lock()
        self._waited_for = True

    def __call__(self, line: str) -> None:
        """Show a line more."""
        with self._lock:
            self._lines.append(line)
            if self._in_place:
                self._show()
            else:
                print(printable(line), flush=True)

    def over(self) -> None:
        """The cell does not wait for it any more."""
        with self._lock:
            self._waited_for = False
            if self._lines and self._in_place:
                self._show()

    def _show(self) -> None:
        sheet = Sheet(TITLE, tuple(self._lines), busy=self._waited_for, links=True)
        self._output.show(sheet_bundle(sheet))
