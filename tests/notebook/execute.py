"""Run a notebook in a real kernel, as whoever starts this, and print what its cells have said.

    execute.py NOTEBOOK            one JSON object on stdout: seconds, cells
    execute.py NOTEBOOK --record   and write what its `%%recorded` cells have said, as root

It imports nothing of the tests, so that it can be copied to where another user may read it.
"""

from __future__ import annotations

import base64
import json
import os
import platform
import shlex
import sys
import tempfile
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import nbformat
from jupyter_client import AsyncKernelManager
from jupyter_client.kernelspec import KernelSpecManager
from nbclient import NotebookClient

CELL_LIMIT = 60

RECORDING = "a recording: this cell needs"
"""How it begins, where a cell is not live."""


def said(cell: Any) -> str:
    """All of a cell's outputs as text."""
    texts = []
    for output in cell.outputs:
        if output.output_type == "stream":
            texts.append(output.text)
        elif output.output_type == "error":
            texts.append("\n".join(output.traceback) + "\n")
        else:
            texts.append(output.data.get("text/plain", "") + "\n")
    return "".join(texts)


def run(path: Path) -> tuple[Any, float]:
    """The executed notebook, and the seconds that it took."""
    notebook = nbformat.read(path, as_version=4)
    specs = KernelSpecManager()
    specs.kernel_dirs = []
    with tempfile.TemporaryDirectory() as folder:
        client = NotebookClient(
            notebook,
            km=AsyncKernelManager(
                kernel_spec_manager=specs,
                transport="ipc",
                connection_file=f"{folder}/kernel.json",
            ),
            timeout=CELL_LIMIT,
            resources={"metadata": {"path": str(path.parent)}},
        )
        begun = time.monotonic()
        client.execute()
        return notebook, time.monotonic() - begun


def recorded_file(source: str) -> str | None:
    """The file of a `%%recorded` cell."""
    first, _, _ = source.partition("\n")
    return shlex.split(first)[1] if first.startswith("%%recorded ") else None


def record(path: Path, notebook: Any) -> None:
    """Write the recordings beside the notebook, and its picture, if it has one there."""
    if os.geteuid() != 0:
        raise SystemExit("recordings are made as root.")
    folder = path.with_name("recorded")
    picture = folder / f"{path.stem}.png"
    system = platform.freedesktop_os_release().get("PRETTY_NAME", "Linux")
    where = f"recorded as root on {system}, {datetime.now(UTC):%Y-%m-%d}"
    for cell in notebook.cells:
        if cell.cell_type != "code":
            continue
        if (name := recorded_file(cell.source)) is not None:
            text = said(cell).replace("\r", "")  # of a terminal
            if RECORDING in text:
                raise SystemExit(f"{name} would be the recording of a recording: {text}")
            (folder / name).write_text(f"{where}\n{text}")
        for output in cell.outputs:
            png = output.get("data", {}).get("image/png")
            if png is not None and picture.exists():
                picture.write_bytes(base64.b64decode(png))


def main() -> None:
    path = Path(sys.argv[1]).resolve()
    notebook, seconds = run(path)
    if "--record" in sys.argv:
        record(path, notebook)
    cells = [
        {
            "id": cell.id,
            "source": cell.source,
            "fails": "raises-exception" in cell.metadata.get("tags", []),
            "failed": any(output.output_type == "error" for output in cell.outputs),
            "said": said(cell),
        }
        for cell in notebook.cells
        if cell.cell_type == "code"
    ]
    json.dump({"seconds": seconds, "cells": cells}, sys.stdout)


if __name__ == "__main__":
    main()
