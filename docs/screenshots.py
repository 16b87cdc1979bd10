"""Takes the pictures of a notebook anew: `python docs/screenshots.py [NAME...]`.

Each is of a real JupyterLab in a real browser, with a cluster and traffic of its own. Take them
when what they show has changed, and look at them before you commit them.
"""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
sys.path[:0] = [str(ROOT / "tests" / "browser"), str(ROOT / "tests"), str(ROOT)]

import nbformat
from conftest import Lab
from peers.jupyter_server import browser

PICTURES = ROOT / "docs" / "pictures"
NOTEBOOKS = ROOT / "notebooks"
RECORDED = NOTEBOOKS / "recorded"

WIDTH, HEIGHT, SCALE = 1330, 1700, 1.5

STILL = """
.jp-InputPrompt, .jp-OutputPrompt { opacity: .55 }
.jp-Notebook-footer, .jp-Collapser, .jp-cell-toolbar { display: none !important }
"""
"""What a person has on the screen, and a reader of the picture need not see."""

UP = "%load_ext kfwd_nb\n%kfwd up"

BEGIN_DOWNLOAD = """\
import socket
reader = socket.create_connection(("127.0.0.1", 8888))
reader.sendall(b"GET /bytes/900000000 HTTP/1.1\\r\\nHost: web\\r\\n\\r\\n")"""

READ_SLOWLY = """
import threading
def read():
    while reader.recv(400_000):
        threading.Event().wait(0.02)
threading.Thread(target=read, daemon=True).start()"""

ASK = """\
import threading, time, urllib.request
def ask(url, pause):
    while True:
        urllib.request.urlopen(url).read()
        time.sleep(pause)
for each in (("http://127.0.0.1:8888/bytes/300000", 0.08), ("http://127.0.0.1:8080/", 0.2)):
    threading.Thread(target=ask, args=each, daemon=True).start()"""


def first_forward(lab: Lab) -> None:
    """Load, up, forward, a page; the table with a connection that moves."""
    notebook = lab.open(
        "%load_ext kfwd_nb",
        "%kfwd up",
        "web = %portforward web 8888:80",
        "import urllib.request\n\nprint(urllib.request.urlopen(web.url()).read().decode())",
        BEGIN_DOWNLOAD + READ_SLOWLY,
        "for size in (40000, 80000, 120000):\n"
        "    urllib.request.urlopen(web.url('http', f'/bytes/{size}')).read()",
        width=WIDTH,
        height=HEIGHT,
    )
    run(notebook)
    notebook.page.locator('.jp-OutputArea .kfwd [data-forward="web"] .count').first.click()
    take(notebook, "first-forward", 0, 3, seconds=20)


def table(lab: Lab) -> None:
    """Notebook 1: a forward's table, with its row open."""
    notebook = lab.open(
        f"{UP}\nimport socket, urllib.request",
        "web = %portforward web :80",
        "for size in (40000, 800000):\n"
        "    urllib.request.urlopen(web.url('http', f'/bytes/{size}')).read()\n"
        "open_one = socket.create_connection(('127.0.0.1', web.local_port))",
        width=WIDTH,
        height=HEIGHT,
    )
    run(notebook)
    output = notebook.page.locator(".jp-CodeCell").nth(1).locator(".jp-OutputArea-output").last
    output.locator('[data-forward="web"] .count').first.click()
    notebook.page.wait_for_timeout(3000)
    cut_out(output, RECORDED / "01-table.png")


def hops(lab: Lab) -> None:
    """A download whose reader does not read."""
    cells = (UP, "%portforward web 8888:80", "%portforward --hops web", BEGIN_DOWNLOAD)
    notebook = lab.open(*cells, width=WIDTH, height=HEIGHT)
    run(notebook)
    take(notebook, "hops", 2, 2, seconds=6)


def play(lab: Lab) -> None:
    """A request, at the step at which the node agent connects the pod's port."""
    cells = (
        f"{UP}\nimport urllib.request",
        "fwd = %portforward web :80",
        "with fwd.trace() as trace:\n    urllib.request.urlopen(fwd.url()).read()\ntrace.play()",
    )
    notebook = lab.open(*cells, width=WIDTH, height=HEIGHT)
    run(notebook)
    after = notebook.page.locator(".jp-OutputArea button", has_text="next").first
    for _ in range(2):
        after.click()
        notebook.page.wait_for_timeout(1500)
    take(notebook, "play", 2, 2, seconds=2)


