"""What runs in a cluster when nothing is said, and what every container is told."""

from __future__ import annotations

import os
import pwd
from pathlib import Path

import pytest

from kfwd_nb.cluster import workload
from kfwd_nb.errors import ConfigError
from kfwd_nb.kube.objects import AnyObject, Deployment, Namespace, Pod, Service

pytestmark = pytest.mark.pure


def by_name(objects: list[AnyObject], kind: type[AnyObject], name: str) -> AnyObject:
    return next(each for each in objects if type(each) is kind and each.metadata.name == name)


def test_the_default_cluster() -> None:
    objects = workload.read(None)
    assert {each.metadata.namespace for each in objects if isinstance(each, Pod)} == {
        "default",
        "staging",
    }
    assert any(isinstance(each, Namespace) for each in objects)
    web = by_name(objects, Pod, "web")
    assert [p.container_port for p in web.spec.containers[0].ports] == [80, 7]
    api = by_name(objects, Deployment, "api")
    assert api.spec.replicas == 3
    service = by_name(objects, Service, "api")
    assert [(p.port, p.target_port) for p in service.spec.ports] == [(80, "http")]


def test_postgresql_where_it_is_installed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(workload, "has_postgres", lambda: True)
    monkeypatch.setattr(workload, "database_user", lambda: 4711)
    db = by_name(workload.read(None), Pod, "db")
    assert "initdb" in db.spec.containers[0].args[0]
    assert db.spec.security_context.run_as_user == 4711


def test_a_line_server_where_it_is_not(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(workload, "has_postgres", lambda: False)
    db = by_name(workload.read(None), Pod, "db")
    assert "lines.py" in db.spec.containers[0].command[-1]
    assert [port.container_port for port in db.spec.containers[0].ports] == [5432]
    assert db.spec.security_context.run_as_user is None


def test_an_ordinary_users_database_is_the_users(monkeypatch: pytest.MonkeyPatch) -> None:
    nobody = pwd.getpwnam("nobody").pw_uid
    monkeypatch.setattr(os, "getuid", lambda: nobody)
    assert workload.database_user() == nobody


def test_roots_database_is_not_roots(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "getuid", lambda: 0)
    assert workload.database_user() not in (0, None)


def test_a_line_server_for_a_user_that_the_machine_does_not_know(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(workload, "has_postgres", lambda: True)
    monkeypatch.setattr(os, "getuid", lambda: 1_234_567)
    db = by_name(workload.read(None), Pod, "db")
    assert "lines.py" in db.spec.containers[0].command[-1]


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"nothing\.yaml"):
        workload.read(tmp_path / "nothing.yaml")
