"""The picture of a forward's way, asked for once a second and drawn anew when it says more."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import TYPE_CHECKING

from kfwd_nb.errors import KfwdError
from kfwd_nb.notebook.drawing.hop_picture import hops_bundle

if TYPE_CHECKING:
    from concurrent.futures import Future

    from kfwd_nb.client import Forward
    from kfwd_nb.client.hops.view import HopView
    from kfwd_nb.notebook.drawing.render import Bundle

INTERVAL = 1.0
"""Seconds between two questions."""

STOPPED = "the forward is stopped: this is how it was last"


class LiveHops:
    """One shown picture; a `live.Followed`.

    A relay that does not answer must not hold up the tables that the same thread draws, so a
    question is asked at one look and its answer taken at a later one.

    Args:
        forward: whose way.
        show: shows a bundle, in the place of the one before.
        view: what is drawn first; None waits for the first answer.
        owner: as of a `LiveTable`.
        settle: see `LiveTable`.
    """

    def __init__(
        self,
        forward: Forward,
        show: Callable[[Bundle], None],
        view: HopView | None = None,
        *,
        owner: tuple[str, str] = ("", ""),
        settle: Callable[[], None] = lambda: None,
    ) -> None:
        self.owner = owner
        self.over = False
        self._forward = forward
        self._show = show
        self._settle = settle
        self._asked: Future[HopView] | None = None
        self._due = 0.0
        self._view = view
        self._seen: object = None
        self._lock = threading.Lock()

    def refresh(self) -> bool:
        """See `live.Followed`."""
        with self._lock:
            return not self.over and self._refresh(time.monotonic())

    def again(self) -> None:
        """Show once more what there is: somebody else looks on."""
        with self._lock:
            self._seen = None

    def settle(self) -> None:
        """See `live.Followed`."""
        with self._lock:
            self._settle()

    def freeze(self) -> None:
        """See `live.Followed`: the picture needs no kernel; it says if its forward is stopped."""
        self.refresh()

    def close(self) -> None:
        """See `live.Followed`."""
        self.over = True

    def _refresh(self, now: float) -> bool:
        if self._forward.state == "stopped":
            self.over = True
            if self._view is not None:
                self._show(hops_bundle(self._view, STOPPED))
            return True
        if self._seen is None and self._view is not None:
            return self._draw(self._view)
        if self._asked is not None and self._asked.done():
            asked, self._asked = self._asked, None
            try:
                return self._draw(asked.result())
            except KfwdError:  # it was stopped meanwhile; the next look says so
                return False
        if self._asked is None and now >= self._due:
            self._due = now + INTERVAL
            self._asked = self._forward.hops_soon()
        return False

    def _draw(self, view: HopView) -> bool:
        """Draw it, unless it says nothing but other round trips."""
        self._view = view
        seen = (
            [(each.name, each.tls, each.trouble) for each in view.links],
            [(each.number, each.up, each.down, each.stands) for each in view.flows],
            view.more,
        )
        if seen == self._seen:
            return False
        self._seen = seen
        self._show(hops_bundle(view))
        return True
