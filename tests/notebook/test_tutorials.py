"""The tutorials, from top to bottom, in the three places where people run them."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
import uuid
from pathlib import Path
from typing import Any

import nbformat
import psutil
import pytest
from notebook.execute import RECORDING, recorded_file
from peers.processes import runs

NOTEBOOKS = Path(__file__).parents[2] / "notebooks"
TUTORIALS = sorted(path.stem for path in NOTEBOOKS.glob("*.ipynb"))
KUBECTL = Path(sys.prefix) / "kubectl" / "kubectl-1.37"

SAID = {
    "01-first-forward": (
        "Hello from pod web",
        "%portforward: 0 of 200 requests failed",
    ),
    "02-how-port-forward-works": ("CONNECT", "SYN_STREAM", "does not read", "50,000,1"),
    "03-namespaces": ("net:[",),
    "04-build-your-own-dashboard": ("listens: ", "api-"),
    "05-real-clusters": ("connect ", "websocket ", "spdy ", "Hello from pod web"),
    "06-when-things-break": (
        "ours: all of the download",
        "ours, on port 7: ConnectionResetError",
        "ours, on port 80: the page came",
        "ours: the page came\n",
        "ours, after the kill:",
        "ours: the page came again",
        "was followed by api-",
        "ours, for a second: nothing",
        "ours, now: b'two '",
        "ours, the open connection: ConnectionResetError",
        "waited for ",
    ),
    "07-speed": ("ways: %portforward, kfwd, kubectl, three socat", "kfwd against kubectl: "),
    "08-recipes": (
        "the dashboard answers: 200 OK",
        "greeter:50051",
        "Hello from pod web",
    ),
}
"""What a notebook's cells say of this project, in each of the places."""

PROGRAMS = {
    "01-first-forward": (("up", "ours", "kubectl-forward"), {"kubectl port-forward"}),
    "02-how-port-forward-works": (
        ("load", "pid", "nsenter", "lost", "socat", "one-line"),
        {"socat -d -d -t 9 TCP", "socat -d -d UDP4", "socat -d -d TCP"},
    ),
    "03-namespaces": (
        ("load", "unshare", "look", "netlink", "ports", "handout", "veth"),
        {"sleep infinity", "-m http.server"},
    ),
    "06-when-things-break": (
        ("load", "ours", "tools", "stop", "continue", "hang-kubectl"),
        {"kubectl port-forward"},
    ),
    "07-speed": (
        ("load", "ours", "others", "commands", "socat", "start"),
        {"kubectl port-forward", "kfwd_nb.cli port-forward", "web.py", "socat OPENSSL-LISTEN"},
    ),
    "08-recipes": (("load", "pg", "pandas", "manifests", "dask", "compute", "grpc"), set()),
}
"""The cells by which a notebook starts programs, and some of those that run then."""

KILLED = """
import os, pathlib, signal, psutil
running = psutil.Process().children()
pathlib.Path("running").write_text("\\n".join(" ".join(each.cmdline()) for each in running))
for each in running:
    if each.name() == "kubectl":
        each.suspend()  # it would end by itself when it loses the cluster
os.kill(os.getppid(), signal.SIGKILL)  # so that nobody tidies up after the kernel
os.kill(os.getpid(), signal.SIGKILL)
"""
"""Writes down what runs below the kernel, and kills it together with its server."""


NAMESPACES = re.compile(r"--needs (user-)?namespaces")


def prepared(folder: Path) -> Path:
    """A folder with the notebooks, the program that runs them, and kubectl on a PATH of its own."""
    shutil.copytree(NOTEBOOKS, folder / "notebooks")
    shutil.copy(Path(__file__).with_name("execute.py"), folder)
    (folder / "bin").mkdir()
    shutil.copy(KUBECTL, folder / "bin" / "kubectl")
    (folder / "tmp").mkdir()
    return folder


def roots_environment(folder: Path, mark: str) -> dict[str, str]:
    """Ours, but for what `prepared` has made; `left_behind` finds it by its mark."""
    path = f"{folder / 'bin'}:{os.environ['PATH']}"
    return {**os.environ, "PATH": path, "TMPDIR": str(folder / "tmp"), "KFWD_TEST": mark}


def users_environment(user: Any, folder: Path, mark: str) -> dict[str, str]:
    """That of an ordinary user who has just logged in, likewise."""
    return {
        "PATH": f"{folder / 'bin'}:{user.python.parent}:/usr/bin:/bin",
        "HOME": str(user.home),
        "TMPDIR": str(folder / "tmp"),
        "LANG": "C.UTF-8",
        "KFWD_TEST": mark,
    }


