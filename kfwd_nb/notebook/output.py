"""One output of one cell, which can be replaced in place later and from any thread."""

from __future__ import annotations

import contextvars
import secrets
from typing import TYPE_CHECKING

from IPython.core.displaypub import CapturingDisplayPublisher
from IPython.core.getipython import get_ipython

from kfwd_nb.notebook.drawing.render import PLAIN, in_form
from kfwd_nb.notebook.settings import wanted_form

if TYPE_CHECKING:
    from IPython.core.interactiveshell import InteractiveShell

    from kfwd_nb.notebook.drawing.render import Bundle


class Output:
    """An output that belongs to the cell that runs when it is made.

    ipykernel keeps the cell that outputs go to in a context variable; a copy of the context, taken
    now, brings later updates to this cell, whichever cell and whichever thread runs then. The
    publisher is the one of now, too: a later `%%capture` puts another one in its place. Calls must
    not overlap.
    """

    def __init__(self) -> None:
        self._id = f"kfwd-{secrets.token_hex(8)}"
        self._context = contextvars.copy_context()
        shell = get_ipython()
        assert shell is not None, "without a shell there is no cell"
        self._shell = shell
        self._publisher = self._shell.display_pub
        self._shown = False
        self._needs_kernel = False
        self._update: Bundle | None = None

    def show(self, bundle: Bundle) -> None:
        """Show the bundle, in the place of the one before it."""
        self._context.run(self._publish, bundle)
        self._update = bundle if self._shown else None
        self._shown = True

    def settle(self) -> None:
        """Say the last update once more, as the cell that runs now; nothing if there was none.

        nbclient, and with it nbconvert and papermill, hears only what the running cell says; a
        saved notebook would show what was so when the output was made.
        """
        bundle, self._update = self._update, None
        if bundle is not None:
            self._publish(bundle)

    def freeze(self, bundle: Bundle) -> None:
        """Put the plain forms of `bundle` in the place of what needs its kernel to be seen.

        For the end of the extension and of the kernel: a widget that stays behind is an empty box.
        Nothing happens where what was shown last is plain already.
        """
        if self._needs_kernel:
            self.show(in_form(bundle, "html"))

    def _publish(self, bundle: Bundle) -> None:
        bundle = in_form(bundle, wanted_form(self._shell))
        self._needs_kernel = not bundle.keys() <= set(PLAIN["html"])
        self._publisher.publish(bundle, transient={"display_id": self._id}, update=self._shown)


def is_kernel(shell: InteractiveShell) -> bool:
    """True for a kernel with a frontend, false for a terminal."""
    return hasattr(shell, "kernel")


def updates_in_place(shell: InteractiveShell) -> bool:
    """True where an update replaces what it updates.

    A terminal prints it anew, and `%%capture` keeps every one.
    """
    return is_kernel(shell) and not isinstance(shell.display_pub, CapturingDisplayPublisher)


def execution(shell: InteractiveShell | None) -> tuple[str, str]:
    """(cell, run of it): which cell is running, where the frontend says so, and its request."""
    if shell is None or not is_kernel(shell):
        return "", ""
    parent = shell.get_parent() or {}  # type: ignore[attr-defined]
    cell = (parent.get("metadata") or {}).get("cellId") or ""
    return str(cell), str((parent.get("header") or {}).get("msg_id") or "")
