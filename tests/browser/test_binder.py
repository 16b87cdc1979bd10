"""Binder without Docker: what `binder/` asks for is done as mybinder.org would do it.

In the order of repo2docker: the Python of runtime.txt, the packages of apt.txt, requirements.txt,
postBuild; all but apt as the user of the notebooks. That is an ordinary user here who may make no
namespaces, with an empty home. Then the page of the badge is opened in a browser, and notebook 1 is
run there.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import secrets
import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import nbformat
import psutil
import pytest
from peers.jupyter_server import browser
from peers.users import NO_NAMESPACES, NOBODY, OrdinaryUser

pytestmark = [pytest.mark.browser, pytest.mark.users, pytest.mark.timeout(300)]

ROOT = Path(__file__).parents[2]
BINDER = ROOT / "binder"
NOTEBOOK = "notebooks/01-first-forward.ipynb"

PASSED_ON = ("PIP_", "HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY", "SSL_CERT_FILE")
"""Variables that say how this machine reaches PyPI."""


@dataclass
class Image:
    """What repo2docker would have made.

    Attributes:
        user: the notebooks' user; their Python is the one that was made.
        checkout: the repository, theirs to write.
    """

    user: OrdinaryUser
    checkout: Path

    def run(self, *words: str) -> str:
        """Run a step of the build in the checkout; what it said."""
        step = self.user.start(*words, cwd=self.checkout, stderr=subprocess.STDOUT)
        said, _ = step.communicate(timeout=200)
        assert step.returncode == 0, said
        return said


def lines(name: str) -> list[str]:
    """A file of `binder/`, without comments."""
    text = (BINDER / name).read_text().splitlines()
    return [line for line in map(str.strip, text) if line and not line.startswith("#")]


@pytest.fixture(scope="module")
def image() -> Iterator[Image]:
    """The steps, one after the other."""
    (version,) = lines("runtime.txt")
    python = shutil.which(version.replace("-", ""), path="/usr/bin:/usr/local/bin")
    if python is None:
        pytest.skip(f"there is no {version} on this machine that everybody can run")
    missing = set(lines("apt.txt")) - packages()
    assert not missing, f"missing on this machine: {missing} (names of Debian packages)"
    home = Path(tempfile.mkdtemp(prefix="kfwd-binder-", dir="/tmp"))
    try:
        checkout = home / "checkout"
        copy_of_the_repository(checkout)
        subprocess.run(["chown", "-R", f"{NOBODY}:{NOBODY}", str(home)], check=True)
        variables = {k: v for k, v in os.environ.items() if k.upper().startswith(PASSED_ON)}
        made = home / "environment" / "bin" / "python"
        path = f"{made.parent}:{home}/.local/bin:/usr/local/bin:/usr/bin:/bin"
        user = OrdinaryUser(made, home, NO_NAMESPACES, {**variables, "PATH": path})
        image = Image(user, checkout)
        image.run(python, "-m", "venv", str(home / "environment"))
        pip = ("-m", "pip", "install", "--quiet", "--no-cache-dir")
        image.run(str(made), *pip, "-r", "binder/requirements.txt")
        image.run("binder/postBuild")
        yield image
    finally:
        shutil.rmtree(home, ignore_errors=True)


def packages() -> set[str]:
    """Debian packages of this machine."""
    words = ["dpkg-query", "--show", "--showformat=${Package}\\n"]
    return set(subprocess.run(words, check=True, capture_output=True, text=True).stdout.split())


def copy_of_the_repository(target: Path) -> None:
    """What git has, as it is now."""
    words = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    names = subprocess.run(words, cwd=ROOT, check=True, capture_output=True).stdout
    for name in filter(None, names.decode().split("\0")):
        if (ROOT / name).is_file():
            (target / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, target / name)


@dataclass
class Server:
    """JupyterLab, as its badge opens it."""

    process: subprocess.Popen[str]
    url: str
    token: str


def url_in(runtime: Path) -> str:
    """What a server has written of itself; empty while that is not whole."""
    for file in runtime.glob("jpserver-*.json"):
        with contextlib.suppress(json.JSONDecodeError):
            return str(json.loads(file.read_bytes())["url"])
    return ""


@pytest.fixture(scope="module")
def server(image: Image) -> Iterator[Server]:
    """JupyterLab in the checkout; all of it is gone at the end."""
    token, runtime = secrets.token_hex(16), image.user.home / "runtime"
    log = image.user.home / "server.log"
    with log.open("wb") as output:
        process = image.user.start(
            *(str(image.user.python), "-m", "jupyter", "lab", "--no-browser"),
            *("--ServerApp.ip=127.0.0.1", "--ServerApp.port=0"),
            f"--IdentityProvider.token={token}",
            cwd=image.checkout,
            stdout=output,
            stderr=subprocess.STDOUT,
            env={
                **image.user.variables,
                "HOME": str(image.user.home),
                "TMPDIR": str(image.user.home),
                "JUPYTER_RUNTIME_DIR": str(runtime),
            },
        )
    family = psutil.Process(process.pid)
    try:
        deadline = time.monotonic() + 60
        while not (url := url_in(runtime)):
            assert time.monotonic() < deadline, log.read_text()
            time.sleep(0.1)
        yield Server(process, url, token)
    finally:
        below = family.children(recursive=True)
        process.terminate()
        process.wait(20)
        _, left = psutil.wait_procs(below, 10)
        assert left == []


@pytest.fixture(scope="module")
def page(server: Server) -> Iterator[Any]:
    """The page that the badge opens."""
    with browser() as chrome:
        page = chrome.new_page(viewport={"width": 1300, "height": 900})
        page.set_default_timeout(60_000)
        page.goto(f"{server.url}lab/tree/{NOTEBOOK}?token={server.token}")
        page.locator(".jp-Notebook .jp-CodeCell").first.wait_for()
        yield page


def test_notebook_1_runs_to_its_end(image: Image, page: Any) -> None:
    path = image.checkout / NOTEBOOK
    cells = [c for c in nbformat.read(path, as_version=4).cells if c.cell_type == "code"]
    page.locator("#jp-main-statusbar", has_text="| Idle").wait_for()
    page.locator(".lm-MenuBar-itemLabel", has_text=re.compile("^Run$")).click()
    page.locator(".lm-Menu-itemLabel", has_text=re.compile("^Run All Cells$")).click()
    last = page.locator(".jp-InputPrompt", has_text=f"[{len(cells)}]:")
    last.wait_for(timeout=120_000)
    page.keyboard.press("Control+s")
    until(page, lambda: executed(path) == len(cells))
    outputs = [output for cell in code_cells(path) for output in cell.outputs]
    assert [output for output in outputs if output.output_type == "error"] == []
    said = "\n".join(text_of(output) for output in outputs)
    for each in ("is ready after", "simulated isolation", "Hello from pod web", "is down"):
        assert each in said


def test_kubectl_is_there(image: Image) -> None:
    assert "v1.37" in image.run("kubectl", "version", "--client")


def test_all_that_is_installed_is_pinned(image: Image) -> None:
    """Another day brings the same versions."""
    frozen = image.run(str(image.user.python), "-m", "pip", "freeze", "--exclude", "kfwd_nb")
    assert sorted(frozen.split()) == sorted(lines("constraints.txt"))


def test_all_that_the_notebooks_import_is_there(image: Image) -> None:
    code = "\n".join(
        cell.source for path in (ROOT / "notebooks").glob("*.ipynb") for cell in code_cells(path)
    )
    names = sorted(set(re.findall(r"^\s*(?:import|from) (\w+)", code, re.MULTILINE)))
    look = "from importlib.util import find_spec; print(*filterfalse(find_spec, names))"
    code = f"from itertools import filterfalse; names = {names}; {look}"
    assert image.run(str(image.user.python), "-c", code).strip() == ""


def code_cells(path: Path) -> list[Any]:
    return [c for c in nbformat.read(path, as_version=4).cells if c.cell_type == "code"]


def executed(path: Path) -> int:
    """Cells of the saved notebook that have run; 0 while it is being written."""
    try:
        return sum(cell.execution_count is not None for cell in code_cells(path))
    except nbformat.reader.NotJSONError:
        return 0


def text_of(output: Any) -> str:
    return str(output.get("text") or output.get("data", {}).get("text/plain", ""))


def until(page: Any, condition: Any, seconds: float = 30) -> None:
    """Wait for a condition, while the page goes on."""
    for _ in range(int(seconds * 20)):
        if condition():
            return
        page.wait_for_timeout(50)
    raise AssertionError("it did not come true")
