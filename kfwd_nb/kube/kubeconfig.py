"""Finds the cluster: the one configuration that a client needs (kubernetes.io, "kubeconfig").

Looked at in this order, and the first that is there is taken: the file or context that was asked
for; the embedded cluster that this process started; `KUBECONFIG`; `~/.kube/config`; the service
account of the pod that we run in.
"""

from __future__ import annotations

import base64
import binascii
import os
import ssl
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from kfwd_nb.errors import ConfigError
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
        if not path.is_file():
            continue
        document = _read(path)
        names = [str(each["name"]) for each in document["contexts"]]
        wanted = context or document["current-context"]
        if wanted in names:
            return _access(document, path, str(wanted), f"{label} {path}")
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
        hint="`%kfwd up` (in a terminal: `kfwd cluster up`) starts an embedded cluster.",
    )


def _places(kubeconfig: str | Path | None) -> list[tuple[str, Path]]:
    if kubeconfig is not None:
        path = Path(kubeconfig).expanduser()
        if not path.is_file():
            raise ConfigError(f"there is no kubeconfig {path}.")
        return [("kubeconfig", path)]
    places = [("the embedded cluster", _announced)] if _announced is not None else []
    names = filter(None, os.environ.get("KUBECONFIG", "").split(os.pathsep))
    places += [("KUBECONFIG", Path(name).expanduser()) for name in names]
    if "KUBECONFIG" not in os.environ:
        home = Path(os.environ.get("HOME") or Path.home())
        places.append(("", home / ".kube" / "config"))
    return places


def _listed(places: list[tuple[str, Path]]) -> str:
    return ", ".join(f"{label} {path}".strip() for label, path in places)


def _read(path: Path) -> dict[str, Any]:
    import yaml

    try:
        document = yaml.load(path.read_bytes(), getattr(yaml, "CSafeLoader", yaml.SafeLoader))  # noqa: S506 - both are safe loaders
    except (OSError, yaml.YAMLError) as error:
        raise ConfigError(f"kubeconfig {path} cannot be read: {error}") from None
    if not isinstance(document, dict):
        raise ConfigError(f"{path} is no kubeconfig.")
    for key in ("clusters", "users", "contexts"):
        entries = document.setdefault(key, []) or []
        if not all(isinstance(each, dict) and "name" in each for each in entries):
            raise ConfigError(f"kubeconfig {path}: `{key}` is no list of named entries.")
        document[key] = entries
    document.setdefault("current-context", None)
    return document


def _entry(document: dict[str, Any], kind: str, name: object, source: str) -> dict[str, Any]:
    for each in document[f"{kind}s"]:
        if each["name"] == name:
            return dict(each.get(kind) or {})
    raise ConfigError(f'{source}: there is no {kind} "{name}".')


def _access(document: dict[str, Any], path: Path, name: str, source: str) -> ClusterAccess:
    source = source.strip()
    context = _entry(document, "context", name, source)
    cluster = _entry(document, "cluster", context.get("cluster"), source)
    user = _entry(document, "user", context.get("user"), source)
    server = str(cluster.get("server") or "")
    if urlsplit(server).scheme != "https":
        raise ConfigError(
            f'{source}: the server of cluster "{context.get("cluster")}" is no https URL.'
        )
    for key in ("exec", "auth-provider", "client-certificate-data", "username"):
        if user.get(key):
            raise ConfigError(f"{source}: a user with `{key}` is not supported yet.")
    cert, key_file = user.get("client-certificate"), user.get("client-key")
    return ClusterAccess(
        context=name,
        server=server,
        namespace=str(context.get("namespace") or "default"),
        source=source,
        embedded=path == _announced,
        ca_data=_ca(cluster, path, source),
        token=_token(user, path, source),
        client_cert=(path.parent / cert, path.parent / key_file) if cert and key_file else None,
        server_name=cluster.get("tls-server-name"),
    )


def _ca(cluster: dict[str, Any], path: Path, source: str) -> bytes | None:
    if data := cluster.get("certificate-authority-data"):
        try:
            return base64.b64decode(data, validate=True)
        except (binascii.Error, TypeError):
            raise ConfigError(f"{source}: certificate-authority-data is no base64.") from None
    if file := cluster.get("certificate-authority"):
        return _content(path.parent / str(file), source)
    return None


def _token(user: dict[str, Any], path: Path, source: str) -> str | None:
    if file := user.get("tokenFile"):
        return _content(path.parent / str(file), source).decode().strip()
    token = user.get("token")
    return None if token is None else str(token)


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
