"""The Tab key while the API server takes connections and never answers."""

from __future__ import annotations

import json
import socket
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from kfwd_nb.notebook.completion import MAX_ASKING

pytestmark = pytest.mark.notebook

PATIENT = 15.0
"""Seconds for all presses of a test; a server that does not answer would take longer than that."""


@pytest.fixture(scope="module")
def silent() -> Iterator[socket.socket]:
    """A server that is reached, and says nothing: the system accepts, nobody reads."""
    with socket.create_server(("127.0.0.1", 0), backlog=64) as server:
        yield server


@pytest.fixture(scope="module")
def kernel(new_kernel: Callable[..., Any], silent: socket.socket, tmp_path_factory: Any) -> Any:
    folder: Path = tmp_path_factory.mktemp("kube")
    path = folder / "config"
    server = f"https://127.0.0.1:{silent.getsockname()[1]}"
    kubeconfig = {
        "current-context": "slow",
        "clusters": [{"name": "c", "cluster": {"server": server}}],
        "users": [{"name": "u", "user": {"token": "t"}}],
        "contexts": [{"name": "slow", "context": {"cluster": "c", "user": "u"}}],
    }
    path.write_text(json.dumps(kubeconfig))
    kernel = new_kernel(KUBECONFIG=str(path), HOME=str(folder))
    kernel.ok("%load_ext kfwd_nb")
    return kernel


def matches(kernel: Any, code: str) -> list[str]:
    """What one press of Tab offers."""
    kernel.client.complete(code)
    found: list[str] = kernel.client.get_shell_msg(timeout=PATIENT)["content"]["matches"]
    return found


def test_what_needs_no_cluster_is_offered_all_the_same(kernel: Any) -> None:
    assert {"svc/", "deploy/"} <= set(matches(kernel, "%portforward "))
    assert matches(kernel, "%portforward web :80 --loo") == ["--loop"]


def test_no_press_waits_for_the_answer(kernel: Any, silent: socket.socket) -> None:
    begun = time.monotonic()
    for n in range(MAX_ASKING + 2):
        matches(kernel, f"%portforward -n ns-{n} w")
    assert time.monotonic() - begun < PATIENT
    silent.settimeout(10)
    silent.accept()[0].close()  # it was asked indeed
    threads = "sum(each.name == 'kfwd-completion' for each in threading.enumerate())"
    shown = kernel.ok(f"import threading; print({threads})").printed
    assert int(shown) <= MAX_ASKING


def test_the_defaults_of_the_user_are_asked_for(kernel: Any) -> None:
    kernel.ok(
        "from kfwd_nb.notebook import listing\nasked = []\n"
        "listing.names = lambda *place: asked.append(place) or ['web']"
    )
    kernel.ok('%config Kfwd.namespace = "ml"\n%config Kfwd.context = "big"')
    assert "web" in matches(kernel, "%portforward w")
    assert "web" in matches(kernel, "%portforward -n shop w")
    assert kernel.ok("print(asked)").printed == ("[('pod', 'ml', 'big'), ('pod', 'shop', 'big')]\n")
