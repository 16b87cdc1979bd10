"""What a line means where it says nothing."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Loop = Literal["thread", "kernel"]


@dataclass(frozen=True, slots=True)
class Defaults:
    """What a line means where it says nothing; `notebook.settings` has the user's own."""

    namespace: str | None = None
    context: str | None = None
    address: str = "localhost"
    loop: Loop = "thread"


PLAIN = Defaults()
