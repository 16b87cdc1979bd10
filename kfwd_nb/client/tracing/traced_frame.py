"""A frame of a trace."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from kfwd_nb.protocol.dissect import Frame

Direction = Literal["out", "in"]


@dataclass(frozen=True, slots=True, kw_only=True)
class TracedFrame(Frame):
    """One frame, whole; what it is says `Frame`.

    Attributes:
        time: seconds since the trace began at which its last octet was read, or handed over to be
            written.
        direction: `out` to the server, `in` from it.
        wire: which connection to the server, counted from 1 as the trace saw them.
    """

    time: float
    direction: Direction
    wire: int
