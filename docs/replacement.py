"""Draws `docs/pictures/replacement.svg` from a run of its own: `python docs/replacement.py`.

All pods of `deploy/api` are deleted under 50 requests a second, through kubectl and through `kfwd`,
at the same time, on one embedded cluster. Each request is a dot: when it was sent, and how long its
answer took. Below are the pods, and how many connections `kfwd` has held, as it says by itself.
Another run gives other dots. `make bench` deletes one pod, for every dialect, in figures.
"""

from __future__ import annotations

import contextlib
import re
import sys
from collections.abc import Sequence
from html import escape
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).parents[1]
sys.path[:0] = [str(ROOT / "tests" / "bench"), str(ROOT / "tests"), str(ROOT)]

from paths import KUBECTL, forwarding
from peers.caller import Asked
from replacement import under_load

from kfwd_nb import MiniCluster

PICTURE = ROOT / "docs" / "pictures" / "replacement.svg"

AFTER = 4.0
"""Seconds of requests after the pods are deleted."""

TARGET = ("deploy/api", ":8080")

STYLE = """
  .ground { fill: #ffffff; stroke: #c9d1d9 }
  .axis { stroke: #c9d1d9 }
  .deleted { stroke: #57606a; stroke-dasharray: 4 4 }
  .pod0 { fill: #2456a6 } .pod1 { fill: #1a7f52 } .pod2 { fill: #8250df }
  .lost { stroke: #cf222e; stroke-width: 1.6 }
  text { font: 16px system-ui, sans-serif; fill: #1b2430 }
  .name { font-weight: 600; font-size: 18px }
  .small { font-size: 14px; fill: #57606a }
  .said { font: 15px ui-monospace, monospace; fill: #cf222e }
  .good { fill: #1a7f52; font-weight: 600 }
"""

WIDTH, HEIGHT, LEFT, TOP, PLOT = 1180, 386, 66, 98, 190
PANEL = 500


class Way(NamedTuple):
    """A way to the pods, and what came of it.

    Attributes:
        command: as a person types it.
        asked: all requests; `at` is seconds since the pod was deleted.
        said: the last line of the command's output that is about its end; empty if it goes on.
        held: connections that have waited for a pod.
    """

    command: str
    asked: list[Asked]
    said: str
    held: int

    @property
    def pods(self) -> list[str]:
        """Who has answered, one after the other."""
        return list(dict.fromkeys(each.pod for each in self.asked if each.pod))

    @property
    def lost(self) -> list[Asked]:
        """Requests that nobody has answered."""
        return [each for each in self.asked if not each.pod]

    def followed(self, pod: str) -> float:
        """Seconds from the deletion to the first answer of a pod."""
        return min(each.at + each.seconds for each in self.asked if each.pod == pod)


def run(kubeconfig: Path) -> list[Way]:
    """Both ways at once, while all pods are deleted."""
    commands = {
        "kubectl port-forward": [str(KUBECTL), "port-forward", *TARGET],
        "kfwd": [sys.executable, "-m", "kfwd_nb.cli", "port-forward", "--verbose", *TARGET],
    }
    with contextlib.ExitStack() as stack:
        ways = {
            name: stack.enter_context(forwarding(command, {"KUBECONFIG": str(kubeconfig)}))
            for name, command in commands.items()
        }
        ports = {name: way.port for name, way in ways.items()}
        callers, deleted = under_load(kubeconfig, ports, ("-l", "app=api"), AFTER)
        outputs = {name: way.said() for name, way in ways.items()}
    return [_way(name, callers[name].asked, deleted, said) for name, said in outputs.items()]


def _way(name: str, asked: Sequence[Asked], deleted: float, said: str) -> Way:
    ends = re.findall(r"error: .*", said)
    return Way(
        command=f"{name} {' '.join(TARGET)}",
        asked=sorted(each._replace(at=each.at - deleted) for each in asked),
        said=ends[-1] if ends else "",
        held=said.count("waits for a pod"),
    )


# -- the picture --------------------------------------------------------------------------------


