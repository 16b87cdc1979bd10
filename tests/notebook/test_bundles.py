"""What a host shows that knows no extension: asked as marimo and IPython ask."""

from __future__ import annotations

import subprocess
import sys

import pytest

from kfwd_nb.cluster import MiniCluster

pytestmark = pytest.mark.notebook

HOST = """
import sys, urllib.request
import kfwd_nb
with kfwd_nb.forward("web", ":80", kubeconfig=sys.argv[1]) as fwd:
    with fwd.trace() as trace:
        urllib.request.urlopen(fwd.url()).read()
    for thing in (fwd, fwd.hops(), trace, trace.play()):
        bundle = thing._repr_mimebundle_(include=None, exclude=None)
        assert set(bundle) == {"text/html", "text/plain"}, bundle
        assert all(bundle.values())
        print(type(thing).__name__, str(fwd.local_port) in bundle["text/plain"])
assert "IPython" not in sys.modules or not sys.modules["IPython"].get_ipython()
"""


def test_everything_is_shown_without_the_extension(cluster: MiniCluster) -> None:
    words = [sys.executable, "-c", HOST, str(cluster.kubeconfig)]
    done = subprocess.run(words, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout.split("\n")[:2] == ["Forward True", "HopView True"]


def test_text_is_what_nobody_has_taught() -> None:
    code = (
        "from kfwd_nb.client.display import Displayable; print(Displayable()._repr_mimebundle_())"
    )
    words = [sys.executable, "-c", code]
    done = subprocess.run(words, capture_output=True, text=True, timeout=60, check=True)
    assert "text/plain" in done.stdout
