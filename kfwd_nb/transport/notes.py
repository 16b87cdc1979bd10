"""Notes of what happens to one stream at a hop, kept only for streams that ask for it."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Literal

from kfwd_nb.errors import KfwdError
from kfwd_nb.protocol.hops import MAX_NOTES, Note, NoteKind

if TYPE_CHECKING:
    from kfwd_nb.transport.stream import ByteStream

_WAYS: tuple[Literal["up"], Literal["down"]] = ("up", "down")
"""What comes out of the pump's first side, which is the client's, and out of the other."""


class Notes:
    """A `PumpObserver` that writes down what passes, with the time since it was made.

    Attributes:
        onward: the stream to the next hop, once there is one.
    """

    def __init__(self) -> None:
        self.onward: ByteStream | None = None
        self._began = time.perf_counter()
        self._notes: list[Note] = []

    def add(
        self, way: Literal["up", "down"], kind: NoteKind, detail: str = "", octets: int = 0
    ) -> None:
        """One more; past `MAX_NOTES` none is kept."""
        if len(self._notes) < MAX_NOTES:
            since = time.perf_counter() - self._began
            self._notes.append(Note(since, way, kind, detail, octets))

    def all(self) -> list[Note]:
        """A copy."""
        return list(self._notes)

    # -- transport.stream.PumpObserver ------------------------------------------------------------

    def passed(self, side: int, count: int) -> None:
        """Payload came and went on."""
        self.add(_WAYS[side], "passes", octets=count)

    def ended(self, side: int) -> None:
        """A half-close."""
        self.add(_WAYS[side], "ends")

    def finished(self, side: int, error: KfwdError | None) -> None:
        """Both are over."""
        self.add(_WAYS[side], "forgets", error.what if error is not None else "")
