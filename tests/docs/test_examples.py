"""What the pages tell people to type works as it stands there, in a real kernel."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from kfwd_nb.notebook import demo

pytestmark = [pytest.mark.docs, pytest.mark.notebook]

ROOT = Path(__file__).parents[2]

PRELUDE = (
    "%load_ext kfwd_nb\n%kfwd up\nimport urllib.request\nfwd = %portforward web :80 --name web"
)


@pytest.fixture
def kernel() -> Iterator[Any]:
    with demo.kernel() as client:
        yield client


def blocks(page: str, language: str) -> list[str]:
    """Code of a page, in that language."""
    return re.findall(
        rf"^```{language}\n(.*?)^```", (ROOT / page).read_text(), re.DOTALL | re.MULTILINE
    )


def run(client: Any, code: str) -> str:
    """Execute a cell that must not fail; all that it showed as text."""
    shown: list[str] = []

    def take(message: dict[str, Any]) -> None:
        content = message["content"]
        shown.append(content.get("text") or content.get("data", {}).get("text/plain", ""))

    reply = client.execute_interactive(code, timeout=100, output_hook=take)["content"]
    assert reply["status"] == "ok", code + "\n" + "\n".join(reply["traceback"])
    return "\n".join(shown)


def test_the_ten_lines_of_the_readme(kernel: Any) -> None:
    (code,) = blocks("README.md", "python")
    assert len([line for line in code.splitlines() if line]) <= 10
    shown = run(kernel, code)
    for each in ("is ready after", "Hello from pod web", "listening", "stopped"):
        assert each in shown


def test_the_first_five_minutes(kernel: Any) -> None:
    for code in blocks("docs/start.md", "ipython3"):
        run(kernel, code)


@pytest.mark.parametrize("page", ["docs/look.md", "docs/notebook.md", "docs/settings.md"])
def test_the_lines_of_a_page(kernel: Any, page: str) -> None:
    run(kernel, PRELUDE)
    for code in blocks(page, "ipython3"):
        if "Kfwd.namespace" not in code:  # there is no namespace `ml` here
            run(kernel, code)
    run(kernel, "%portforward --stop all\n%kfwd down")


def test_the_python_of_the_api_page(kernel: Any) -> None:
    first, sockets, clients = blocks("docs/api.md", "python")
    run(kernel, first)
    run(kernel, PRELUDE + "\nfrom kfwd_nb import forward")
    run(kernel, sockets)
    run(kernel, clients)