def picture(ways: Sequence[Way]) -> str:
    """Two panels side by side, on one scale."""
    slowest = max(each.seconds for way in ways for each in way.asked if each.pod)
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" role="img">',
        "<title>All pods are deleted under load: kubectl ends, kfwd goes on</title>",
        f"<style>{STYLE}</style>",
        f'<rect class="ground" x="0.5" y="0.5" width="{WIDTH - 1}" height="{HEIGHT - 1}" rx="8"/>',
    ]
    for index, way in enumerate(ways):
        parts += _panel(way, LEFT + index * (PANEL + LEFT), slowest)
    return "\n".join([*parts, "</svg>", ""])


def _panel(way: Way, left: float, slowest: float) -> list[str]:
    answered = [each for each in way.asked if each.pod]
    bottom = TOP + PLOT
    begin, end = way.asked[0].at, way.asked[-1].at
    scale = PANEL / (end - begin)

    def x(at: float) -> float:
        return left + (at - begin) * scale

    def y(seconds: float) -> float:
        return bottom - 8 - (PLOT - 24) * min(seconds, slowest) / slowest

    parts = [
        f'<text class="name" x="{left}" y="34">{escape(way.command)}</text>',
        f'<path class="axis" d="M{left} {bottom}H{left + PANEL}M{left} {bottom}V{TOP}"/>',
        f'<path class="deleted" d="M{x(0):.1f} {bottom}V{TOP - 14}"/>',
        _note(x(0) + 6, TOP - 5, "all pods are deleted"),
        _note(left + PANEL, bottom + 20, f"{end:.0f} s after", at_end=True),
        _note(left, bottom + 20, f"{-begin:.0f} s before"),
        _note(left - 6, y(slowest) + 4, f"{slowest:.2f} s", at_end=True),
        _note(left - 6, bottom - 4, "0", at_end=True),
    ]
    for each in answered:
        kind = f"pod{min(way.pods.index(each.pod), 2)}"
        parts.append(
            f'<circle class="{kind}" cx="{x(each.at):.1f}" cy="{y(each.seconds):.1f}" r="2.6"/>'
        )
    for each in way.lost:
        at = x(each.at)
        parts.append(f'<path class="lost" d="M{at - 3:.1f} {bottom - 14}l6 6m0 -6l-6 6"/>')
    return parts + _words(way, left)


def _note(x: float, y: float, text: str, *, at_end: bool = False) -> str:
    anchor = ' text-anchor="end"' if at_end else ""
    return f'<text class="small" x="{x:.1f}" y="{y:.1f}"{anchor}>{text}</text>'


def _words(way: Way, left: float) -> list[str]:
    """What it means, below."""
    first, *others = way.pods
    after = sum(each.at > 0 for each in way.asked)
    means = f"{after} requests after that: {len(way.lost)} not answered"
    follows = "followed by no other"
    if others:
        refused = len(way.lost) or "none"
        means = f"{after} requests after that: {refused} refused, {way.held} held"
        follows = "followed after " + ", ".join(
            f'{way.followed(pod):.2f} s by <tspan class="pod{min(number, 2)}">● </tspan>'
            f"{pod.rpartition('-')[2]}"
            for number, pod in enumerate(others, 1)
        )
    good = "" if way.lost else " good"
    said = f'<text class="said" x="{left}" y="60">{escape(way.said)}</text>' if way.said else ""
    dot = '<tspan class="pod0">● </tspan>'
    return [
        said,
        f'<text class="{good}" x="{left}" y="{TOP + PLOT + 50}">{means}</text>',
        f'<text class="small" x="{left}" y="{TOP + PLOT + 76}">{dot}{first}, {follows}</text>',
    ]


def main() -> None:
    """Run, and draw."""
    with MiniCluster() as cluster:
        ways = run(cluster.kubeconfig)
    PICTURE.write_text(picture(ways))
    for way in ways:
        print(f"{way.command}: {len(way.lost)} of {len(way.asked)} requests lost {way.said}")
    print(f"{PICTURE} is drawn anew")


if __name__ == "__main__":
    main()
