"""The form of a kubeconfig, as far as we read it (client-go, `tools/clientcmd/api/v1`)."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec
import yaml

from kfwd_nb.errors import ConfigError
from kfwd_nb.kube.yaml_problem import yaml_problem


class _Part(msgspec.Struct, rename="kebab"):
    """What we read of a kubeconfig; its other fields are passed over."""


class Cluster(_Part):
    """Where an API server is."""

    server: str = ""
    certificate_authority: str | None = None
    certificate_authority_data: str | None = None
    tls_server_name: str | None = None


class User(_Part):
    """How one asks."""

    token: str | int | None = None
    token_file: str | None = msgspec.field(default=None, name="tokenFile")
    client_certificate: str | None = None
    client_key: str | None = None
    client_certificate_data: str | None = None
    username: str | None = None
    exec: Any = None
    auth_provider: Any = None

    @property
    def unsupported(self) -> str | None:
        """The first way of authentication that is not ours yet."""
        ways = {
            "exec": self.exec,
            "auth-provider": self.auth_provider,
            "client-certificate-data": self.client_certificate_data,
            "username": self.username,
        }
        return next((name for name, value in ways.items() if value), None)


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
    if not isinstance(document, dict) or not {"clusters", "contexts"} & document.keys():
        raise ConfigError(f"{path} is no kubeconfig.")
    try:
        return msgspec.convert(document, Kubeconfig)
    except msgspec.ValidationError as error:
        raise ConfigError(f"kubeconfig {path} is not valid: {error}.") from None
