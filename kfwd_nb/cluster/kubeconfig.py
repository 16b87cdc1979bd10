"""The kubeconfig of an embedded cluster: all that any Kubernetes client needs to use it.

Format: kubernetes.io, "Organizing Cluster Access Using kubeconfig Files". The CA is inlined, so
that the file can be copied anywhere.
"""

from __future__ import annotations

import base64
from pathlib import Path
from typing import Any

import yaml

from kfwd_nb.cluster.folder import process_of, write_private
from kfwd_nb.errors import ConfigError

USER = "kfwd-admin"


def context_name(cluster: str) -> str:
    """The context, and the cluster's name in the kubeconfig."""
    return f"kfwd-{cluster}"


def kubeconfig(cluster: str, server: str, ca: bytes, token: str) -> bytes:
    """The file's content.

    Args:
        cluster: the cluster's name.
        server: URL of its relay.
        ca: certificate of its CA, PEM.
        token: bearer token of its user.
    """
    name = context_name(cluster)
    trusted = base64.b64encode(ca).decode()
    document = {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [
            {"name": name, "cluster": {"server": server, "certificate-authority-data": trusted}}
        ],
        "users": [{"name": name, "user": {"token": token}}],
        "contexts": [
            {"name": name, "context": {"cluster": name, "user": name, "namespace": "default"}}
        ],
        "current-context": name,
    }
    return yaml.safe_dump(document, sort_keys=False).encode()


def check_replaceable(path: Path) -> None:
    """Refuse to write over a file that is not the kubeconfig of an embedded cluster that is gone.

    Raises:
        ConfigError: it is somebody's own file, a living cluster's, or its folder is not there.
    """
    if not path.parent.is_dir():
        raise ConfigError(f"--kubeconfig {path}: there is no folder {path.parent}.")
    if not path.exists():
        return
    contexts = _embedded_contexts(path)
    for name in contexts:
        pid = process_of(name.removeprefix(context_name("")))
        if pid is not None:
            raise ConfigError(
                f"--kubeconfig {path}: it is that of a running cluster (process {pid}).",
                hint="name another file, or end that cluster first.",
            )
    if not contexts:
        raise ConfigError(
            f"--kubeconfig {path}: the file exists and is not an embedded cluster's.",
            hint="name a new file; yours is left as it is.",
        )


def write(path: Path, content: bytes) -> None:
    """Write a copy to a path that the user chose, mode 0600.

    Raises:
        ConfigError: it cannot be written, or is not ours to replace.
    """
    check_replaceable(path)
    try:
        write_private(path, content)
    except OSError as error:
        raise ConfigError(f"--kubeconfig {path}: {error.strerror}.") from error


def remove(path: Path, cluster: str) -> None:
    """Remove that copy, unless another cluster has written its own there since."""
    if _embedded_contexts(path) == [context_name(cluster)]:
        path.unlink(missing_ok=True)


def _embedded_contexts(path: Path) -> list[str]:
    """The contexts of a kubeconfig, if all of them are embedded clusters'; otherwise none."""
    try:
        document: Any = yaml.safe_load(path.read_bytes())
        names = [str(context["name"]) for context in document["contexts"]]
    except (OSError, yaml.YAMLError, KeyError, TypeError):
        return []
    return names if all(name.startswith(context_name("")) for name in names) else []
