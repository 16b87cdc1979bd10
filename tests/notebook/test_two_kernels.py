"""Two notebooks on one machine that want the same local port."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

pytestmark = pytest.mark.notebook


def test_who_has_the_port_is_said(
    up_kernel: Any, new_kernel: Callable[..., Any], tmp_path: Any
) -> None:
    kubeconfig = up_kernel.ok("import os; print(os.environ['KUBECONFIG'])").printed.strip()
    other = new_kernel(KUBECONFIG=kubeconfig, JPY_SESSION_NAME="/home/me/other.ipynb")
    other.ok("%load_ext kfwd_nb")
    port = int(other.ok("fwd = %portforward svc/api :80\nprint(fwd.local_port)").printed)
    run = up_kernel.run(f"%portforward web {port}:80")
    assert run.status == "error"
    who = f"pid {other.pid}, notebook /home/me/other.ipynb, forwards svc/api in default"
    what = f"127.0.0.1:{port} is in use by another kernel of yours ({who})."
    assert run.lines == [
        f"Unable to listen on port {port}: {what}",
        "hint: `%portforward --stop` there, another local port here, or :80 for any free one.",
    ]

    # Without a name from the server: where it works. What has the port is nothing of ours.
    plain = new_kernel()
    plain.ok(f"import os, socket; os.chdir({str(tmp_path)!r})")
    port = int(
        plain.ok(
            "server = socket.create_server(('127.0.0.1', 0)); print(server.getsockname()[1])"
        ).printed
    )
    run = up_kernel.run(f"%portforward web {port}:80")
    assert f"another kernel of yours (pid {plain.pid}, in {tmp_path})" in run.lines[0]


def test_any_free_port_is_free_for_both(up_kernel: Any, new_kernel: Callable[..., Any]) -> None:
    """They derive the same number for the same line; the second takes another."""
    kubeconfig = up_kernel.ok("import os; print(os.environ['KUBECONFIG'])").printed.strip()
    one, two = new_kernel(KUBECONFIG=kubeconfig), new_kernel(KUBECONFIG=kubeconfig)
    ports = set()
    for kernel in (one, two):
        kernel.ok("%load_ext kfwd_nb\nimport urllib.request")
        run = kernel.ok("fwd = %portforward web :80\nprint(fwd.local_port)")
        ports.add(int(run.printed))
        page = kernel.ok("print(urllib.request.urlopen(fwd.url()).read().decode())").printed
        assert "Hello from pod web" in page
    assert len(ports) == 2
