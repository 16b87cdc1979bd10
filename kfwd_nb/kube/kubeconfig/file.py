"""The form of a kubeconfig (client-go, `tools/clientcmd/api/v1`), and several as one."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

import msgspec
import yaml

from kfwd_nb.errors import ConfigError
from kfwd_nb.kube.yaml_problem import yaml_problem


class _Part(msgspec.Struct, rename="kebab"):
    """What we read of a kubeconfig; its other fields are passed over."""


class NamedExtension(_Part):
    """What somebody else keeps in the file; exec plugins read one of them."""

    name: str = ""
    extension: Any = None


class Cluster(_Part):
    """Where an API server is."""

    server: str = ""
    certificate_authority: str | None = None
    certificate_authority_data: str | None = None
    insecure_skip_tls_verify: bool = False
    tls_server_name: str | None = None
    proxy_url: str | None = None
    extensions: list[NamedExtension] | None = None


class ExecVariable(_Part):
    """A variable of an exec plugin's environment."""

    name: str
    value: str = ""


class Exec(msgspec.Struct, rename="camel"):
    """A program that says who is asking (client.authentication.k8s.io)."""

    command: str = ""
    api_version: str = ""
    args: list[str] | None = None
    env: list[ExecVariable] | None = None
    install_hint: str = ""
    interactive_mode: str = ""
    provide_cluster_info: bool = False


class AuthProvider(_Part):
    """What came before exec plugins."""

    name: str = ""


class User(_Part):
    """How one asks."""

    token: str | int | None = None
    token_file: str | None = msgspec.field(default=None, name="tokenFile")
    client_certificate: str | None = None
    client_certificate_data: str | None = None
    client_key: str | None = None
    client_key_data: str | None = None
    username: str | None = None
    password: str | int | None = None
    exec: Exec | None = None
    auth_provider: AuthProvider | None = None
    as_: str | None = msgspec.field(default=None, name="as")
    as_uid: str | None = None
    as_groups: list[str] | None = None
    as_user_extra: dict[str, list[str]] | None = None


class Context(_Part):
    """A cluster and a user, by their names, and a namespace."""

    cluster: str
    user: str = ""
    namespace: str | None = None


class NamedCluster(_Part):
    """An entry of a list of the file."""

    name: str
    cluster: Cluster | None = None


class NamedUser(_Part):
    """An entry of a list of the file."""

    name: str
    user: User | None = None


class NamedContext(_Part):
    """An entry of a list of the file."""

    name: str
    context: Context | None = None


class Kubeconfig(_Part):
    """The whole file."""

    clusters: list[NamedCluster] | None = None
    users: list[NamedUser] | None = None
    contexts: list[NamedContext] | None = None
    current_context: str | None = None


def read(path: Path) -> Kubeconfig:
    """Read a file.

    Raises:
        ConfigError: it cannot be read, is no YAML, or has another form; the text says which field.
    """
    loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    try:
        document = yaml.load(path.read_bytes(), loader)  # noqa: S506 - both are safe loaders
    except yaml.YAMLError as error:
        raise ConfigError(f"kubeconfig {path} cannot be read: {yaml_problem(error)}.") from None
    except (OSError, UnicodeError) as error:
        raise ConfigError(f"kubeconfig {path} cannot be read: {error}.") from None
    known = {"clusters", "contexts", "users", "current-context"}
    if not isinstance(document, dict) or not known & document.keys():
        raise ConfigError(f"{path} is no kubeconfig.")
    try:
        return msgspec.convert(document, Kubeconfig)
    except msgspec.ValidationError as error:
        raise ConfigError(f"kubeconfig {path} is not valid: {error}.") from None


T = TypeVar("T")
Entry = tuple[T, Path]
"""Something a file says, and the file: paths in it are relative to that."""


@dataclass(slots=True)
class Merged:
    """Several files as one: of each name the first that says it counts, as for kubectl."""

    current: str = ""
    clusters: dict[str, Entry[Cluster]] = field(default_factory=dict)
    users: dict[str, Entry[User]] = field(default_factory=dict)
    contexts: dict[str, Entry[Context]] = field(default_factory=dict)


def merge(files: Iterable[tuple[Path, Kubeconfig]]) -> Merged:
    """Merge (kubernetes.io, "Merging kubeconfig files")."""
    merged = Merged()
    for path, file in files:
        merged.current = merged.current or file.current_context or ""
        for cluster in file.clusters or ():
            if cluster.cluster is not None:
                merged.clusters.setdefault(cluster.name, (cluster.cluster, path))
        for user in file.users or ():
            merged.users.setdefault(user.name, (user.user or User(), path))
        for context in file.contexts or ():
            if context.context is not None:
                merged.contexts.setdefault(context.name, (context.context, path))
    return merged
