"""`import kfwd_nb` works anywhere, imports no IPython, and costs next to nothing."""

from __future__ import annotations

import importlib.util
import subprocess
import sys
from pathlib import Path

import pytest

import kfwd_nb

pytestmark = pytest.mark.pure

ROOT = Path(kfwd_nb.__file__).parent

MODULES = sorted(
    ".".join(("kfwd_nb", *path.relative_to(ROOT).with_suffix("").parts))
    for path in ROOT.rglob("*.py")
    if path.name not in ("__init__.py", "__main__.py") and "workloads" not in path.parts
)


def test_the_crippled_python_is_crippled(portable) -> None:
    code = (
        "import os\n"
        "assert not hasattr(os, 'pidfd_open') and not hasattr(os, 'fork')\n"
        "for name in ('pyroute2', 'fcntl', 'resource'):\n"
        "    try: __import__(name)\n"
        "    except ModuleNotFoundError: continue\n"
        "    raise SystemExit(name + ' is there')\n"
    )
    result = portable("-c", code)
    assert (result.returncode, result.stderr) == (0, "")


@pytest.mark.parametrize("name", ["kfwd_nb", "kfwd_nb.client", "kfwd_nb.cli", "kfwd_nb.notebook"])
def test_what_people_import_needs_no_linux(portable, name: str) -> None:
    result = portable("-c", f"import {name}")
    assert (result.returncode, result.stderr) == (0, "")


def test_every_module_can_be_imported_without_linux(portable) -> None:
    """The embedded cluster's too: where it cannot run it says so, and does not break an import."""
    lines = [f"import {name}" for name in MODULES if "podinit" not in name]
    result = portable("-c", "\n".join(lines))
    assert (result.returncode, result.stderr) == (0, "")


def test_the_package_imports_no_ipython_and_no_wire() -> None:
    heavy = ["IPython", "ipywidgets", "anywidget", "cryptography", "h2", "pyroute2", "yaml"]
    code = f"import sys, kfwd_nb; print([n for n in {heavy} if n in sys.modules])"
    result = subprocess.run(
        [sys.executable, "-P", "-c", code], capture_output=True, text=True, timeout=60, check=True
    )
    assert result.stdout.strip() == "[]"


def test_the_wheel_is_for_every_python_and_every_system() -> None:
    assert list(ROOT.rglob("*.so")) == []
    assert importlib.util.find_spec("kfwd_nb") is not None
    assert (ROOT / "py.typed").is_file()
