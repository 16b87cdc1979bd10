"""From what a kubeconfig says of a user and a cluster to credentials and the CA."""

from __future__ import annotations

import base64
from pathlib import Path
from typing import Any

import msgspec

from kfwd_nb.errors import ConfigError
from kfwd_nb.kube.kubeconfig.credentials import Anonymous, Credentials, Pem, Static, bearer, content
from kfwd_nb.kube.kubeconfig.file import AuthProvider, Cluster, Exec, User

EXEC_EXTENSION = "client.authentication.k8s.io/exec"
"""The extension of a cluster that its exec plugin is given as `config`."""

_REPLACEMENTS = {
    "gcp": (
        "was removed from kubectl in 1.26",
        "install gke-gcloud-auth-plugin, then run `gcloud container clusters get-credentials`.",
    ),
    "azure": (
        "was removed from kubectl in 1.26",
        "install kubelogin, then run `kubelogin convert-kubeconfig`.",
    ),
    "oidc": (
        "is not read here",
        "use the exec plugin `kubectl oidc-login` (kubelogin) in its place.",
    ),
}


def authority(cluster: Cluster, path: Path, source: str) -> bytes | None:
    """The CA that the server's certificate must come from; None: the machine's own.

    Raises:
        ConfigError: it cannot be read, or contradicts insecure-skip-tls-verify.
    """
    named = cluster.certificate_authority_data or cluster.certificate_authority
    if named and cluster.insecure_skip_tls_verify:
        raise ConfigError(
            f"{source}: a certificate authority and insecure-skip-tls-verify exclude each other."
        )
    if cluster.certificate_authority_data:
        return _decoded(cluster.certificate_authority_data, "certificate-authority-data", source)
    if cluster.certificate_authority:
        return content(_beside(path, cluster.certificate_authority), source)
    return None


def credentials(
    user: User, path: Path, cluster: Cluster, ca_data: bytes | None, source: str
) -> Credentials:
    """How this user is proved: a token wins over a plugin, as client-go has it.

    Args:
        user: of the context.
        path: of the file that says it; names of files are relative to that.
        cluster: of the context, for a plugin that wants to know it.
        ca_data: the cluster's CA.
        source: for messages.

    Raises:
        ConfigError: something is missing, or no way that is known here.
    """
    pair = _pair(user, path, source)
    token_file = _beside(path, user.token_file) if user.token_file else None
    if token_file is not None:
        content(token_file, source)  # a kubeconfig that names a missing file says so at once
    headers: dict[str, str] = {}
    if user.token:
        headers = bearer(str(user.token))
    elif user.username:
        joined = f"{user.username}:{'' if user.password is None else user.password}"
        headers = {"authorization": f"Basic {base64.b64encode(joined.encode()).decode()}"}
    if any(not value.isprintable() or not value.isascii() for value in headers.values()):
        raise ConfigError(f"{source}: the token has characters that none may have.")
    if headers or token_file is not None:
        return Static(source, headers, token_file, pair)
    if user.auth_provider is not None:
        raise _auth_provider(user.auth_provider, source)
    if user.exec is not None:
        return _plugin(user.exec, path, cluster, ca_data, source)
    return Anonymous() if pair is None else Static(source, pair=pair)


def _auth_provider(provider: AuthProvider, source: str) -> ConfigError:
    what, instead = _REPLACEMENTS.get(
        provider.name, ("is not known here", "use an exec plugin, or a token.")
    )
    return ConfigError(f'{source}: the auth-provider "{provider.name}" {what}.', hint=instead)


def _pair(user: User, path: Path, source: str) -> tuple[Pem, Pem] | None:
    parts = {
        "client-certificate": (user.client_certificate_data, user.client_certificate),
        "client-key": (user.client_key_data, user.client_key),
    }
    found: list[Pem] = []
    for name, (data, file) in parts.items():
        if data:
            found.append(Pem(_decoded(data, f"{name}-data", source)))
        elif file:
            found.append(Pem(path=_beside(path, file)))
            content(_beside(path, file), source)
    if not found:
        return None
    if len(found) == 1:
        raise ConfigError(f"{source}: a client-certificate needs its client-key, and the reverse.")
    return found[0], found[1]


def _plugin(
    wanted: Exec, path: Path, cluster: Cluster, ca_data: bytes | None, source: str
) -> Credentials:
    from kfwd_nb.kube.kubeconfig.exec_plugin import PluginSpec, exec_plugin

    command = wanted.command
    if "/" in command:  # client-go: a path is relative to the file, a name is looked for
        command = str(_beside(path, command))
    spec = PluginSpec(
        command=command,
        args=tuple(wanted.args or ()),
        env=tuple((each.name, each.value) for each in wanted.env or ()),
        api_version=wanted.api_version,
        interactive_mode=wanted.interactive_mode,
        install_hint=wanted.install_hint,
        cluster=_cluster_info(cluster, ca_data) if wanted.provide_cluster_info else b"",
        source=source,
    )
    spec.check()
    return exec_plugin(spec)


def _cluster_info(cluster: Cluster, ca_data: bytes | None) -> bytes:
    """`spec.cluster` of KUBERNETES_EXEC_INFO (client.authentication.k8s.io/v1 `Cluster`)."""
    config = next((e.extension for e in cluster.extensions or () if e.name == EXEC_EXTENSION), None)
    info: dict[str, Any] = {
        "server": cluster.server,
        "tls-server-name": cluster.tls_server_name,
        "insecure-skip-tls-verify": cluster.insecure_skip_tls_verify,
        "certificate-authority-data": base64.b64encode(ca_data).decode() if ca_data else None,
        "proxy-url": cluster.proxy_url,
        "config": config,
    }
    return msgspec.json.encode({name: value for name, value in info.items() if value})


def _beside(path: Path, name: str) -> Path:
    """A file that a kubeconfig names: relative to it."""
    return path.parent / name


def _decoded(text: str, name: str, source: str) -> bytes:
    try:
        return base64.b64decode("".join(text.split()), validate=True)
    except ValueError:
        raise ConfigError(f"{source}: {name} is no base64.") from None
