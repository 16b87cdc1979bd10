"""Exec plugins: programs that say who is asking (client.authentication.k8s.io/v1 and v1beta1).

A plugin is run when a credential is needed and none is valid; what it says stays in this process
until it expires. Its stdin is closed, its stderr is shown while it runs (a device code, the URL for
a browser), and it ends with the wait for it.
"""

from __future__ import annotations

import asyncio
import functools
import threading
import time
import weakref
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import msgspec

from kfwd_nb.errors import ConfigError, printable
from kfwd_nb.kube.kubeconfig.credentials import Credential, Notice, bearer
from kfwd_nb.kube.kubeconfig.login_path import find_command
from kfwd_nb.kube.kubeconfig.plugin_process import RUN_LIMIT, PluginProcess
from kfwd_nb.kube.waiting import Waiting, Waits, unheard

GROUP = "client.authentication.k8s.io"

VERSIONS = (f"{GROUP}/v1", f"{GROUP}/v1beta1")
"""What kubectl takes, too; v1alpha1 went with 1.24."""

MAX_PLUGINS = 32
"""Plugins, with their arguments, whose credentials are kept."""

RENEW_BEFORE = 30.0
"""Seconds before its end at which a credential is renewed; a tenth of a shorter life than 300 s."""

MAX_TOLD = 5
"""Last lines of stderr that an error repeats."""


@dataclass(frozen=True, slots=True)
class PluginSpec:
    """What a kubeconfig says of a plugin.

    Attributes:
        command: a name, or a path.
        env: added to our environment.
        install_hint: the kubeconfig's own words for who does not have the program.
        cluster: JSON of the cluster, for who asked for it (`provideClusterInfo`); else empty.
        source: the kubeconfig, for messages.
    """

    command: str
    args: tuple[str, ...]
    env: tuple[tuple[str, str], ...]
    api_version: str
    interactive_mode: str
    install_hint: str
    cluster: bytes
    source: str

    def check(self) -> None:
        """Nothing, if it can be run.

        Raises:
            ConfigError: it names no command, another version, or wants a terminal.
        """
        if not self.command:
            raise ConfigError(f"{self.source}: the exec plugin names no command.")
        if self.api_version not in VERSIONS:
            raise ConfigError(
                f'{self.source}: the exec plugin "{self.command}" speaks apiVersion '
                f'"{self.api_version}", which is none of {", ".join(VERSIONS)}.',
                hint="update the plugin, and have it write the kubeconfig again.",
            )
        if self.interactive_mode == "Always":
            raise ConfigError(
                f'{self.source}: the exec plugin "{self.command}" wants a terminal '
                "(interactiveMode: Always), and kfwd gives plugins no stdin.",
                hint="log in once with the plugin's own command, then again; or set "
                "interactiveMode to IfAvailable.",
            )


class _Status(msgspec.Struct, rename="camel"):
    token: str | None = None
    client_certificate_data: str | None = None
    client_key_data: str | None = None
    expiration_timestamp: datetime | None = None


class _Answer(msgspec.Struct, rename="camel"):
    kind: str = ""
    api_version: str = ""
    status: _Status | None = None


