"""The documentation, built once for all of its tests."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"

sys.path.append(str(DOCS))  # `reference`, which makes anchors, and `architecture`


@pytest.fixture(scope="session")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of the pages; what Sphinx warns of is an error."""
    made = tmp_path_factory.mktemp("site")
    words = ["-m", "sphinx", "-q", "-W", "--keep-going", "-n", "-E", "-b", "html"]
    built = subprocess.run(
        [sys.executable, *words, str(DOCS), str(made / "html")],
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )
    assert (built.returncode, built.stderr) == (0, ""), built.stderr
    return made / "html"
