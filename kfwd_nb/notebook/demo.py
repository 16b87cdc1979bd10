"""`python -m kfwd_nb.notebook.demo`: the first five minutes, in a real kernel, printed.

A kernel is started as a frontend starts one, cell after cell is executed in it, and each is shown
with its outputs as text; what is updated in place is shown in its last state. The first cell that
fails ends the demo with exit status 1. Whatever happens, kernel and cluster are gone at the end.
"""

from __future__ import annotations

import importlib.util
import os
import signal
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from queue import Empty
from textwrap import dedent, indent
from typing import Any

START_LIMIT = 60.0
"""Seconds until the kernel answers."""

CELL_LIMIT = 180.0
"""Seconds that one cell may take; the first start of PostgreSQL is in one of them."""

SETTLE = 0.6
"""Seconds after a cell in which its outputs may still change: two updates of a live table."""

CELLS = (
    "%load_ext kfwd_nb",
    "%kfwd up",
    "web = %portforward web :80",
    """\
    import urllib.request

    # An ordinary call, which blocks the kernel: the forward works all the same.
    print(urllib.request.urlopen(web.url()).read().decode())""",
    "%kfwd services",
)

LINUX_CELLS = ("%kfwd nsenter web -- cat /proc/net/dev",)
"""For a system that has /proc."""

DATABASE_CELLS = (
    "db = %portforward db :5432",
    """\
    import psycopg

    with psycopg.connect(f"postgresql://postgres@127.0.0.1:{db.local_port}/postgres") as postgres:
        print(*postgres.execute("select version()").fetchone())""",
)
"""For a machine that has PostgreSQL and psycopg."""

LAST_CELLS = ("%portforward", "%kfwd down")


class Notebook:
    """Cells and their outputs, as a frontend keeps them.

    Args:
        client: of a kernel that is ready.
    """

    def __init__(self, client: Any) -> None:
        self._client = client
        self._outputs: list[str] = []
        self._displays: dict[str, int] = {}

    def run(self, code: str) -> tuple[bool, list[str]]:
        """Execute a cell; whether it succeeded, and its outputs as text."""
        self._outputs, self._displays = [], {}
        reply = self._client.execute_interactive(
            code, allow_stdin=False, timeout=CELL_LIMIT, output_hook=self._hear
        )
        request = reply["parent_header"]["msg_id"]
        settled = time.monotonic() + SETTLE
        while (left := settled - time.monotonic()) > 0:
            try:
                message = self._client.get_iopub_msg(timeout=left)
            except Empty:
                break
            if message["parent_header"].get("msg_id") == request:
                self._hear(message)
        return reply["content"]["status"] == "ok", self._outputs

    def _hear(self, message: dict[str, Any]) -> None:
        kind, content = message["msg_type"], message["content"]
        if kind == "stream":
            self._outputs.append(content["text"].rstrip("\n"))
        elif kind == "error":
            self._outputs.append("\n".join(content["traceback"]))
        elif kind in ("display_data", "execute_result", "update_display_data"):
            display = content.get("transient", {}).get("display_id")
            if display in self._displays or kind != "update_display_data":  # else another cell's
                self._show(content["data"]["text/plain"], display)

    def _show(self, text: str, display: str | None) -> None:
        if display in self._displays:
            self._outputs[self._displays[display]] = text
            return
        if display is not None:
            self._displays[display] = len(self._outputs)
        self._outputs.append(text)


@contextmanager
def kernel() -> Iterator[Any]:
    """A client of a new kernel of this very interpreter, with folders of its own."""
    from jupyter_client.kernelspec import KernelSpecManager
    from jupyter_client.manager import KernelManager

    specs = KernelSpecManager()
    specs.kernel_dirs = []  # a kernel spec that is installed somewhere may mean another Python
    with tempfile.TemporaryDirectory(prefix="kfwd-demo-") as folder:
        file = str(Path(folder) / "kernel.json")
        transport = "ipc" if os.name == "posix" else "tcp"
        manager = KernelManager(
            kernel_spec_manager=specs, connection_file=file, transport=transport
        )
        manager.start_kernel(env={**os.environ, "IPYTHONDIR": folder})
        client = manager.client()
        try:
            client.start_channels()
            client.wait_for_ready(timeout=START_LIMIT)
            yield client
        finally:
            client.stop_channels()
            manager.shutdown_kernel()


def cells() -> list[str]:
    """What this machine can show."""
    from kfwd_nb.cluster.workload import has_postgres

    database = has_postgres() and importlib.util.find_spec("psycopg") is not None
    linux = LINUX_CELLS if sys.platform == "linux" else ()
    chosen = (*CELLS, *linux, *(DATABASE_CELLS if database else ()), *LAST_CELLS)
    return [dedent(cell) for cell in chosen]


def main() -> int:
    """Run the demo; the exit status."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # so that everything is cleaned up
    try:
        with kernel() as client:
            notebook = Notebook(client)
            for number, cell in enumerate(cells(), 1):
                prompt = f"In [{number}]: "
                print(prompt + indent(cell, " " * len(prompt)).lstrip(), flush=True)
                succeeded, outputs = notebook.run(cell)
                print("", *outputs, "", sep="\n", flush=True)
                if not succeeded:
                    print("the demo ends here, because this cell failed.", file=sys.stderr)
                    return 1
    except KeyboardInterrupt:
        return 130
    return 0


if __name__ == "__main__":
    sys.exit(main())
