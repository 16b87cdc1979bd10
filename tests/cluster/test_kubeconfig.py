"""The kubeconfig that a cluster writes, and the file of a user that it must not touch."""

from __future__ import annotations

import asyncio
import os
import stat
from pathlib import Path

import pytest

from kfwd_nb.cluster import kubeconfig
from kfwd_nb.cluster.folder import Folder, ProcessId
from kfwd_nb.errors import ConfigError
from kfwd_nb.kube.kubeconfig import load

pytestmark = pytest.mark.pure

CONTENT = kubeconfig.kubeconfig("a1b2c3", "https://127.0.0.1:4711", b"a certificate", "a token")


def test_clients_read_it(tmp_path: Path) -> None:
    path = tmp_path / "kubeconfig"
    kubeconfig.write(path, CONTENT)
    access = load(str(path))
    assert (access.context, access.server) == ("kfwd-a1b2c3", "https://127.0.0.1:4711")
    assert access.namespace == "default"
    assert asyncio.run(access.headers()) == {"authorization": "Bearer a token"}
    assert access.ca_data == b"a certificate"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


@pytest.mark.parametrize("content", ["", "contexts: [{name: production}]", "not: [yaml", "- 1"])
def test_a_file_of_the_user_is_left_alone(tmp_path: Path, content: str) -> None:
    path = tmp_path / "config"
    path.write_text(content)
    with pytest.raises(ConfigError, match="is not an embedded cluster's"):
        kubeconfig.write(path, CONTENT)
    kubeconfig.remove(path, "a1b2c3")
    assert path.read_text() == content


def test_what_an_earlier_cluster_left_is_replaced(tmp_path: Path) -> None:
    path = tmp_path / "kubeconfig"
    kubeconfig.write(path, kubeconfig.kubeconfig("000000", "https://127.0.0.1:1", b"", ""))
    kubeconfig.write(path, CONTENT)
    assert path.read_bytes() == CONTENT


def test_that_of_a_running_cluster_is_not_replaced(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))
    ours = ProcessId.of(os.getpid())
    folder = Folder.create(ours, ours)
    path = tmp_path / "kubeconfig"
    kubeconfig.write(path, kubeconfig.kubeconfig(folder.name, "https://127.0.0.1:1", b"", ""))
    with pytest.raises(ConfigError, match=f"running cluster \\(process {os.getpid()}\\)"):
        kubeconfig.check_replaceable(path)
    folder.remove()
    kubeconfig.check_replaceable(path)


def test_only_the_own_one_is_removed(tmp_path: Path) -> None:
    path = tmp_path / "kubeconfig"
    kubeconfig.write(path, CONTENT)
    kubeconfig.remove(path, "000000")
    assert path.exists()
    kubeconfig.remove(path, "a1b2c3")
    assert not path.exists()
    kubeconfig.remove(path, "a1b2c3")


def test_a_missing_folder_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="there is no folder"):
        kubeconfig.write(tmp_path / "nowhere" / "kubeconfig", CONTENT)
