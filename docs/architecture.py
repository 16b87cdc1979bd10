"""Draws `docs/pictures/floors.svg`: which floor imports which, read from the code.

    python docs/architecture.py

The floors and their order come from `pyproject.toml` (import-linter checks them), the imports from
the code itself. A mark in a row says that the floor of the row imports the floor of the column; all
marks are right of the stairs, for a floor imports only from below. `tests/docs` compares this with
the picture that is committed.
"""

from __future__ import annotations

import tomllib
from html import escape
from pathlib import Path

import grimp

ROOT = Path(__file__).parents[1]
PICTURE = ROOT / "docs" / "pictures" / "floors.svg"
PACKAGE = "kfwd_nb"

ROLES = {
    "notebook": "magics, tables, dashboard",
    "cli": "the command kfwd",
    "adapters": "httpx, requests",
    "cluster": "the embedded cluster",
    "client": "kubectl's role",
    "relay": "the API server's role",
    "agent": "the kubelet's role",
    "kube": "kubeconfig, objects, targets",
    "transport": "sockets, TLS, the pump",
    "protocol": "wire formats, sans-I/O",
    "ports": "what a person types",
    "errors": "one error tree",
}

ROW, LEFT, CELL, TOP = 34, 330, 62, 74

STYLE = """
  .ground { fill: #ffffff; stroke: #c9d1d9 }
  .floor { fill: #eef3fb; stroke: #8aa4cf }
  .own { fill: #8aa4cf }
  .mark { fill: #2456a6 }
  text { font: 14px system-ui, sans-serif; fill: #1b2430 }
  .name { font-weight: 600 }
  .role, .note { fill: #57606a; font-size: 12px }
"""


def floors() -> list[list[str]]:
    """High to low; those of one list are strangers to each other."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    contracts = project["tool"]["importlinter"]["contracts"]
    (layers,) = (each["layers"] for each in contracts if each["type"] == "layers")
    return [[name.strip().removeprefix(f"{PACKAGE}.") for name in row.split("|")] for row in layers]


def imports(names: list[str]) -> set[tuple[str, str]]:
    """Pairs of floors: the first imports the second."""
    graph = grimp.build_graph(PACKAGE, cache_dir=None)
    found = set()
    for module in graph.modules:
        for imported in graph.find_modules_directly_imported_by(module):
            pair = _floor(module), _floor(imported)
            if pair[0] != pair[1] and set(pair) <= set(names):
                found.add(pair)
    return found


def _floor(module: str) -> str:
    return [*module.split("."), ""][1]


def picture() -> str:
    """The SVG, the same for the same code."""
    rows = floors()
    names = [name for row in rows for name in row]
    height, width = TOP + ROW * len(names) + 44, LEFT + CELL * len(names) + 12
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" role="img">',
        "<title>Which floor of kfwd_nb imports which</title>",
        f"<style>{STYLE}</style>",
        f'<rect class="ground" x="0.5" y="0.5" width="{width - 1}" height="{height - 1}" rx="8"/>',
        '<text x="16" y="30" class="name">a floor …</text>',
        f'<text x="{LEFT}" y="30" class="name">… imports these</text>',
    ]
    for column, name in enumerate(names):
        x = LEFT + CELL * column + CELL / 2
        parts.append(
            f'<text class="note" x="{x:g}" y="{TOP - 10}" text-anchor="middle">{name}</text>'
        )
    parts += _rows(rows, names, width)
    note = "Floors between two lines are strangers to each other: none imports another."
    parts.append(f'<text class="note" x="16" y="{height - 18}">{escape(note)}</text>')
    return "\n".join([*parts, "</svg>", ""])


def _rows(rows: list[list[str]], names: list[str], width: int) -> list[str]:
    known = imports(names)
    parts, line = [], 0
    for row in rows:
        y = TOP + ROW * line
        parts.append(f'<path d="M8 {y}H{width - 8}" class="ground"/>')
        for name in row:
            parts += _row(name, names, known, line)
            line += 1
    return parts


def _row(name: str, names: list[str], known: set[tuple[str, str]], line: int) -> list[str]:
    x, y = LEFT + CELL * names.index(name) + 8, TOP + ROW * line
    parts = [
        f'<rect class="floor" x="12" y="{y + 3}" width="{LEFT - 24}" height="{ROW - 6}" rx="5"/>',
        f'<text class="name" x="24" y="{y + 22}">{escape(name)}</text>',
        f'<text class="role" x="112" y="{y + 22}">{escape(ROLES[name])}</text>',
        f'<rect class="own" x="{x}" y="{y + 13}" width="{CELL - 16}" height="8" rx="4"/>',
    ]
    parts += [
        f'<circle class="mark" cx="{LEFT + CELL * column + CELL // 2}" cy="{y + 17}" r="6"/>'
        for column, other in enumerate(names)
        if (name, other) in known
    ]
    return parts


if __name__ == "__main__":
    PICTURE.write_text(picture())
