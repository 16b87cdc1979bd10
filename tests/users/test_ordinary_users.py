"""The main job for somebody who is not root: with user namespaces, and where there are none."""

from __future__ import annotations

import os

import psutil
import pytest

pytestmark = pytest.mark.users


@pytest.mark.timeout(300)
@pytest.mark.parametrize(
    ("namespaces", "isolation"), [(True, "userns"), (False, "loopback")], ids=["userns", "without"]
)
def test_the_demo(ordinary_user, namespaces, isolation):
    """A real kernel: `%kfwd up`, `%portforward web :80`, a page, a query, the table."""
    done = ordinary_user.run("-m", "kfwd_nb.notebook.demo", namespaces=namespaces)
    assert done.returncode == 0, done.stdout
    assert f"isolation {isolation}" in done.stdout
    assert "Hello from pod web" in done.stdout
    assert "PostgreSQL" in done.stdout
    assert ("simulated isolation" in done.stdout) == (isolation == "loopback")
    assert os.listdir(ordinary_user.home) in ([], [".ipython"], [".cache"], [".cache", ".ipython"])
    left = [
        p for p in psutil.process_iter(["username", "cmdline"]) if p.info["username"] == "nobody"
    ]
    assert not left, [each.info["cmdline"] for each in left]
