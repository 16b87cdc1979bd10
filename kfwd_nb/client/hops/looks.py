"""Since when nothing has moved: one look at a connection compared with the one before. Pure."""

from __future__ import annotations

from collections.abc import Collection, Hashable


class Looks:
    """Remembers of each thing how it looked, and since when it has looked like that."""

    def __init__(self) -> None:
        self._seen: dict[Hashable, tuple[object, float]] = {}

    def still(self, thing: Hashable, look: object, now: float) -> float | None:
        """Seconds for which it has looked like that; None at the first look."""
        former = self._seen.get(thing)
        if former is not None and former[0] == look:
            return now - former[1]
        self._seen[thing] = look, now
        return None if former is None else 0.0

    def keep(self, things: Collection[Hashable]) -> None:
        """Forget all others."""
        self._seen = {key: seen for key, seen in self._seen.items() if key in things}