def cells_of(ended: subprocess.Popen[str], name: str) -> dict[str, dict[str, Any]]:
    """Its cells by their ids, after what is true in each place."""
    out, err = ended.communicate(timeout=150)
    assert ended.returncode == 0, err[-4000:]
    result = json.loads(out)
    print(f"{name}: {result['seconds']:.1f} s")
    for cell in result["cells"]:
        assert cell["failed"] == cell["fails"], cell
        assert not cell["failed"] or "Traceback" not in cell["said"], cell
    assert "is down" in result["cells"][-1]["said"]
    said = "".join(cell["said"] for cell in result["cells"])
    assert [each for each in SAID[name] if each not in said] == [], said
    lines = {*lines_of(said)}
    assert [line for line in quoted(name) if line not in lines] == []
    return {cell["id"]: cell for cell in result["cells"]}


def quoted(name: str) -> list[str]:
    """What a notebook's text says that its cells say: the lines of its blocks of text."""
    notebook = nbformat.read(NOTEBOOKS / f"{name}.ipynb", as_version=4)
    texts = "\n".join(cell.source for cell in notebook.cells if cell.cell_type == "markdown")
    return lines_of("\n".join(re.findall(r"^```text\n(.*?)^```", texts, re.DOTALL | re.MULTILINE)))


def lines_of(text: str) -> list[str]:
    return [line.strip() for line in same_but_for_numbers(text).splitlines() if line.strip()]


def same_but_for_numbers(text: str) -> str:
    text = re.sub(r"\b(api|greeter)-[a-z0-9]+-[a-z0-9]+", r"\1", text.replace("\r", ""))
    return re.sub(r"\d[\d,.]*", "#", text).strip()


def left_behind(mark: str) -> list[psutil.Process]:
    """Processes that a notebook has started, and left."""
    found = []
    for process in psutil.process_iter():
        try:
            if process.environ().get("KFWD_TEST") == mark:
                found.append(process)
        except psutil.Error:
            continue
    deadline = time.monotonic() + 20
    while (left := [each for each in found if runs(each)]) and time.monotonic() < deadline:
        time.sleep(0.05)
    return left


def shortened(name: str, folder: Path) -> Path:
    """The cells of a notebook that start programs, and one that kills its kernel."""
    notebook = nbformat.read(NOTEBOOKS / f"{name}.ipynb", as_version=4)
    cells = {cell.id: cell for cell in notebook.cells}
    killed = nbformat.v4.new_code_cell(KILLED)
    notebook.cells = [*(cells[each] for each in PROGRAMS[name][0]), killed]
    path = folder / "notebooks" / f"{name}.ipynb"
    nbformat.write(notebook, path)
    return path


def all_ran_and_ended(ended: subprocess.Popen[str], name: str, folder: Path, mark: str) -> None:
    """The kernel was killed while the programs ran, and they are gone, too."""
    assert ended.wait(150) == -signal.SIGKILL, (folder / "log").read_text()[-4000:]
    running = (folder / "notebooks" / "running").read_text()
    assert [each for each in PROGRAMS[name][1] if each not in running] == [], running
    assert left_behind(mark) == []


