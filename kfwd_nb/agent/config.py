"""What a node agent is told when it starts: the file node-N.json of an embedded cluster."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

import msgspec

from kfwd_nb.errors import ConfigError

Isolation = Literal["netns", "userns", "loopback"]
"""How pods are kept apart: namespaces made as root, the same inside a user namespace, or not at
all (each port of a pod is then a free high port on 127.0.0.1)."""

ConnectorName = Literal["netns", "socat", "loopback"]


class RelayAddress(msgspec.Struct, forbid_unknown_fields=True):
    """Where the relay listens."""

    host: str
    port: int


class AgentConfig(msgspec.Struct, forbid_unknown_fields=True, kw_only=True):
    """One node.

    Attributes:
        cluster: name of the embedded cluster.
        node: this node's name; the certificate is made out to `system:node:NAME`.
        relay: where to register.
        cert: this node's certificate, for serving and for registering.
        key: its private key.
        ca: the cluster's CA.
        isolation: of this node's pods.
        connector: how ports of pods are opened.
        scratch: directory for the pods' private directories.
        nofile: soft limit of open descriptors that pods get.
    """

    cluster: str
    node: str
    relay: RelayAddress
    cert: Path
    key: Path
    ca: Path
    scratch: Path
    isolation: Isolation = "netns"
    connector: ConnectorName = "netns"
    nofile: int = 1024


def load(path: Path) -> AgentConfig:
    """Read the file.

    Raises:
        ConfigError: it cannot be read, or a field is missing, unknown or of the wrong type.
    """
    try:
        return msgspec.json.decode(path.read_bytes(), type=AgentConfig, dec_hook=_convert)
    except OSError as error:
        raise ConfigError(f"cannot read {path}: {error.strerror}.", where="node agent") from None
    except msgspec.DecodeError as error:
        raise ConfigError(f"{path}: {error}.", where="node agent") from None


def _convert(kind: type, value: object) -> object:
    """What msgspec does not read by itself: paths."""
    if kind is Path and isinstance(value, str):
        return Path(value)
    raise TypeError(f"expected a {kind.__name__}")
