"""The oldest ipykernel that is allowed: magics, a table that moves, a dashboard, a clean end."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from typing import Any

import pytest

from kfwd_nb.cluster import MiniCluster

pytestmark = pytest.mark.notebook

OLDEST = "6.29.5"


@pytest.fixture(scope="module")
def older(
    new_kernel: Callable[..., Any], tmp_path_factory: pytest.TempPathFactory, cluster: MiniCluster
) -> Any:
    """A kernel of that version, from PyPI, with all else as it is installed."""
    folder = tmp_path_factory.mktemp("older")
    pip = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--target", folder]
    subprocess.run([*pip, f"ipykernel=={OLDEST}"], check=True)
    path = os.pathsep.join(filter(None, (str(folder), os.environ.get("PYTHONPATH"))))
    kernel = new_kernel(PYTHONPATH=path, KUBECONFIG=str(cluster.kubeconfig))
    version = kernel.ok("import ipykernel; print(ipykernel.__version__)").printed
    assert version.strip() == OLDEST
    kernel.ok("%load_ext kfwd_nb")
    return kernel


def test_a_blocking_call_and_a_table_that_stays_in_its_cell(older: Any) -> None:
    started = older.ok("web = %portforward web :80")
    (shown,) = started.first_displays
    place = shown["content"]["transient"]["display_id"]
    code = "import urllib.request\nprint(urllib.request.urlopen(web.url()).read().decode())"
    called = older.ok(code)
    assert "Hello from pod web" in called.printed
    seen = [*called.messages]
    if not any(_updates(each, place) for each in seen):
        seen += older.listen(10, until=lambda message: _updates(message, place))
    moved = [each for each in seen if _updates(each, place)]
    assert "1 in all" in moved[-1]["content"]["data"]["text/plain"]


def test_a_dashboard_and_the_end(older: Any) -> None:
    shown = older.ok("import kfwd_nb\nkfwd_nb.Dashboard()")
    assert any("application/vnd.jupyter.widget-view+json" in each for each in shown.bundles)
    assert "stopped" in older.ok("%portforward --stop all").text
    older.ok("%unload_ext kfwd_nb")


def _updates(message: dict[str, Any], place: str) -> bool:
    content = message["content"]
    return (
        message["msg_type"] == "update_display_data"
        and content["transient"].get("display_id") == place
    )
