"""The names nearest to a mistyped one."""

from __future__ import annotations

from difflib import get_close_matches
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

MAX_NAMES = 5
"""How many names a hint lists before it stops."""


def did_you_mean(name: str, names: Iterable[str]) -> str | None:
    """A hint with the likely name, else with the names that there are; None when there are none.

    `names` is read in its order; say the nearest place first.
    """
    known = list(dict.fromkeys(names))
    close = get_close_matches(name, known, n=2, cutoff=0.6)
    close += [each for each in known if name and each.startswith(name) and each not in close][:1]
    if close:
        return f"did you mean {' or '.join(_quoted(each) for each in close)}?"
    if not known:
        return None
    more = f" and {len(known) - MAX_NAMES} more" if len(known) > MAX_NAMES else ""
    return f"known: {', '.join(_quoted(each) for each in known[:MAX_NAMES])}{more}."


def _quoted(name: str) -> str:
    return f'"{name}"'
