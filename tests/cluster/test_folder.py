"""The cluster's folder: who may read it, and when it is swept away."""

from __future__ import annotations

import json
import os
import stat
import subprocess
import sys
from dataclasses import asdict, replace
from pathlib import Path

import pytest

from kfwd_nb.cluster import folder as module
from kfwd_nb.cluster.folder import Folder, ProcessId, sweep, write_private
from kfwd_nb.errors import ClusterError

pytestmark = pytest.mark.pure


@pytest.fixture(autouse=True)
def base(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))
    monkeypatch.setattr(module.tempfile, "gettempdir", lambda: str(tmp_path))
    return tmp_path


@pytest.fixture
def me() -> ProcessId:
    return ProcessId.of(os.getpid())


@pytest.fixture
def dead() -> ProcessId:
    process = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    identity = ProcessId.of(process.pid)
    process.communicate()
    return identity


def test_only_its_user_can_look_inside(base: Path, me: ProcessId) -> None:
    folder = Folder.create(me, me)
    assert folder.path.parent == base
    assert folder.path.name == f"kfwd-{os.getuid()}-{folder.name}"
    folder.write("relay.key", b"secret")
    modes = {path: stat.S_IMODE(path.stat().st_mode) for path in folder.path.rglob("*")}
    assert stat.S_IMODE(folder.path.stat().st_mode) == 0o700
    assert {mode for path, mode in modes.items() if path.is_file()} == {0o600}
    assert {mode for path, mode in modes.items() if path.is_dir()} == {0o700}


def test_temporary_folder_where_there_is_no_runtime_folder(
    tmp_path: Path, me: ProcessId, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path / "missing"))
    assert Folder.create(me, me).path.parent == tmp_path


def test_no_place_to_write_is_said(
    tmp_path: Path, me: ProcessId, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("XDG_RUNTIME_DIR")
    monkeypatch.setattr(module.tempfile, "gettempdir", lambda: str(tmp_path / "missing"))
    with pytest.raises(ClusterError, match="missing: No such file") as caught:
        Folder.create(me, me)
    assert "TMPDIR" in (caught.value.hint or "")


def test_sweep_takes_what_dead_processes_left(me: ProcessId, dead: ProcessId) -> None:
    left = Folder.create(dead, dead)
    left.write("relay.key", b"secret")
    assert sweep() == [left.path]
    assert not left.path.exists()


@pytest.mark.parametrize("living", ["owner", "supervisor"])
def test_sweep_leaves_what_a_living_process_has(
    me: ProcessId, dead: ProcessId, living: str
) -> None:
    folder = Folder.create(me if living == "owner" else dead, dead if living == "owner" else me)
    assert sweep() == []
    assert folder.path.is_dir()


def test_a_later_process_of_the_same_pid_is_another_one(me: ProcessId) -> None:
    earlier = replace(me, started=me.started - 10 * module.CLOCK_STEP)
    assert not earlier.alive()
    folder = Folder.create(earlier, earlier)
    assert sweep() == [folder.path]


def test_sweep_leaves_a_folder_that_is_being_made(base: Path, me: ProcessId) -> None:
    young = base / f"kfwd-{os.getuid()}-young"
    young.mkdir()
    old = base / f"kfwd-{os.getuid()}-old"
    old.mkdir()
    os.utime(old, (1, 1))
    assert sweep() == [old]
    assert young.is_dir()


def test_sweep_leaves_links_and_other_users_names(base: Path, dead: ProcessId) -> None:
    target = base / "precious"
    target.mkdir()
    (target / module.OWNER_FILE).write_text(
        json.dumps({"owner": asdict(dead), "supervisor": asdict(dead)})
    )
    (base / f"kfwd-{os.getuid()}-link").symlink_to(target)
    (base / f"kfwd-{os.getuid() + 1}-other").mkdir()
    (base / f"kfwd-{os.getuid()}-file").write_text("")
    assert sweep() == []
    assert target.is_dir()


def test_a_zombie_does_not_live() -> None:
    process = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    identity = ProcessId.of(process.pid)
    assert identity.alive()
    assert process.stdin is not None
    process.stdin.close()
    os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)
    assert not identity.alive()
    process.wait()


def test_there_is_no_such_process(dead: ProcessId) -> None:
    with pytest.raises(ClusterError, match=f"no process {dead.pid}"):
        ProcessId.of(dead.pid)


def test_private_files_replace_their_predecessors_whole(base: Path) -> None:
    path = base / "kubeconfig"
    path.write_text("old")
    path.chmod(0o644)
    write_private(path, b"new")
    assert path.read_bytes() == b"new"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert list(base.iterdir()) == [path]
