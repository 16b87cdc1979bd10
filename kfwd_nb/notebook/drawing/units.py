"""Numbers as people read them, and text of a length that can be shown."""

from __future__ import annotations

from dataclasses import dataclass
from time import localtime, strftime

MAX_TEXT = 300
"""Characters of one text from elsewhere (a reason, a pod's name) that a table repeats."""


@dataclass(frozen=True, slots=True)
class Bytes:
    """A count of bytes: the exact one, and the one to read."""

    count: int

    def __str__(self) -> str:
        return bytes_text(self.count)


@dataclass(frozen=True, slots=True)
class Rate:
    """Bytes a second, from the pod and to it."""

    inward: float = 0.0
    outward: float = 0.0

    def __str__(self) -> str:
        if not (self.inward or self.outward):
            return "idle"
        return f"in {bytes_text(self.inward)}/s, out {bytes_text(self.outward)}/s"


def bytes_text(count: float) -> str:
    """A number of bytes to read: `0 B`, `512 B`, `1.5 KiB`, `640 MiB`."""
    if count < 1024:
        return f"{count:.0f} B"
    for unit in ("KiB", "MiB", "GiB", "TiB"):
        count /= 1024
        if count < 1000 or unit == "TiB":
            break
    return f"{count:.1f} {unit}" if count < 99.95 else f"{count:.0f} {unit}"


def duration_text(seconds: float) -> str:
    """A time span to read: `9 µs`, `3 ms`, `0.4 s`, `12 s`, `3 min 5 s`, `2 h 4 min`, `3 d 1 h`."""
    if seconds < 0.0001:
        return f"{seconds * 1e6:.0f} µs"
    if seconds < 0.1:
        return f"{seconds * 1000:.1f} ms" if seconds < 0.01 else f"{seconds * 1000:.0f} ms"
    if seconds < 9.95:
        return f"{seconds:.1f} s"
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    size, unit, smaller, name = [span for span in _SPANS if whole >= span[0]][-1]
    first, rest = divmod(whole, size)
    return f"{first} {unit} {rest // smaller} {name}"


_SPANS = ((60, "min", 1, "s"), (3600, "h", 60, "min"), (86400, "d", 3600, "h"))
"""Each unit of a time span above seconds: its seconds, its name, and the unit said beside it."""


def clock(moment: float) -> str:
    """Local time of day: `14:03:05`; `moment` is in seconds since the epoch."""
    return strftime("%H:%M:%S", localtime(moment))


def date(moment: float) -> str:
    """Local day: `2016-03-01`; `moment` is in seconds since the epoch."""
    return strftime("%Y-%m-%d", localtime(moment))


def cut(text: str, length: int = MAX_TEXT) -> str:
    """Text from elsewhere, at most so many characters of it."""
    return text if len(text) <= length else f"{text[: length - 1]}…"
