"""Finds the cluster.

Looked at in this order, and the first that is there is taken: the file or context that was asked
for; the embedded cluster that this process started; `KUBECONFIG`, whose files count as one;
`~/.kube/config`; the service account of the pod that we run in.
"""

from __future__ import annotations

import os
from pathlib import Path
from urllib.parse import urlsplit

from kfwd_nb.errors import ConfigError
from kfwd_nb.kube.kubeconfig.access import ClusterAccess
from kfwd_nb.kube.kubeconfig.credentials import Static
from kfwd_nb.kube.kubeconfig.file import Cluster, Merged, User, merge, read
from kfwd_nb.kube.kubeconfig.user import authority, credentials
from kfwd_nb.kube.nearest import did_you_mean

SERVICE_ACCOUNT = Path("/var/run/secrets/kubernetes.io/serviceaccount")
"""Where a pod finds its own token, CA and namespace."""

_announced: Path | None = None


def announce(path: Path | None) -> None:
    """Say where the kubeconfig of this process's own embedded cluster is; None when it is gone."""
    global _announced  # noqa: PLW0603 - one embedded cluster at a time is what a process has
    _announced = path


def announced() -> Path | None:
    """The kubeconfig of this process's own embedded cluster, while there is one."""
    return _announced


def load(kubeconfig: str | Path | None = None, context: str | None = None) -> ClusterAccess:
    """Find the cluster.

    Args:
        kubeconfig: look into this file only.
        context: take this context, from the first place that has it.

    Raises:
        ConfigError: there is none; the text says where was looked.
    """
    places = _places(kubeconfig)
    contexts: list[str] = []
    for label, paths in places:
        there = [path for path in paths if os.path.isfile(path)]  # noqa: PTH113 - see _listed
        merged = merge([(path, read(path)) for path in there])
        wanted = context or merged.current
        if wanted in merged.contexts:
            return _access(merged, wanted, label)
        contexts += merged.contexts
    if context is None and kubeconfig is None and (access := _in_cluster()) is not None:
        return access
    if context is not None and contexts:
        raise ConfigError(
            f'no context "{context}" in {_listed(places)}.',
            hint=did_you_mean(context, contexts),
        )
    if contexts:
        raise ConfigError(
            f"no current context in {_listed(places)}.",
            hint=f"name one: {did_you_mean('', contexts)}",
        )
    raise ConfigError(
        f"no cluster found; looked at {_listed(places)}, and for a service account in "
        f"{SERVICE_ACCOUNT}.",
        hint="`%kfwd up` in a notebook, `kfwd cluster up` in a terminal: an embedded cluster.",
    )


def contexts(kubeconfig: str | Path | None = None) -> tuple[str, ...]:
    """The names of all contexts that `load` would find, the nearest place first.

    Raises:
        ConfigError: a file cannot be read.
    """
    found: dict[str, None] = {}
    for _, paths in _places(kubeconfig):
        there = [path for path in paths if os.path.isfile(path)]  # noqa: PTH113 - see _listed
        found |= dict.fromkeys(merge([(path, read(path)) for path in there]).contexts)
    return tuple(found)


Place = tuple[str, list[Path]]
"""A name, and files that count as one."""


def _places(kubeconfig: str | Path | None) -> list[Place]:
    if kubeconfig is not None:
        path = Path(kubeconfig).expanduser()
        if not path.is_file():
            raise ConfigError(f"there is no kubeconfig {path}.")
        return [("kubeconfig", [path])]
    if _announced is not None and not _announced.is_file():
        raise ConfigError(
            "the embedded cluster of this process has ended.", hint="`%kfwd up` starts another."
        )
    places: list[Place] = []
    if _announced is not None:
        places.append(("the embedded cluster", [_announced]))
    variable = os.environ.get("KUBECONFIG", "")
    names = filter(None, variable.split(os.pathsep))
    if variable:
        places.append(("KUBECONFIG", [Path(name).expanduser() for name in names]))
    else:
        home = Path(os.environ.get("HOME") or Path.home())
        places.append(("", [home / ".kube" / "config"]))
    return places


def _listed(places: list[Place]) -> str:
    """Every file; `os.path.isfile` says False where `Path.is_file` raises (no right to look)."""
    labels: dict[Path, list[str]] = {}
    for label, paths in places:
        for path in paths:  # `%kfwd up` sets KUBECONFIG to the embedded cluster's own
            labels.setdefault(path, []).append(label)
    return ", ".join(
        f"{' and '.join(both)} {path}".strip() + ("" if os.path.isfile(path) else " (not there)")  # noqa: PTH113
        for path, both in labels.items()
    )


def _access(merged: Merged, name: str, label: str) -> ClusterAccess:
    context, path = merged.contexts[name]
    source = f"{label} {path}".strip()
    if context.cluster not in merged.clusters:
        raise ConfigError(f'{source}: there is no cluster "{context.cluster}".')
    if context.user and context.user not in merged.users:
        raise ConfigError(f'{source}: there is no user "{context.user}".')
    cluster, cluster_path = merged.clusters[context.cluster]
    user, user_path = merged.users.get(context.user) or (User(), path)
    ca_data = authority(cluster, cluster_path, source)
    server = _server(cluster, context.cluster, source)
    return ClusterAccess(
        context=name,
        server=server,
        namespace=context.namespace or "default",
        source=source,
        embedded=path == _announced,
        ca_data=ca_data,
        server_name=cluster.tls_server_name or None,
        insecure=cluster.insecure_skip_tls_verify,
        proxy_url=cluster.proxy_url or None,
        as_user=user.as_ or None,
        as_groups=tuple(user.as_groups or ()),
        as_uid=user.as_uid or None,
        as_extra=tuple((key, tuple(values)) for key, values in (user.as_user_extra or {}).items()),
        credentials=credentials(user, user_path, cluster, ca_data, source),
    )


def _server(cluster: Cluster, name: str, source: str) -> str:
    try:
        url = urlsplit(cluster.server)
        usable = url.scheme in ("https", "http") and url.hostname and url.port != 0
    except ValueError:  # a port that is no number, or a broken IPv6 address
        usable = False
    if not usable:
        raise ConfigError(f'{source}: the server of cluster "{name}" is no https or http URL.')
    return cluster.server


def _in_cluster() -> ClusterAccess | None:
    host, port = (
        os.environ.get("KUBERNETES_SERVICE_HOST"),
        os.environ.get("KUBERNETES_SERVICE_PORT"),
    )
    token, ca = SERVICE_ACCOUNT / "token", SERVICE_ACCOUNT / "ca.crt"
    if not (host and port and token.is_file()):
        return None
    namespace = SERVICE_ACCOUNT / "namespace"
    source = f"the service account in {SERVICE_ACCOUNT}"
    return ClusterAccess(
        context="in-cluster",
        server=f"https://{f'[{host}]' if ':' in host else host}:{port}",
        namespace=namespace.read_text().strip() if namespace.is_file() else "default",
        source=source,
        ca_data=ca.read_bytes() if ca.is_file() else None,
        credentials=Static(source, token_file=token),
    )
