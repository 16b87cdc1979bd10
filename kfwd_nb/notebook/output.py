"""One output of one cell, which can be replaced in place later and from any thread."""

from __future__ import annotations

import contextvars
import secrets
from typing import TYPE_CHECKING

from IPython.display import display

if TYPE_CHECKING:
    from IPython.core.interactiveshell import InteractiveShell

    from kfwd_nb.notebook.render import Bundle


class Output:
    """An output that belongs to the cell that runs when it is made.

    ipykernel keeps the cell that outputs go to in a context variable; a copy of the context, taken
    now, brings later updates to this cell, whichever cell and whichever thread runs then. Calls
    must not overlap.
    """

    def __init__(self) -> None:
        self._id = f"kfwd-{secrets.token_hex(8)}"
        self._context = contextvars.copy_context()
        self._shown = False

    def show(self, bundle: Bundle) -> None:
        """Show the bundle, in the place of the one before it."""
        self._context.run(display, bundle, raw=True, display_id=self._id, update=self._shown)
        self._shown = True


def updates_in_place(shell: InteractiveShell) -> bool:
    """True for kernels; a terminal prints a new copy for each update."""
    return hasattr(shell, "kernel")


def execution(shell: InteractiveShell) -> tuple[str, str]:
    """(cell, run of it): which cell is running, where the frontend says so, and its request."""
    if not updates_in_place(shell):
        return "", ""
    parent = shell.get_parent() or {}  # type: ignore[attr-defined]
    cell = (parent.get("metadata") or {}).get("cellId") or ""
    return str(cell), str((parent.get("header") or {}).get("msg_id") or "")
