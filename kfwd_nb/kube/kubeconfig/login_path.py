"""Finds a command that is not on our PATH: on the login shell's.

A Jupyter that was started from a desktop has a bare PATH; what people install for themselves
(`~/.local/bin`, Homebrew, SDKs) is added by their shell's profile.
"""

from __future__ import annotations

import asyncio
import os
import shutil
from collections.abc import Mapping
from dataclasses import dataclass

from kfwd_nb.errors import ConfigError, KfwdError
from kfwd_nb.kube.kubeconfig.plugin_process import PluginProcess

SHELL_LIMIT = 5.0
"""Seconds for the login shell to read its profile."""

_MARK = "kfwd-path="
"""Before the answer: profiles print what they like."""


@dataclass(frozen=True, slots=True)
class Command:
    """A program, and the environment that it is to have."""

    path: str
    environment: Mapping[str, str]


async def find_command(
    command: str, extra: Mapping[str, str], source: str, install_hint: str = ""
) -> Command:
    """Find a program by name or path.

    Args:
        command: a path is taken as it is.
        extra: variables to add to ours; a PATH among them is where it is looked for.
        source: the kubeconfig, for messages.
        install_hint: what to do for who does not have it.

    Raises:
        ConfigError: it is on neither PATH; the text has both.
    """
    environment = dict(os.environ) | dict(extra)
    ours = environment.get("PATH", os.defpath)
    found = shutil.which(command, path=ours)
    if found is not None:
        return Command(found, environment)
    if os.path.dirname(command):  # noqa: PTH120 - is it a name or a path?
        raise ConfigError(
            f"{source}: the exec plugin {command} is not there, or cannot be run.",
            hint=install_hint or None,
        )
    theirs = await login_path()
    found = shutil.which(command, path=theirs) if theirs else None
    if found is not None:
        environment["PATH"] = f"{ours}{os.pathsep}{theirs}"
        return Command(found, environment)
    raise ConfigError(
        f'{source}: the exec plugin "{command}" is neither on the PATH of this process ({ours}) '
        f"nor on that of your login shell ({theirs or 'which did not say'}).",
        hint=install_hint.strip() or "install it, or give its full path in the kubeconfig.",
    )


async def login_path() -> str:
    """The PATH of the user's login shell; empty where it does not say in time."""
    shell = os.environ.get("SHELL", "/bin/sh")
    question = f"printf '\\n{_MARK}%s\\n' \"$PATH\""
    process = PluginProcess(shell, ("-lc", question), os.environ)
    try:
        async with asyncio.timeout(SHELL_LIMIT):
            _, output, _ = await process.run(lambda _: None)
    except (TimeoutError, KfwdError):
        return ""
    lines = output.decode(errors="replace").splitlines()
    said = [line.removeprefix(_MARK) for line in lines if line.startswith(_MARK)]
    return said[-1] if said else ""
