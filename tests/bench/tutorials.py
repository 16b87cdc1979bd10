"""How long the notebooks take, from top to bottom, one after the other."""

from __future__ import annotations

import json
import os
import subprocess
import sys

from paths import HERE, KUBECTL

NOTEBOOKS = HERE.parents[1] / "notebooks"
EXECUTE = HERE.parent / "notebook" / "execute.py"

ALLOWED = 360
"""Seconds that all of them together may take."""


def tutorials() -> None:
    """One row for each."""
    path = f"{KUBECTL.parent}{os.pathsep}{os.environ['PATH']}"
    total = 0.0
    print("\n| notebook | seconds |\n|---|---|")
    for notebook in sorted(NOTEBOOKS.glob("*.ipynb")):
        done = subprocess.run(
            [sys.executable, EXECUTE, notebook],
            env=os.environ | {"PATH": path},
            stdout=subprocess.PIPE,
            check=True,
        )
        seconds = json.loads(done.stdout)["seconds"]
        total += seconds
        print(f"| {notebook.stem} | {seconds:.1f} |", flush=True)
    print(f"| all (at most {ALLOWED}) | {total:.1f} |", flush=True)
