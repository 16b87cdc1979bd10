"""Time spans as kubectl takes them: `30s`, `1m30s`, `1.5h` (Go `time.ParseDuration`). Pure."""

from __future__ import annotations

import re

from kfwd_nb.errors import UsageError

UNITS = {"ns": 1e-9, "us": 1e-6, "µs": 1e-6, "ms": 1e-3, "s": 1.0, "m": 60.0, "h": 3600.0}
"""Seconds of each unit."""

_PART = re.compile(r"(\d+\.?\d*|\.\d+)(ns|us|µs|ms|s|m|h)", re.ASCII)


def parse_duration(text: str) -> float:
    """Read a time span above zero, in seconds.

    Raises:
        UsageError: it is none, has no unit, or is not above zero.
    """
    plain = text.replace("\u03bc", "\u00b5")  # two signs look like µ; Go takes both
    parts = list(_PART.finditer(plain))
    if not parts or "".join(each[0] for each in parts) != plain:
        unit = f", {text}s for seconds" if text.isascii() and text.isdigit() else ""
        raise UsageError(f"invalid duration '{text}'.", hint=f"use 30s, 1m or 1m30s{unit}.")
    seconds = sum(float(number) * UNITS[unit] for number, unit in (each.groups() for each in parts))
    if not 0 < seconds < float("inf"):
        raise UsageError(f"invalid duration '{text}': it must be higher than zero.")
    return seconds
