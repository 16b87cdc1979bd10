"""Finds the cluster: the one configuration that a client needs (kubernetes.io, "kubeconfig").

Looked at in this order, and the first that is there is taken: the file or context that was asked
for; the embedded cluster that this process started; `KUBECONFIG`; `~/.kube/config`; the service
account of the pod that we run in.
"""

from __future__ import annotations

import base64
import os
import ssl
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar
from urllib.parse import urlsplit

from kfwd_nb.errors import ConfigError
from kfwd_nb.kube.kubeconfig_file import Cluster, Kubeconfig, User, read
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


@dataclass(frozen=True, slots=True)
class ClusterAccess:
    """One context, resolved: where the API server is, who is asking, and in which namespace.

    Attributes:
        context: the context's name.
        server: the API server's URL.
        namespace: the context's own; `default` if it names none.
        source: where this was found, for messages.
        embedded: it is the embedded cluster that this process started.
        ca_data: the CA that the server's certificate must come from, PEM; None: the machine's own.
        token: bearer token, if there is one.
        client_cert: certificate and key files of ours, if there are any.
        server_name: the name in the server's certificate, if it is not the URL's host.
    """

    context: str
    server: str
    namespace: str
    source: str
    embedded: bool = False
    ca_data: bytes | None = None
    token: str | None = None
    client_cert: tuple[Path, Path] | None = None
    server_name: str | None = None

    @property
    def host(self) -> str:
        """Host of the API server."""
        return urlsplit(self.server).hostname or ""

    @property
    def port(self) -> int:
        """Port of the API server."""
        return urlsplit(self.server).port or 443

    def tls(self) -> ssl.SSLContext:
        """TLS towards the API server.

        Raises:
            ConfigError: its certificates cannot be read.
        """
        from kfwd_nb.transport.tls import client_context

        cert, key = self.client_cert or (None, None)
        try:
            return client_context(ca_data=self.ca_data, cert=cert, key=key)
        except (OSError, ValueError) as error:
            raise ConfigError(f"{self.source}: the certificates cannot be used: {error}.") from None

    def headers(self) -> dict[str, str]:
        """Fields that go with every request."""
        return {"authorization": f"Bearer {self.token}"} if self.token else {}


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
    for label, path in places:
        if not os.path.isfile(path):  # noqa: PTH113 - is_file raises where it may not look
            continue
        file = read(path)
        names = [each.name for each in file.contexts or ()]
        wanted = context or file.current_context
        if wanted in names:
            return _access(file, path, str(wanted), f"{label} {path}".strip())
        contexts += names
    if context is None and kubeconfig is None and (access := _in_cluster()) is not None:
        return access
    if context is not None and contexts:
        raise ConfigError(
            f'no context "{context}" in {_listed(places)}.',
            hint=did_you_mean(context, contexts),
        )
    raise ConfigError(
        f"no cluster found; looked at {_listed(places)}, and for a service account in "
        f"{SERVICE_ACCOUNT}.",
        hint="`%kfwd up` in a notebook, `kfwd cluster up` in a terminal: an embedded cluster.",
    )


def _places(kubeconfig: str | Path | None) -> list[tuple[str, Path]]:
    if kubeconfig is not None:
        path = Path(kubeconfig).expanduser()
        if not path.is_file():
            raise ConfigError(f"there is no kubeconfig {path}.")
        return [("kubeconfig", path)]
    if _announced is not None and not _announced.is_file():
        raise ConfigError(
            "the embedded cluster of this process has ended.", hint="`%kfwd up` starts another."
        )
    places = [("the embedded cluster", _announced)] if _announced is not None else []
    variable = os.environ.get("KUBECONFIG", "")
    names = filter(None, variable.split(os.pathsep))
    places += [("KUBECONFIG", Path(name).expanduser()) for name in names]
    if not variable:
        places.append(("", Path(os.environ.get("HOME") or Path.home()) / ".kube" / "config"))
    return places


def _listed(places: list[tuple[str, Path]]) -> str:
    named = (f"{label} {path}".strip() for label, path in places)
    there = ("" if path.is_file() else " (not there)" for _, path in places)
    return ", ".join(map("".join, zip(named, there, strict=True)))


T = TypeVar("T")


def _found(value: T | None, kind: str, name: str, source: str) -> T:
    if value is None:
        raise ConfigError(f'{source}: there is no {kind} "{name}".')
    return value


def _access(file: Kubeconfig, path: Path, name: str, source: str) -> ClusterAccess:
    contexts = {each.name: each.context for each in file.contexts or ()}
    clusters = {each.name: each.cluster for each in file.clusters or ()}
    users = {each.name: each.user or User() for each in file.users or ()}
    context = _found(contexts.get(name), "context", name, source)
    cluster = _found(clusters.get(context.cluster), "cluster", context.cluster, source)
    user = _found(users.get(context.user), "user", context.user, source)
    if user.unsupported:
        raise ConfigError(f"{source}: a user with `{user.unsupported}` is not supported yet.")
    pair = user.client_certificate, user.client_key
    return ClusterAccess(
        context=name,
        server=_server(cluster, context.cluster, source),
        namespace=context.namespace or "default",
        source=source,
        embedded=path == _announced,
        ca_data=_ca(cluster, path, source),
        token=_token(user, path, source),
        client_cert=(path.parent / pair[0], path.parent / pair[1]) if pair[0] and pair[1] else None,
        server_name=cluster.tls_server_name,
    )


def _server(cluster: Cluster, name: str, source: str) -> str:
    try:
        url = urlsplit(cluster.server)
        usable = url.scheme == "https" and url.hostname and url.port != 0
    except ValueError:  # a port that is no number, or a broken IPv6 address
        usable = False
    if not usable:
        raise ConfigError(f'{source}: the server of cluster "{name}" is no https URL.')
    return cluster.server


def _ca(cluster: Cluster, path: Path, source: str) -> bytes | None:
    if cluster.certificate_authority_data:
        try:
            return base64.b64decode(cluster.certificate_authority_data, validate=True)
        except ValueError:
            raise ConfigError(f"{source}: certificate-authority-data is no base64.") from None
    if cluster.certificate_authority:
        return _content(path.parent / cluster.certificate_authority, source)
    return None


def _token(user: User, path: Path, source: str) -> str | None:
    if not user.token_file:
        return None if user.token is None else str(user.token)
    file = path.parent / user.token_file
    try:
        return _content(file, source).decode().strip()
    except UnicodeError:
        raise ConfigError(f"{source}: {file} holds no token.") from None


def _content(path: Path, source: str) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise ConfigError(f"{source}: {path}: {error.strerror}.") from None


def _in_cluster() -> ClusterAccess | None:
    host, port = (
        os.environ.get("KUBERNETES_SERVICE_HOST"),
        os.environ.get("KUBERNETES_SERVICE_PORT"),
    )
    token, ca = SERVICE_ACCOUNT / "token", SERVICE_ACCOUNT / "ca.crt"
    if not (host and port and token.is_file()):
        return None
    namespace = SERVICE_ACCOUNT / "namespace"
    return ClusterAccess(
        context="in-cluster",
        server=f"https://{f'[{host}]' if ':' in host else host}:{port}",
        namespace=namespace.read_text().strip() if namespace.is_file() else "default",
        source=f"the service account in {SERVICE_ACCOUNT}",
        ca_data=ca.read_bytes() if ca.is_file() else None,
        token=token.read_text().strip(),
    )
