"""The pictures of ways that pages of a dashboard look at: for as long as somebody says so."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from kfwd_nb.notebook.hop_live import LiveHops

if TYPE_CHECKING:
    from kfwd_nb.client import Forward
    from kfwd_nb.notebook.drawing.render import Bundle

LEASE = 3600.0
"""Seconds after which a page counts as gone that has not said so. It does not say again and again
that it is there: a hub would take that for work."""

MAX_WAYS = 8
"""Forwards that are looked at at once; the one that was asked for least recently goes."""


@dataclass(slots=True)
class _Watched:
    """A way, and until when each page looks at it."""

    way: LiveHops
    until: dict[str, float] = field(default_factory=dict)


class Ways:
    """Asks the hops of those forwards only whose picture is open somewhere.

    Args:
        show: shows the HTML of a forward's way; by the forward's key.
    """

    def __init__(self, show: Callable[[str, str], None]) -> None:
        self._show = show
        self._watched: dict[str, _Watched] = {}
        self._lock = threading.Lock()

    def watch(self, key: str, asker: str, forward: Forward, now: float) -> None:
        """A page looks, for `LEASE` seconds at the most; one that comes later is shown all."""
        with self._lock:
            watched = self._watched.pop(key, None)
            if watched is None or watched.way.over:
                watched = _Watched(LiveHops(forward, lambda bundle: self._shown(key, bundle)))
            elif asker not in watched.until:
                watched.way.again()
            watched.until[asker] = now + LEASE
            while len(self._watched) >= MAX_WAYS:
                self._watched.pop(next(iter(self._watched)))
            self._watched[key] = watched

    def unwatch(self, key: str, asker: str) -> None:
        """A page looks no more."""
        with self._lock:
            if key in self._watched:
                self._watched[key].until.pop(asker, None)

    def refresh(self, now: float) -> None:
        """Ask and draw what is due."""
        with self._lock:
            for key, watched in list(self._watched.items()):
                watched.until = {page: end for page, end in watched.until.items() if end > now}
                if not watched.until:
                    self._watched.pop(key)
            ways = [watched.way for watched in self._watched.values()]
        for way in ways:
            way.refresh()

    def _shown(self, key: str, bundle: Bundle) -> None:
        self._show(key, bundle["text/html"])
