"""Progress of something that takes long: one output, replaced in place; lines in a terminal."""

from __future__ import annotations

from typing import TYPE_CHECKING

from kfwd_nb.errors import printable
from kfwd_nb.notebook.drawing.render import Bundle, Sheet, sheet_bundle
from kfwd_nb.notebook.output import Output, updates_in_place

if TYPE_CHECKING:
    from IPython.core.interactiveshell import InteractiveShell

MAX_LINES = 6
"""Lines that stay in sight, the last ones."""


WAITING = "waiting for "
"""How a line begins that is only a reminder."""


class Progress:
    """Says `title` at once, then each line that it is called with.

    Args:
        shell: whose running cell gets the output.
        title: what is going on.
    """

    def __init__(self, shell: InteractiveShell, title: str) -> None:
        self._output = Output()
        self._in_place = updates_in_place(shell)
        self._title = title
        self._lines: list[str] = []
        self._say(title)

    def __call__(self, line: str) -> None:
        """Add a line; what is still waited for takes the place of what was."""
        if line.startswith(WAITING) and self._lines and self._lines[-1].startswith(WAITING):
            self._lines.pop()
        self._lines = [*self._lines, line][-MAX_LINES:]
        self._say(line)

    def failed(self, title: str) -> None:
        """Leave the last lines standing under another title."""
        if self._in_place:
            self._output.show(sheet_bundle(Sheet(title, tuple(self._lines))))

    def done(self, bundle: Bundle) -> None:
        """Put the result in the place of the progress; in a terminal, after it."""
        self._output.show(bundle)

    def _say(self, line: str) -> None:
        if self._in_place:
            self._output.show(sheet_bundle(Sheet(self._title, tuple(self._lines), busy=True)))
        else:
            print(printable(line), flush=True)
