"""What several floors' tests share: an embedded cluster, and users of this machine."""

from __future__ import annotations

import os
import shutil
import subprocess
import sysconfig
import tempfile
from collections.abc import Iterator
from pathlib import Path

import hypothesis
import pytest
from peers.users import NO_NAMESPACES, NOBODY, OrdinaryUser

import kfwd_nb
from kfwd_nb.cluster import MiniCluster

# A slow machine is no finding.
hypothesis.settings.register_profile(
    "untimed", deadline=None, suppress_health_check=[hypothesis.HealthCheck.too_slow]
)
hypothesis.settings.load_profile("untimed")

ELSEWHERE = ("JUPYTERHUB_", "JPY_", "VSCODE_PROXY_URI", "COLAB_", "CODESPACE", "SSH_CONNECTION")
"""Beginnings of variables that tell where a browser is."""


@pytest.fixture(scope="session", autouse=True)
def _browser_on_this_machine() -> None:
    """Links lead to localhost, on a hub and in a codespace, too, unless a test says otherwise."""
    for name in [each for each in os.environ if each.startswith(ELSEWHERE)]:
        del os.environ[name]


@pytest.fixture(scope="session")
def cluster() -> Iterator[MiniCluster]:
    """The default cluster, in real namespaces wherever this machine allows them.

    A test that changes it (kills an agent, deletes a pod) starts a cluster of its own instead.
    """
    with MiniCluster() as running:
        if os.geteuid() == 0:
            assert running.isolation == "netns", "as root, simulated isolation is a failure"
        yield running


@pytest.fixture(scope="session")
def users_python() -> Iterator[Path]:
    """An interpreter that everybody can run, outside root's home, with all that ours has."""
    folder = Path(tempfile.mkdtemp(prefix="kfwd-users-", dir="/tmp"))
    folder.chmod(0o755)
    subprocess.run(["/usr/bin/python3", "-m", "venv", "--without-pip", folder], check=True)
    theirs = next(folder.glob("lib/python3*/site-packages"))
    ours = Path(sysconfig.get_path("purelib"))
    assert theirs.parent.name == ours.parent.name, "both must be of one minor version"
    shutil.copytree(ours, theirs, dirs_exist_ok=True, ignore=shutil.ignore_patterns("*kfwd_nb*"))
    shutil.copytree(Path(kfwd_nb.__file__).parent, theirs / "kfwd_nb")
    subprocess.run(["chmod", "-R", "a+rX", folder], check=True)
    yield folder / "bin" / "python"
    shutil.rmtree(folder)


@pytest.fixture(params=["userns", "loopback"])
def ordinary_user(
    request: pytest.FixtureRequest, users_python: Path
) -> Iterator[tuple[OrdinaryUser, str]]:
    """An ordinary user, and the isolation that this one can have."""
    home = Path(tempfile.mkdtemp(prefix="kfwd-home-", dir="/tmp"))
    os.chown(home, NOBODY, NOBODY)
    prefix = () if request.param == "userns" else NO_NAMESPACES
    yield OrdinaryUser(users_python, home, prefix), request.param
    shutil.rmtree(home, ignore_errors=True)
