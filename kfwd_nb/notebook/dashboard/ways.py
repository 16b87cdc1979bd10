"""The pictures of ways that pages of a dashboard look at: for as long as somebody says so."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import TYPE_CHECKING

from kfwd_nb.notebook.hop_live import LiveHops

if TYPE_CHECKING:
    from kfwd_nb.client import Forward
    from kfwd_nb.notebook.render import Bundle

LEASE = 30.0
"""Seconds after which a page that does not ask again counts as gone."""

MAX_WAYS = 8
"""Forwards that are looked at at once; the one that was asked for least recently goes."""


class Ways:
    """Asks the hops of those forwards only whose picture is open somewhere.

    Args:
        show: shows the HTML of a forward's way; by the forward's key.
    """

    def __init__(self, show: Callable[[str, str], None]) -> None:
        self._show = show
        self._watched: dict[str, tuple[LiveHops, float]] = {}
        self._lock = threading.Lock()

    def watch(self, key: str, forward: Forward, now: float) -> None:
        """Somebody looks, and will for `LEASE` seconds; a page that comes later is shown all."""
        with self._lock:
            way, _ = self._watched.pop(key, (None, 0.0))
            if way is None or way.over:
                way = LiveHops(forward, lambda bundle: self._shown(key, bundle))
            else:
                way.again()
            while len(self._watched) >= MAX_WAYS:
                self._watched.pop(next(iter(self._watched)))
            self._watched[key] = way, now + LEASE

    def refresh(self, now: float) -> None:
        """Ask and draw what is due."""
        with self._lock:
            self._watched = {
                key: (way, until) for key, (way, until) in self._watched.items() if until > now
            }
            ways = [way for way, _ in self._watched.values()]
        for way in ways:
            way.refresh()

    def _shown(self, key: str, bundle: Bundle) -> None:
        self._show(key, bundle["text/html"])
