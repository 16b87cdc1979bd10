"""How one proves to an API server who is asking: what stays, what is read anew, what is run."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from kfwd_nb.errors import ConfigError
from kfwd_nb.kube.waiting import Waits, unheard

Notice = Callable[[str], None]
"""Told one line that a person should read now."""


@dataclass(frozen=True, slots=True)
class Credential:
    """A proof: header fields, a client certificate, or both.

    Attributes:
        certificate: our certificate chain, PEM.
        key: its private key, PEM.
    """

    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    certificate: bytes | None = field(default=None, repr=False)
    key: bytes | None = field(default=None, repr=False)


def bearer(token: str) -> dict[str, str]:
    """The field that carries a token (RFC 6750 §2.1)."""
    return {"authorization": f"Bearer {token}"}


class Credentials(Protocol):
    """Where a `Credential` comes from. One object may be used from several threads and loops."""

    async def current(self, notice: Notice, waits: Waits = unheard) -> Credential:
        """What is valid now.

        Raises:
            ConfigError: it cannot be had.
        """

    def forget(self, refused: Credential) -> bool:
        """The server took `refused` for invalid; True if another can be had, or is there already.

        What is kept is dropped only if it is that one: of many requests that are refused at the
        same time, the first has a new one made for all.
        """


class Anonymous:
    """Nobody in particular: a cluster behind `kubectl proxy`, say."""

    async def current(self, notice: Notice, waits: Waits = unheard) -> Credential:
        """Nothing."""
        return Credential()

    def forget(self, refused: Credential) -> bool:
        """There is no other."""
        return False


@dataclass(frozen=True, slots=True)
class Pem:
    """A certificate or a key: its bytes, or the file that is read each time, as it may rotate."""

    data: bytes | None = None
    path: Path | None = None

    def read(self, source: str) -> bytes:
        """The bytes.

        Raises:
            ConfigError: the file cannot be read.
        """
        if self.path is not None:
            return content(self.path, source)
        return self.data or b""


@dataclass(slots=True)
class Static:
    """What the kubeconfig itself says, with files of certificates and tokens read when needed.

    A token file is read again when it has changed: in a pod its token is renewed every hour.

    Attributes:
        source: for messages.
        headers: a token or a password.
        token_file: preferred to a token in `headers`, as client-go has it.
        pair: our certificate and its key.
    """

    source: str
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    token_file: Path | None = None
    pair: tuple[Pem, Pem] | None = None
    _read: tuple[tuple[int, ...], str] | None = None

    async def current(self, notice: Notice, waits: Waits = unheard) -> Credential:
        """What the files say now."""
        headers = self.headers if self.token_file is None else bearer(self._token(self.token_file))
        if self.pair is None:
            return Credential(headers)
        certificate, key = (each.read(self.source) for each in self.pair)
        return Credential(headers, certificate, key)

    def forget(self, refused: Credential) -> bool:
        """A file may have changed within the time stamps' grain."""
        self._read = None
        return self.token_file is not None

    def _token(self, path: Path) -> str:
        try:
            status = os.stat(path)  # noqa: PTH116 - it names the file in its error, as is
        except OSError as error:
            raise ConfigError(f"{self.source}: {path}: {error.strerror}.") from None
        version = status.st_mtime_ns, status.st_ino, status.st_size
        if self._read is None or self._read[0] != version:
            self._read = version, _token_of(content(path, self.source), path, self.source)
        return self._read[1]


def content(path: Path, source: str) -> bytes:
    """A file that a kubeconfig names.

    Raises:
        ConfigError: it cannot be read; the text names both.
    """
    try:
        return path.read_bytes()
    except OSError as error:
        raise ConfigError(f"{source}: {path}: {error.strerror}.") from None


def _token_of(data: bytes, path: Path, source: str) -> str:
    try:
        token = data.decode("ascii").strip()
    except UnicodeError:
        token = ""
    if not token or not token.isprintable():
        raise ConfigError(f"{source}: {path} holds no token.") from None
    return token
