"""The relay's configuration file: who it is, whom it knows, what they may do."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from kfwd_nb.errors import ConfigError

if TYPE_CHECKING:
    from pathlib import Path


class Token(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A bearer token and who its bearer is.

    Attributes:
        token: what the bearer sends.
        user: the bearer's name.
        groups: those that the bearer belongs to.
        expires: seconds since the epoch; null for never.
    """

    token: str
    user: str
    groups: tuple[str, ...] = ()
    expires: float | None = None


class Rule(
    msgspec.Struct, frozen=True, forbid_unknown_fields=True, rename={"api_groups": "apiGroups"}
):
    """Who may do what to which resources; a Role and its RoleBinding in one.

    `*` stands for all of its list; `pods/*` for every subresource of pods.

    Attributes:
        verbs: what they may do: get, list, watch, create, update, patch, delete, impersonate.
        resources: to what: plurals as in the API, subresources as in pods/portforward.
        users: names of those who may.
        groups: or groups of which they are one.
        namespaces: where.
        api_groups: of which API groups the resources are; "" is the one of pods and services.
    """

    verbs: tuple[str, ...]
    resources: tuple[str, ...]
    users: tuple[str, ...] = ()
    groups: tuple[str, ...] = ()
    namespaces: tuple[str, ...] = ("*",)
    api_groups: tuple[str, ...] = ("*",)


class RelayConfig(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The whole file. Paths are of PEM files.

    Attributes:
        cluster: the cluster's name.
        cert: the relay's certificate, as a server and, to the node agents, as a client.
        key: its private key.
        ca: signs the certificates of node agents and of clients that come with one.
        host: address to listen on.
        port: to listen on; 0 for any free one.
        tokens: of clients that come without a certificate.
        rules: who may do what; what no rule allows is forbidden.
    """

    cluster: str
    cert: str
    key: str
    ca: str
    host: str = "127.0.0.1"
    port: int = 0
    tokens: tuple[Token, ...] = ()
    rules: tuple[Rule, ...] = ()


def load(path: Path) -> RelayConfig:
    """Read the file.

    Raises:
        ConfigError: it cannot be read, or a field is unknown, missing or of another type.
    """
    try:
        return msgspec.json.decode(path.read_bytes(), type=RelayConfig)
    except OSError as error:
        raise ConfigError(f"{path}: cannot be read: {error.strerror}.", where="relay") from None
    except msgspec.MsgspecError as error:
        raise ConfigError(f"{path}: {error}.", where="relay") from None
