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
        expires: seconds since the epoch; None for never.
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
        ca: signs the certificates of node agents and of clients that come with one.
        port: 0 for any free one.
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
