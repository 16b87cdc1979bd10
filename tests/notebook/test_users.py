"""The main job for somebody who is not root: with user namespaces, and where there are none."""

from __future__ import annotations

import os

import psutil
import pytest

pytestmark = [pytest.mark.users, pytest.mark.timeout(300)]


def test_the_demo(ordinary_user):
    """A real kernel: `%kfwd up`, `%portforward web :80`, a page, a query, the table."""
    user, isolation = ordinary_user
    demo = user.start(str(user.python), "-m", "kfwd_nb.notebook.demo")
    shown, complaints = demo.communicate(timeout=120)
    assert demo.returncode == 0, shown + complaints
    assert f"isolation {isolation}" in shown
    assert "Hello from pod web" in shown
    assert "In [8]: import psycopg" in shown
    assert ("simulated isolation" in shown) == (isolation == "loopback")
    assert not [name for name in os.listdir(user.home) if name.startswith("kfwd")]
    own = (
        p for p in psutil.process_iter(["cmdline"]) if str(user.python) in (p.info["cmdline"] or ())
    )
    assert not list(own)