def dashboard(lab: Lab) -> None:
    """Three forwards, two of them with traffic."""
    forwards = ("web 8888:80", "svc/api 8080:80 --balance", "db 5433:5432")
    cells = (
        UP,
        "\n".join(f"%portforward {each}" for each in forwards),
        "import kfwd_nb\n\nkfwd_nb.Dashboard()",
        ASK,
    )
    notebook = lab.open(*cells, width=1560, height=HEIGHT)
    run(notebook)
    take(notebook, "dashboard", 2, 2, seconds=70)


def own_dashboard(lab: Lab) -> None:
    """The board at the end of notebook 4, with the pod picked."""
    cells = list(code_of("04-build-your-own-dashboard").values())
    (board,) = [number for number, each in enumerate(cells) if each.endswith("\nboard")]
    notebook = lab.open(*cells[:-1], width=1300, height=5000)
    run(notebook)
    output = notebook.page.locator(".jp-CodeCell").nth(board).locator(".jp-OutputArea-output")
    output.get_by_text("pod/web", exact=True).click()
    notebook.page.wait_for_timeout(25_000)
    notebook.page.mouse.move(2, 2)
    output.screenshot(path=RECORDED / "04-dashboard.png")


def by_hand(lab: Lab) -> None:
    """Notebook 2: the step at which the byte reaches the pod, and a way that stands still."""
    sources = code_of("02-how-port-forward-works")
    names = list(sources)[: list(sources).index("stall") + 1]
    notebook = lab.open(*(sources[name] for name in names), width=WIDTH, height=5000)
    run(notebook)
    outputs = notebook.page.locator(".jp-CodeCell")
    play = outputs.nth(names.index("play")).locator(".jp-OutputArea-output").last
    while not play.get_by_text("node agent passes on").first.is_visible():
        play.locator("button", has_text="next").click()
        notebook.page.wait_for_timeout(1500)
    cut_out(play, RECORDED / "02-play.png")
    hops = outputs.nth(names.index("hops")).locator(".jp-OutputArea-output").last
    hops.get_by_text("stands still").first.wait_for()
    cut_out(hops, RECORDED / "02-hops.png")


def code_of(name: str) -> dict[str, str]:
    """The code cells of a notebook, by their ids."""
    read = nbformat.read(NOTEBOOKS / f"{name}.ipynb", as_version=4)
    return {each.id: each.source for each in read.cells if each.cell_type == "code"}


def run(notebook: Any) -> None:
    """Run all cells, and hide what does not belong into a picture."""
    notebook.run_all()
    notebook.page.add_style_tag(content=STILL)


def take(notebook: Any, name: str, first: int, last: int, *, seconds: float) -> None:
    """Take the cells from `first` to `last`, after so many seconds."""
    page = notebook.page
    page.wait_for_timeout(seconds * 1000)
    page.evaluate("document.activeElement.blur()")
    page.mouse.move(2, 2)
    cells = page.locator(".jp-CodeCell")
    top, bottom = cells.nth(first).bounding_box(), cells.nth(last).bounding_box()
    page.screenshot(
        path=PICTURES / f"{name}.png",
        clip={
            "x": top["x"],
            "y": top["y"] - 4,
            "width": top["width"],
            "height": bottom["y"] + bottom["height"] - top["y"] + 8,
        },
    )


def cut_out(output: Any, path: Path) -> None:
    """Take one output, with a margin."""
    output.page.mouse.move(2, 2)
    box = output.bounding_box()
    output.page.screenshot(
        path=path,
        clip={
            "x": box["x"] - 8,
            "y": box["y"] - 5,
            "width": box["width"] + 16,
            "height": box["height"] + 10,
        },
    )


class Sharp:
    """A browser whose pages have more pixels."""

    def __init__(self, chrome: Any) -> None:
        self._chrome = chrome

    def new_context(self, **options: Any) -> Any:
        """As the browser's own."""
        return self._chrome.new_context(device_scale_factor=SCALE, **options)


TAKERS: dict[str, Callable[[Lab], None]] = {
    "first-forward": first_forward,
    "table": table,
    "hops": hops,
    "play": play,
    "dashboard": dashboard,
    "own-dashboard": own_dashboard,
    "by-hand": by_hand,
}


def main() -> None:
    """Take those that are named, or all; each in a JupyterLab of its own."""
    for name in sys.argv[1:] or TAKERS:
        with tempfile.TemporaryDirectory() as folder, browser() as chrome:
            lab = Lab(Path(folder), Sharp(chrome))
            with lab.server:
                TAKERS[name](lab)


if __name__ == "__main__":
    main()
