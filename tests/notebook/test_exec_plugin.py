"""What an exec plugin says appears in the cell that waits for it, and Interrupt ends the wait."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from typing import Any

import psutil
import pytest

pytestmark = pytest.mark.notebook

URL = "https://login.example/?code=1&x=2"
"""What the plugin asks a person to open."""

SLEEPER = "import sys, time; print(sys.argv[1], file=sys.stderr, flush=True); time.sleep(600)"
FAILURE = "import sys; print('no\\x1b[31m luck', file=sys.stderr); sys.exit(3)"


@pytest.fixture(scope="module")
def kernel(new_kernel: Callable[..., Any], tmp_path_factory: pytest.TempPathFactory) -> Any:
    """A kernel whose kubeconfig names a server that nobody asks: credentials come first."""
    folder = tmp_path_factory.mktemp("kube")
    plugins = {"sleeper": SLEEPER, "failure": FAILURE}
    path = folder / "config"
    path.write_text(json.dumps(kubeconfig(plugins)))
    kernel = new_kernel(KUBECONFIG=str(path), HOME=str(folder))
    kernel.ok("%load_ext kfwd_nb")
    return kernel


def kubeconfig(plugins: dict[str, str]) -> dict[str, Any]:
    def user(code: str) -> dict[str, Any]:
        plugin = {
            "apiVersion": "client.authentication.k8s.io/v1",
            "command": sys.executable,
            "args": ["-c", code, URL],
            "interactiveMode": "Never",
        }
        return {"exec": plugin}

    return {
        "apiVersion": "v1",
        "kind": "Config",
        "current-context": "sleeper",
        "clusters": [{"name": "c", "cluster": {"server": "https://127.0.0.1:1"}}],
        "users": [{"name": name, "user": user(code)} for name, code in plugins.items()],
        "contexts": [{"name": name, "context": {"cluster": "c", "user": name}} for name in plugins],
    }


def says_url(message: dict[str, Any]) -> bool:
    return "login.example" in message["content"].get("data", {}).get("text/plain", "")


@pytest.mark.parametrize(
    "cell",
    [
        "%portforward web :80",
        "%%portforward web :80\nprint('never')",
        "%kfwd pods",
        "%kfwd services",
        "%kfwd status",
        "%kfwd nsenter web -- true",
    ],
)
def test_the_cell_shows_it_and_an_interrupt_ends_it(
    kernel: Any, eventually: Callable[..., bool], survivors: Callable[..., Any], cell: str
) -> None:
    request = kernel.send(cell)
    messages = kernel.listen(20, until=says_url)
    assert says_url(messages[-1])
    html = messages[-1]["content"]["data"]["text/html"]
    assert '<a href="https://login.example/?code=1&amp;x=2" rel="noopener" target="_blank">' in html
    plugins: list[psutil.Process] = kernel.family()
    assert plugins
    kernel.interrupt()
    run = kernel.finish(request, timeout=10)
    assert run.status == "error"
    assert run.lines[0].startswith("interrupted; ")
    assert len(run.lines) <= 2
    assert survivors(plugins) == []
    assert "…" not in run.bundles[-1]["text/html"], "nobody waits any more"


def test_the_cell_says_what_it_waits_for_and_until_when(kernel: Any) -> None:
    def waits(message: dict[str, Any]) -> bool:
        return "waiting for" in message["content"].get("data", {}).get("text/plain", "")

    request = kernel.send("%portforward web :80")
    messages = kernel.listen(20, until=waits)
    assert waits(messages[-1])
    text = messages[-1]["content"]["data"]["text/plain"]
    assert text.startswith(f"waiting for the exec plugin {sys.executable} of the kubeconfig")
    assert " of 5 min 0 s: since " in text
    assert "<progress" in messages[-1]["content"]["data"]["text/html"]
    kernel.interrupt()
    run = kernel.finish(request, timeout=10)
    last = [each["text/plain"] for each in run.bundles if "waited for" in each["text/plain"]]
    assert len(last) == 1, "it is over, and says so in its place"


def test_a_plugin_that_fails_is_no_traceback(kernel: Any) -> None:
    run = kernel.run("%portforward web :80 --context failure")
    assert run.status == "error"
    shown = "\n".join(run.lines)
    assert "ended with exit code 3" in shown
    assert "no\\x1b[31m luck" in shown
    assert "Traceback" not in shown
    assert all("\x1b[31m luck" not in text for each in run.bundles for text in each.values())


def test_the_tab_key_leaves_no_plugin_waiting(kernel: Any, eventually: Callable[..., bool]) -> None:
    """A cell would wait for that one, and show nothing of what it has said before."""
    kernel.client.complete("%portforward w")
    kernel.client.get_shell_msg(timeout=10)
    assert eventually(lambda: not kernel.family(), 5)
    request = kernel.send("%portforward web :80")
    assert says_url(kernel.listen(20, until=says_url)[-1])
    kernel.interrupt()
    kernel.finish(request, timeout=10)