class ExecPlugin:
    """The credentials of one plugin; made by `exec_plugin`."""

    def __init__(self, spec: PluginSpec, wall: Callable[[], float] = time.time) -> None:
        self._spec = spec
        self._wall = wall
        self._kept: tuple[Credential, float] | None = None
        self._turns: weakref.WeakKeyDictionary[asyncio.AbstractEventLoop, asyncio.Lock] = (
            weakref.WeakKeyDictionary()
        )

    async def current(self, notice: Notice, waits: Waits = unheard) -> Credential:
        """The kept credential while it is valid, else one that the plugin says now.

        Raises:
            ConfigError: it is not there, fails, or says something else.
        """
        turn = self._turns.setdefault(asyncio.get_running_loop(), asyncio.Lock())
        async with turn:
            kept = self._kept
            if kept is None or self._wall() >= kept[1]:
                kept = self._kept = await self._run(notice, waits)
            return kept[0]

    def forget(self, refused: Credential) -> bool:
        """Run the plugin again next time, unless that has been done since `refused` was given."""
        if self._kept is not None and self._kept[0] is refused:
            self._kept = None
        return True

    async def _run(self, notice: Notice, waits: Waits) -> tuple[Credential, float]:
        spec = self._spec
        spec.check()
        environment = dict(spec.env) | {"KUBERNETES_EXEC_INFO": _information(spec)}
        found = await find_command(spec.command, environment, spec.source, spec.install_hint)
        process = PluginProcess(found.path, spec.args, found.environment)
        began = time.time()  # the machine's own clock, which a person reads
        waiting = Waiting(
            f"the exec plugin {spec.command} of the kubeconfig", "", began, began + RUN_LIMIT
        )
        status, output, said = await process.run(notice, lambda: waits(waiting))
        if status != 0:
            raise _failure(spec, f"ended with exit code {status}", said)
        return self._credential(output, said)

    def _credential(self, output: bytes, said: list[str]) -> tuple[Credential, float]:
        spec = self._spec
        try:
            answer = msgspec.json.decode(output, type=_Answer)
        except (msgspec.MsgspecError, UnicodeError) as error:
            raise _failure(spec, f"printed no ExecCredential: {error}", said) from None
        if answer.kind != "ExecCredential" or answer.api_version != spec.api_version:
            named = f"{answer.api_version or 'no version'} {answer.kind or 'of no kind'}"
            wanted = f"{spec.api_version} ExecCredential"
            raise _failure(spec, f"printed {named}, not {wanted}", said)
        status = answer.status or _Status()
        certificate, key = status.client_certificate_data, status.client_key_data
        if bool(certificate) != bool(key):
            raise _failure(spec, "printed a certificate without its key, or the reverse", said)
        if not status.token and not certificate:
            raise _failure(spec, "printed neither a token nor a certificate", said)
        if status.token and not (status.token.isascii() and status.token.isprintable()):
            raise _failure(spec, "printed a token with characters that none may have", said)
        credential = Credential(
            bearer(status.token) if status.token else {},
            certificate.encode() if certificate else None,
            key.encode() if key else None,
        )
        return credential, self._renewal(status.expiration_timestamp)

    def _renewal(self, expires: datetime | None) -> float:
        """When to run the plugin again (seconds since the epoch)."""
        if expires is None:
            return float("inf")
        end, now = expires.replace(tzinfo=expires.tzinfo or UTC).timestamp(), self._wall()
        return end - min(RENEW_BEFORE, max(end - now, 0.0) / 10)


def _information(spec: PluginSpec) -> str:
    """KUBERNETES_EXEC_INFO."""
    inside: dict[str, Any] = {"interactive": False}
    if spec.cluster:
        inside["cluster"] = msgspec.json.decode(spec.cluster)
    document = {"apiVersion": spec.api_version, "kind": "ExecCredential", "spec": inside}
    return msgspec.json.encode(document).decode()


def _failure(spec: PluginSpec, what: str, said: list[str]) -> ConfigError:
    told = "".join(f"\n  {printable(line)}" for line in said[-MAX_TOLD:])
    command = " ".join((spec.command, *spec.args[:3], *(("...",) if spec.args[3:] else ())))
    return ConfigError(
        f'{spec.source}: the exec plugin "{spec.command}" {what}.{told}',
        hint=f"kfwd gives plugins no stdin: log in once with the plugin's own command (see what "
        f"`{printable(command)}` says in a terminal), then again.",
    )


_lock = threading.Lock()


@functools.lru_cache(maxsize=MAX_PLUGINS)
def _plugin(spec: PluginSpec) -> ExecPlugin:
    return ExecPlugin(spec)


def exec_plugin(spec: PluginSpec) -> ExecPlugin:
    """The plugin of that form; the same object, with what it knows, as long as the process lives.

    Every forward reads the kubeconfig anew, and a plugin may take seconds, or ask a person.
    """
    with _lock:
        return _plugin(spec)
