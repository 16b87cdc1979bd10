"""JupyterLab in a real browser: a server, a page, notebooks."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import nbformat
import pytest
from peers.jupyter_server import JupyterServer, browser

PATIENCE = 60_000
"""Milliseconds that anything may take on a busy machine."""


class Lab:
    """One notebook, open in JupyterLab.

    Attributes:
        page: a `playwright.sync_api.Page`.
        errors: what the page has said to its console as an error.
    """

    def __init__(self, chrome: Any, server: JupyterServer, name: str) -> None:
        self.server = server
        self.errors: list[str] = []
        self._name = name
        self.page = chrome.new_page(viewport={"width": 1300, "height": 1400})
        self.page.set_default_timeout(PATIENCE)
        self.page.on("pageerror", lambda error: self.errors.append(str(error)))
        self.page.on("dialog", lambda dialog: dialog.accept())
        self.open()

    def open(self) -> None:
        self.page.goto(f"{self.server.url}lab/tree/{self._name}?token={self.server.token}")
        self.page.wait_for_selector(".jp-Notebook .jp-Cell")

    def run(self, number: int) -> None:
        """Run a cell, and do not wait for its end."""
        self.page.wait_for_selector("text=Python 3 (ipykernel) | Idle")
        self.page.locator(".jp-Cell .cm-content").nth(number).click()
        self.page.keyboard.press("Control+Enter")

    def ran(self, number: int) -> None:
        """Wait for the end of a cell."""
        prompt = self.page.locator(".jp-Cell .jp-InputPrompt").nth(number).element_handle()
        self.page.wait_for_function("prompt => /\\[\\d+\\]/.test(prompt.textContent)", arg=prompt)

    def running(self, number: int) -> bool:
        return "*" in self.page.locator(".jp-Cell .jp-InputPrompt").nth(number).inner_text()

    def save(self) -> None:
        """Save, and wait until the file is what the page shows."""
        self.page.click("text=File >> nth=0")
        self.page.click("text=Save Notebook >> nth=0")
        self.page.wait_for_selector(".jp-mod-dirty", state="detached")

    def shut_down(self) -> None:
        """End the kernel by the menu."""
        self.page.click("text=Kernel >> nth=0")
        self.page.click("text=Shut Down Kernel >> nth=0")
        self.page.wait_for_selector("text=No Kernel >> nth=0")

    def outputs(self, number: int) -> str:
        return str(self.page.locator(".jp-Cell").nth(number).locator(".jp-OutputArea").inner_text())


@pytest.fixture(scope="session")
def lab_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[JupyterServer]:
    folder = tmp_path_factory.mktemp("lab")
    settings = folder / "config" / "lab" / "user-settings" / "@jupyterlab" / "apputils-extension"
    settings.mkdir(parents=True)
    (settings / "notification.jupyterlab-settings").write_text(json.dumps({"fetchNews": "false"}))
    env = {"PYTHONPATH": os.environ.get("PYTHONPATH", "")}
    with JupyterServer(folder, program="lab", base_url="/", env=env) as server:
        yield server


@pytest.fixture(scope="session")
def chrome() -> Iterator[Any]:
    with browser() as running:
        yield running


@pytest.fixture
def open_lab(
    lab_server: JupyterServer, chrome: Any, request: pytest.FixtureRequest
) -> Iterator[Callable[..., Lab]]:
    opened: list[Lab] = []

    def open_notebook(*cells: str) -> Lab:
        notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(c) for c in cells])
        notebook.metadata.kernelspec = {"name": "python3", "display_name": "Python 3 (ipykernel)"}
        name = f"{request.node.name}-{len(opened)}.ipynb".replace("[", "-").replace("]", "")
        nbformat.write(notebook, Path(lab_server.root) / name)
        opened.append(Lab(chrome, lab_server, name))
        return opened[-1]

    yield open_notebook
    for lab in opened:
        lab.page.close()
    kernels = json.loads(lab_server.get("api/kernels").body)
    for each in kernels:
        lab_server.request("DELETE", f"api/kernels/{each['id']}")
