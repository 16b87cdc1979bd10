"""What a node agent is told when it starts: a file, or the options of `kfwd agent`."""

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
    """Where the relay listens.

    Attributes:
        host: a name or an address that its certificate has.
        port: its port.
    """

    host: str
    port: int


class AgentConfig(msgspec.Struct, forbid_unknown_fields=True, kw_only=True):
    """One node.

    Attributes:
        cluster: name of the embedded cluster; empty for a node that is not part of one.
        node: this node's name; the certificate is made out to `system:node:NAME`.
        relay: where to register.
        cert: this node's certificate, for serving and for registering.
        key: its private key.
        ca: the cluster's CA.
        isolation: of this node's pods.
        connector: how ports of pods are opened.
        scratch: directory for the pods' private directories; not needed with `cri`.
        cri: URL of a container runtime's socket; its pods are this node's, and no others are run.
        address: where to listen, an IP address that the relay reaches.
        nofile: soft limit of open descriptors that pods get.
        variables: what every container has in its environment, for `$(NAME)` in its command, too.
        faults: file that says which ports have a fault, taken at the start and at SIGUSR1.
    """

    node: str
    cluster: str = ""
    relay: RelayAddress
    cert: Path
    key: Path
    ca: Path
    scratch: Path | None = None
    cri: str | None = None
    address: str = "127.0.0.1"
    isolation: Isolation = "netns"
    connector: ConnectorName = "netns"
    nofile: int = 1024
    variables: dict[str, str] = {}
    faults: Path | None = None


def load(path: Path) -> AgentConfig:
    """Read the file.

    Raises:
        ConfigError: it cannot be read, or a field is missing, unknown or of the wrong type.
    """
    try:
        config = msgspec.json.decode(path.read_bytes(), type=AgentConfig, dec_hook=_convert)
    except OSError as error:
        raise ConfigError(f"cannot read {path}: {error.strerror}.", where="node agent") from None
    except msgspec.DecodeError as error:
        raise ConfigError(f"{path}: {error}.", where="node agent") from None
    check(config, str(path))
    return config


def check(config: AgentConfig, source: str) -> None:
    """Refuse what cannot be meant together.

    Raises:
        ConfigError: `source` and what is wrong.
    """
    if config.cri is None and config.scratch is None:
        wrong = "`scratch` is missing, which a node that runs pods needs (one that finds them: cri)"
    elif config.cri is not None and "loopback" in (config.isolation, config.connector):
        wrong = (
            "pods that are found by CRI have namespaces: isolation and connector are not loopback"
        )
    else:
        return
    raise ConfigError(f"{source}: {wrong}.", where="node agent")


def _convert(kind: type, value: object) -> object:
    """What msgspec does not read by itself: paths."""
    if kind is Path and isinstance(value, str):
        return Path(value)
    raise TypeError(f"expected a {kind.__name__}")
