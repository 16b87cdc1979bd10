"""What an embedded cluster runs: the user's manifests, or its own ones made to fit the machine."""

from __future__ import annotations

import os
import shutil
import sys
from pathlib import Path

from msgspec.structs import replace

from kfwd_nb.kube import manifests
from kfwd_nb.kube.objects import (
    AnyObject,
    Container,
    Deployment,
    EnvVar,
    Pod,
    PodSpec,
    SecurityContext,
)

DEFAULT_MANIFESTS = Path(__file__).with_name("default.yaml")
PROGRAMS = Path(__file__).with_name("workloads")

DATABASE = "db"
"""The default pod that is PostgreSQL, where there is one."""

DATABASE_USERS = ("postgres", "nobody")
"""Whom PostgreSQL runs as on behalf of root: the first of them that the machine knows."""

LINE_SERVER = ["$(KFWD_PYTHON)", "-I", "-S", "$(KFWD_WORKLOADS)/lines.py"]
"""What `db` is on a machine without PostgreSQL."""


def read(file: Path | None, isolation: str) -> list[AnyObject]:
    """The objects of `file`, or the default ones, namespaces first.

    Their containers get two variables more, KFWD_PYTHON and KFWD_WORKLOADS.

    Raises:
        ConfigError: the file is not there or not valid.
    """
    objects = manifests.load(file or DEFAULT_MANIFESTS)
    if file is None:
        objects = [_fitted(each, isolation) for each in objects]
    return [_with_variables(each) for each in objects]


def has_postgres() -> bool:
    """PostgreSQL's server is installed, where Debian has it or on the PATH."""
    return any(Path("/usr/lib/postgresql").glob("*/bin/initdb")) or bool(shutil.which("initdb"))


def database_user(isolation: str) -> int | None:
    """Whom PostgreSQL runs as: it refuses root, and wants a user that the machine knows.

    Returns:
        A uid; None where the pod runs as an ordinary user anyway.
    """
    import pwd

    uid = os.getuid()
    if uid != 0:
        return uid if isolation == "userns" else None
    known = {entry.pw_name: entry.pw_uid for entry in pwd.getpwall()}
    return next((known[name] for name in DATABASE_USERS if name in known), None)


def _fitted(item: AnyObject, isolation: str) -> AnyObject:
    """The pod `db` as this machine can run it; anything else as it is."""
    if not isinstance(item, Pod) or item.metadata.name != DATABASE:
        return item
    if has_postgres():
        user = SecurityContext(run_as_user=database_user(isolation))
        return replace(item, spec=replace(item.spec, security_context=user))
    (container,) = item.spec.containers
    container = replace(container, name="lines", command=LINE_SERVER, args=[])
    return replace(item, spec=replace(item.spec, containers=[container]))


def _with_variables(item: AnyObject) -> AnyObject:
    if isinstance(item, Pod):
        return replace(item, spec=_spec(item.spec))
    if isinstance(item, Deployment):
        template = replace(item.spec.template, spec=_spec(item.spec.template.spec))
        return replace(item, spec=replace(item.spec, template=template))
    return item


def _spec(spec: PodSpec) -> PodSpec:
    return replace(spec, containers=[_container(each) for each in spec.containers])


def _container(container: Container) -> Container:
    own = [
        EnvVar(name="KFWD_PYTHON", value=sys.executable),
        EnvVar(name="KFWD_WORKLOADS", value=str(PROGRAMS)),
    ]
    return replace(container, env=[*own, *container.env])
