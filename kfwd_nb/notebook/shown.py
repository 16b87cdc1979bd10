"""Everything is shown exactly once, wherever its magic stands in a cell.

A magic that does something shows what it did at once, because its line may stand anywhere, and
returns it, because somebody may want it. If that line is the cell's last, IPython shows the
returned object again; the formatters registered here let that pass. A terminal writes `Out[1]:`
before it asks, so there the showing waits for IPython, or for the end of the cell.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from IPython.core.displayhook import CapturingDisplayHook, DisplayHook

from kfwd_nb.notebook.output import Output, is_kernel

if TYPE_CHECKING:
    from IPython.core.interactiveshell import InteractiveShell

    from kfwd_nb.client.hops.view import HopView
    from kfwd_nb.notebook.dashboard import Dashboard
    from kfwd_nb.notebook.results import Done

FORWARD = ("kfwd_nb.client.forward", "Forward")
DONE = ("kfwd_nb.notebook.results", "Done")
HOPS = ("kfwd_nb.client.hops.view", "HopView")
DASHBOARD = ("kfwd_nb.notebook.dashboard.widget", "Dashboard")
"""Modules and names of types, so that nothing need be imported to register them."""


class Shown:
    """What the running cell has shown already, or has yet to show.

    Args:
        shell: whose formatters are taught.
        show_forward: shows a Forward that no magic of this cell has shown.
    """

    def __init__(self, shell: InteractiveShell, show_forward: Callable[[object], None]) -> None:
        self._shell = shell
        self._show_forward = show_forward
        self._known: list[tuple[object, Callable[[], None]]] = []
        self._waits = not is_kernel(shell)

    def register(self) -> None:
        """Teach the shell's formatters."""
        formatter = self._formatter()
        formatter.for_type_by_name(*FORWARD, self._forward)
        formatter.for_type_by_name(*DONE, self._done)
        formatter.for_type_by_name(*DASHBOARD, self._dashboard)
        formatter.for_type_by_name(*HOPS, self._hops)
        self._shell.events.register("pre_execute", self._forget)
        self._shell.events.register("post_execute", self._show_waiting)

    def unregister(self) -> None:
        """Take it back."""
        formatter = self._formatter()
        for name in (FORWARD, DONE, DASHBOARD, HOPS):
            formatter.pop(".".join(name), None)
        self._shell.events.unregister("pre_execute", self._forget)
        self._shell.events.unregister("post_execute", self._show_waiting)

    def present(self, thing: object, show: Callable[[], None]) -> None:
        """Show `thing` by calling `show`, now or, in a terminal, when its turn comes."""
        self._known.append((thing, show))
        if not self._waits:
            show()

    def _formatter(self) -> Any:
        formatter = self._shell.display_formatter
        assert formatter is not None
        return formatter.ipython_display_formatter

    def _forward(self, forward: object) -> None:
        if not self._take(forward):
            self._show_forward(forward)

    def _done(self, result: Done) -> None:
        if not self._take(result):
            Output().show(result.bundle())

    def _dashboard(self, dashboard: Dashboard) -> None:
        if not self._take(dashboard):
            dashboard.show()

    def _hops(self, view: HopView) -> None:
        if not self._take(view):
            from kfwd_nb.notebook.drawing.hop_picture import hops_bundle

            Output().show(hops_bundle(view))

    def _take(self, thing: object) -> bool:
        """True if this cell has presented the thing; in a terminal it is shown now.

        A `display(thing)` that the user wrote is not for us to swallow.
        """
        for known in self._known:
            if known[0] is thing and _in_displayhook():
                self._known.remove(known)
                if self._waits:
                    known[1]()
                return True
        return False

    def _forget(self) -> None:
        self._known.clear()

    def _show_waiting(self) -> None:
        waiting = self._known if self._waits else []
        self._known = []
        for _, show in waiting:
            show()


_HOOKS = (DisplayHook.__call__.__code__, CapturingDisplayHook.__call__.__code__)


def _in_displayhook() -> bool:
    """True while IPython shows the value of a cell's last expression.

    The hooks of kernels, terminals and `%%capture` do not say so in a common way; the stack does.
    """
    frame = sys._getframe(1)  # noqa: SLF001 - the documented way to the stack
    while frame.f_back is not None:
        if frame.f_code in _HOOKS:
            return True
        frame = frame.f_back
    return False