@pytest.mark.notebook
@pytest.mark.skipif(os.geteuid() != 0, reason="ordinary users have a test of their own")
@pytest.mark.timeout(200)
@pytest.mark.parametrize("name", TUTORIALS)
def test_as_root(name: str, tmp_path: Path) -> None:
    """Everything is live, and says what the recordings say."""
    folder, mark = prepared(tmp_path), uuid.uuid4().hex
    ended = subprocess.Popen(
        [sys.executable, folder / "execute.py", folder / "notebooks" / f"{name}.ipynb"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=roots_environment(folder, mark),
    )
    for cell in cells_of(ended, name).values():
        assert RECORDING not in cell["said"]
        if (file := recorded_file(cell["source"])) is not None:
            _, _, recorded = (NOTEBOOKS / "recorded" / file).read_text().partition("\n")
            assert same_but_for_numbers(cell["said"]) == same_but_for_numbers(recorded), file
    assert left_behind(mark) == []
    assert list((folder / "tmp").iterdir()) == []


@pytest.mark.users
@pytest.mark.timeout(300)
@pytest.mark.parametrize("name", TUTORIALS)
def test_as_an_ordinary_user(name: str, ordinary_user: Any) -> None:
    """Where there are no namespaces, recordings stand in for what needs them; nothing else does."""
    user, isolation = ordinary_user
    folder, mark = prepared(user.home / "tutorial"), uuid.uuid4().hex
    subprocess.run(["chown", "-R", "65534:65534", folder], check=True)
    ended = user.start(
        str(user.python),
        str(folder / "execute.py"),
        str(folder / "notebooks" / f"{name}.ipynb"),
        env=users_environment(user, folder, mark),
    )
    cells = cells_of(ended, name)
    assert f"isolation {isolation}" in "".join(cell["said"] for cell in cells.values())
    for cell in cells.values():
        forbidden = isolation == "loopback" and bool(NAMESPACES.search(cell["source"]))
        assert (RECORDING in cell["said"]) == forbidden, cell
        assert ("recorded as root" in cell["said"]) == forbidden
    assert left_behind(mark) == []
    assert list((folder / "tmp").iterdir()) == []


@pytest.mark.notebook
@pytest.mark.timeout(200)
@pytest.mark.parametrize("name", PROGRAMS)
def test_programs_end_with_a_kernel_that_is_killed(name: str, tmp_path: Path) -> None:
    folder, mark = prepared(tmp_path), uuid.uuid4().hex
    path = shortened(name, folder)
    with (folder / "log").open("w") as log:
        ended = subprocess.Popen(
            [sys.executable, folder / "execute.py", path],
            stdout=log,
            stderr=log,
            env=roots_environment(folder, mark),
        )
    all_ran_and_ended(ended, name, folder, mark)


@pytest.mark.users
@pytest.mark.timeout(200)
@pytest.mark.parametrize("ordinary_user", ["userns"], indirect=True)
@pytest.mark.parametrize("name", ["02-how-port-forward-works", "03-namespaces"])
def test_programs_in_a_user_namespace_end_with_it(name: str, ordinary_user: Any) -> None:
    """Linux forgets whose death ends a process, if the process gets other rights than it had."""
    user, _ = ordinary_user
    folder, mark = prepared(user.home / "tutorial"), uuid.uuid4().hex
    path = shortened(name, folder)
    subprocess.run(["chown", "-R", "65534:65534", folder], check=True)
    with (folder / "log").open("w") as log:
        ended = user.start(
            str(user.python),
            str(folder / "execute.py"),
            str(path),
            stdout=log,
            stderr=log,
            env=users_environment(user, folder, mark),
        )
    all_ran_and_ended(ended, name, folder, mark)


@pytest.mark.pure
def test_every_recording_is_shown_somewhere() -> None:
    files = {
        recorded_file(cell.source)
        for name in TUTORIALS
        for cell in nbformat.read(NOTEBOOKS / f"{name}.ipynb", as_version=4).cells
    }
    there = {path.name for path in (NOTEBOOKS / "recorded").glob("*.txt")}
    assert there == files - {None}
    for name in there:
        where, _, text = (NOTEBOOKS / "recorded" / name).read_text().partition("\n")
        assert where.startswith("recorded as root on ")
        assert text.strip()


@pytest.mark.pure
def test_pictures_and_notebooks_that_a_text_leads_to_are_there() -> None:
    text = "\n".join(
        cell.source
        for path in NOTEBOOKS.glob("*.ipynb")
        for cell in nbformat.read(path, as_version=4).cells
        if cell.cell_type == "markdown"
    )
    targets = set(re.findall(r"\]\(([^):]+)\)", text))
    assert [each for each in targets if not (NOTEBOOKS / each).is_file()] == []
    assert {f"recorded/{each.name}" for each in (NOTEBOOKS / "recorded").glob("*.png")} <= targets


@pytest.mark.notebook
def test_what_a_place_lacks_is_named(new_kernel: Any, tmp_path: Path) -> None:
    kernel = new_kernel()
    kernel.ok("%load_ext kfwd_nb.notebook.recorded")
    kernel.ok(f"%cd -q {tmp_path}")
    (tmp_path / "recorded").mkdir()
    (tmp_path / "recorded" / "it.txt").write_text("recorded as root on a machine\nit\nworks\n")
    run = kernel.ok("%%recorded it.txt --needs sh --needs no-such-program\nran = True")
    assert "a recording: this cell needs no-such-program" in run.text
    assert "recorded as root on a machine" in run.text
    assert "works" in run.text
    assert kernel.run("ran").status == "error"
    assert kernel.ok("%%recorded none.txt --needs sh\nprint('live')").printed == "live\n"
    run = kernel.run("%%recorded none.txt --needs no-such-program\n1")
    assert run.lines[0].startswith("no recording recorded/none.txt")
    assert kernel.run("%%recorded it.txt\n1/0").status == "error"
