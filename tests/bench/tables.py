"""Figures of several paths side by side, and their ratios."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Mapping, Sequence

ROUNDS = 5

Ratio = tuple[str, str]
"""Two columns: the first over the second."""


def head(columns: Sequence[str], ratios: Sequence[Ratio], title: str) -> None:
    names = [title, *columns, *(f"{a} / {b}" for a, b in ratios)]
    print(f"\n| {' | '.join(names)} |")
    print("|---" * len(names) + "|", flush=True)


def row(
    name: str,
    measure: Callable[[int], float],
    ports: Mapping[str, int],
    ratios: Sequence[Ratio],
) -> None:
    """Measure every path in turn, `ROUNDS` times: medians, then medians of each round's ratios."""
    rounds = [{path: measure(port) for path, port in ports.items()} for _ in range(ROUNDS)]
    medians = [f"{statistics.median(each[path] for each in rounds):.4g}" for path in ports]
    compared = [f"{statistics.median(each[a] / each[b] for each in rounds):.2f}" for a, b in ratios]
    print(f"| {' | '.join([name, *medians, *compared])} |", flush=True)
