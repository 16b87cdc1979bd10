"""JupyterLab in a real browser: a server, a page, and a notebook that is run in it."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import nbformat
import pytest
from jupyter_client import BlockingKernelClient
from peers.jupyter_server import JupyterServer, browser, run

FAKES = Path(__file__).parents[1] / "notebook"
"""Where `fake_client` is: forwards that are moved by hand."""

QUIET = {
    "notification": {"fetchNews": "false", "checkForUpdates": False},
    "themes": {"theme": "JupyterLab Light"},
}
"""Settings of `@jupyterlab/apputils-extension` that keep its pages still."""


PICTURES = Path(__file__).parents[2] / "artifacts/screenshots"
"""Where the pictures are kept that a person may want to look at."""

CONTRAST = Path(__file__).parent / "contrast.js"


class Lab:
    """A JupyterLab of its own, and one browser."""

    def __init__(self, folder: Path, chrome: Any) -> None:
        self._settings = folder / "config/lab/user-settings/@jupyterlab/apputils-extension"
        self._settings.mkdir(parents=True)
        self.set(QUIET)
        self.server = JupyterServer(folder, program="lab")
        self.chrome = chrome
        self._made = 0

    def set(self, settings: dict[str, Any]) -> None:
        """Change settings, for the pages that are opened from now on."""
        for name, value in settings.items():
            (self._settings / f"{name}.jupyterlab-settings").write_text(json.dumps(value))

    def open(self, *cells: str, width: int = 1300, height: int = 900) -> Notebook:
        """A new notebook in a page of its own; nothing in it has run yet."""
        self._made += 1
        name = f"{self._made}.ipynb"
        notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(c) for c in cells])
        notebook.metadata["kernelspec"] = {"name": "python3", "display_name": "", "language": ""}
        nbformat.write(notebook, self.server.root / name)
        context = self.chrome.new_context(
            viewport={"width": width, "height": height},
            permissions=["clipboard-read", "clipboard-write"],
        )
        page = context.new_page()
        page.set_default_timeout(60_000)
        opened = Notebook(self, page, name, len(cells))
        page.on("pageerror", lambda error: opened.errors.append(str(error)))
        opened.load()
        return opened


@dataclass
class Notebook:
    """One notebook, as a person has it on the screen.

    Attributes:
        errors: what scripts of the page have failed with.
    """

    lab: Lab
    page: Any
    name: str
    cells: int
    errors: list[str] = field(default_factory=list)

    def load(self) -> None:
        """Open the page, or open it again."""
        url = f"{self.lab.server.url}lab/tree/{self.name}?reset&token={self.lab.server.token}"
        self.page.goto(url)
        self.page.locator(".jp-Notebook .jp-CodeCell").first.wait_for()

    def run_all(self) -> None:
        """Run each cell by Shift and Enter, and wait for the end of the last one."""
        self.page.locator("#jp-main-statusbar", has_text="| Idle").wait_for()
        self.page.locator(".jp-CodeCell .cm-content").first.click()
        for _ in range(self.cells):
            self.page.keyboard.press("Shift+Enter")
        prompt = self.page.locator(".jp-CodeCell").nth(self.cells - 1)
        prompt.locator(".jp-InputPrompt", has_text=f"[{self.cells}]:").wait_for()

    def run(self, number: int) -> None:
        """Run one cell, and do not wait for its end."""
        self.page.locator("#jp-main-statusbar", has_text="| Idle").wait_for()
        self.page.locator(".jp-CodeCell .cm-content").nth(number).click()
        self.page.keyboard.press("Control+Enter")

    def ran(self, number: int) -> None:
        """Wait for the end of a cell."""
        self._prompt(number, r"\[\d+\]:")

    def runs(self, number: int) -> None:
        """Wait until a cell is running."""
        self._prompt(number, r"\[\*\]:")

    def _prompt(self, number: int, pattern: str) -> None:
        cell = self.page.locator(".jp-CodeCell").nth(number)
        cell.locator(".jp-InputPrompt", has_text=re.compile(pattern)).wait_for()

    def kernel(self) -> BlockingKernelClient:
        """Another client of its kernel, which the page knows nothing of."""
        sessions = json.loads(self.lab.server.get("api/sessions").body)
        (kernel,) = [each["kernel"]["id"] for each in sessions if each["path"] == self.name]
        return self.lab.server.connect(kernel)

    def save(self) -> None:
        """Save it by Ctrl and S; returns when the file has outputs."""
        path = self.lab.server.root / self.name
        before = path.stat().st_mtime_ns
        self.page.keyboard.press("Control+s")
        until(self.page, lambda: path.stat().st_mtime_ns > before)

    def picture(self, name: str) -> None:
        """Keep a picture of the page."""
        PICTURES.mkdir(parents=True, exist_ok=True)
        self.page.screenshot(path=PICTURES / f"{name}.png")

    def themed(self, theme: str) -> None:
        """Load the page in `JupyterLab Light` or `JupyterLab Dark`."""
        self.lab.set({"themes": {"theme": theme}})
        self.load()
        light = "true" if theme.endswith("Light") else "false"
        self.page.locator(f'body[data-jp-theme-light="{light}"]').wait_for(state="attached")

    def texts(self) -> list[Any]:
        """(contrast, class, text) of what tables and dashboards show, the worst first."""
        found: list[Any] = self.page.evaluate(CONTRAST.read_text())
        return found

    def shut_down(self) -> None:
        """End its kernel for good."""
        sessions = json.loads(self.lab.server.get("api/sessions").body)
        for each in sessions:
            if each["path"] == self.name:
                assert self.lab.server.request("DELETE", f"api/sessions/{each['id']}").status == 204


def until(page: Any, condition: Callable[[], bool], seconds: float = 30) -> None:
    """Wait for a condition, while the page goes on."""
    for _ in range(int(seconds * 20)):
        if condition():
            return
        page.wait_for_timeout(50)
    raise AssertionError("it did not come true")


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lab]:
    """A JupyterLab with a browser."""
    with browser() as chrome:
        made = Lab(tmp_path_factory.mktemp("lab"), chrome)
        with made.server:
            yield made


@pytest.fixture(scope="session")
def moved_by_hand() -> str:
    """A first cell: forwards come from `fake_client`."""
    return (
        f"import sys; sys.path.insert(0, {str(FAKES)!r}); import fake_client\n"
        "fake_client.install()\n%load_ext kfwd_nb"
    )


@pytest.fixture(scope="session")
def run_elsewhere() -> Callable[..., str]:
    """Execute code in a kernel, by another client than the page."""
    return run
