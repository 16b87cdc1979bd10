"""What the cell of a `%portforward` waits for, since when and until when, told in place."""

from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING

from kfwd_nb.errors import printable
from kfwd_nb.notebook.drawing.render import Sheet, sheet_bundle
from kfwd_nb.notebook.drawing.units import clock, cut, duration_text
from kfwd_nb.notebook.output import Output, updates_in_place

if TYPE_CHECKING:
    from IPython.core.interactiveshell import InteractiveShell

    from kfwd_nb.kube.waiting import Waiting


class Wait:
    """One output of the cell that makes it, which appears once a wait has lasted a second.

    It may be called from any thread. What it is waited for takes its place: see `output`.

    Args:
        shell: whose running cell gets the output.

    Attributes:
        output: for the table that comes when the wait is over.
    """

    def __init__(self, shell: InteractiveShell) -> None:
        self.output = Output()
        self._in_place = updates_in_place(shell)
        self._last: Waiting | None = None
        self._lock = threading.Lock()
        self._over = False

    def __call__(self, waiting: Waiting) -> None:
        """It goes on."""
        with self._lock:
            if self._over:
                return
            before, self._last = self._last, waiting
            if self._in_place:
                self.output.show(sheet_bundle(waiting_sheet(waiting, time.time())))
            elif before != waiting:
                print(printable(waiting_line(waiting)), flush=True)

    def over(self, *, failed: bool) -> None:
        """The cell does not wait any more; a failure leaves standing what was waited for."""
        with self._lock:
            self._over = True
            if failed and self._in_place and self._last is not None:
                self.output.show(sheet_bundle(waited_sheet(self._last, time.time())))


def waiting_sheet(waiting: Waiting, now: float) -> Sheet:
    """A wait that goes on at `now`, seconds since the epoch."""
    whole = waiting.until - waiting.since
    gone = min(max(0.0, now - waiting.since), whole)
    limit = f" ({waiting.limit})" if waiting.limit else ""
    lasted = f"{gone:.0f} s" if gone < 60 else duration_text(gone)
    times = (
        f"{lasted} of {duration_text(whole)}: since {clock(waiting.since)}, "
        f"until {clock(waiting.until)} at the latest{limit}"
    )
    why = (cut(waiting.why),) if waiting.why else ()
    return Sheet(f"waiting for {waiting.what}", (*why, times), busy=True, part=gone / (whole or 1))


def waited_sheet(waiting: Waiting, now: float) -> Sheet:
    """A wait that was in vain."""
    lasted = duration_text(max(0.0, now - waiting.since))
    why = (cut(waiting.why),) if waiting.why else ()
    return Sheet(f"waited for {waiting.what}: {lasted}, since {clock(waiting.since)}", why)


def waiting_line(waiting: Waiting) -> str:
    """A wait that goes on, for a terminal, which says it once."""
    why = f": {cut(waiting.why)}" if waiting.why else ""
    return f"waiting for {waiting.what}, until {clock(waiting.until)} at the latest{why}"
