"""What an embedded cluster runs: the user's manifests, or its own ones made to fit the machine."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

from msgspec.structs import replace

from kfwd_nb.kube.manifests.reading import load
from kfwd_nb.kube.objects import (
    AnyObject,
    Pod,
    SecurityContext,
)

DEFAULT_MANIFESTS = Path(__file__).with_name("default.yaml")

DATABASE = "db"
"""The default pod that is PostgreSQL, where there is one."""

DATABASE_USERS = ("postgres", "nobody")
"""Whom PostgreSQL runs as on behalf of root: the first of them that the machine knows."""

LINE_SERVER = ["$(KFWD_PYTHON)", "-I", "-S", "$(KFWD_WORKLOADS)/lines.py"]
"""What `db` is on a machine that cannot run PostgreSQL."""


def read(file: Path | None) -> list[AnyObject]:
    """The objects of `file`, or the default ones, namespaces first.

    Raises:
        ConfigError: the file is not there or not valid.
    """
    objects = load(file or DEFAULT_MANIFESTS)
    return objects if file is not None else [_fitted(each) for each in objects]


def has_postgres() -> bool:
    """PostgreSQL's server is installed, where Debian has it or on the PATH."""
    return any(Path("/usr/lib/postgresql").glob("*/bin/initdb")) or bool(shutil.which("initdb"))


def database_user() -> int | None:
    """The uid that PostgreSQL runs as: not root, which it refuses; a user that the machine knows.

    Returns:
        None when there is none, as in a container that runs under an arbitrary uid.
    """
    import pwd

    users = {entry.pw_name: entry.pw_uid for entry in pwd.getpwall()}
    if os.getuid() != 0:
        return os.getuid() if os.getuid() in users.values() else None
    return next((users[name] for name in DATABASE_USERS if name in users), None)


def _fitted(item: AnyObject) -> AnyObject:
    """The pod `db` as this machine can run it; anything else as it is."""
    if not isinstance(item, Pod) or item.metadata.name != DATABASE:
        return item
    user = database_user()
    if has_postgres() and user is not None:
        security = SecurityContext(run_as_user=user)
        return replace(item, spec=replace(item.spec, security_context=security))
    (container,) = item.spec.containers
    container = replace(container, name="lines", command=LINE_SERVER, args=[])
    return replace(item, spec=replace(item.spec, containers=[container]))
