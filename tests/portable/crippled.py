"""Python as it is where there is no Linux: `crippled.py -c CODE` or `crippled.py -m MODULE ARG...`.

Hidden are modules that only Unix or only Linux has, the calls behind namespaces and pidfds, and the
event loop's signal handlers, which a Windows loop answers with NotImplementedError.
"""

from __future__ import annotations

import asyncio
import os
import runpy
import signal
import socket
import sys
from importlib.abc import MetaPathFinder
from typing import Any, NoReturn

import psutil  # noqa: F401 - its Linux half wants `resource`; elsewhere it has other halves

MODULES = {"pyroute2", "fcntl", "resource", "pwd", "grp", "termios", "tty", "pty", "syslog"}

OS_NAMES = (
    *("setns", "unshare", "pidfd_open", "fork", "forkpty", "register_at_fork", "getuid", "geteuid"),
    *("getgid", "setsid", "waitid", "posix_spawn", "sendfile", "memfd_create", "eventfd", "mkfifo"),
)

CONSTANTS = (
    (socket, ("SO_REUSEPORT", "send_fds", "recv_fds", "AF_NETLINK")),
    (signal, ("SIGHUP", "SIGKILL", "SIGCHLD", "SIGUSR1", "pthread_sigmask")),
)


class Hidden(MetaPathFinder):
    """Says that a module is not there."""

    def find_spec(self, name: str, path: Any = None, target: Any = None) -> None:
        """Refuse what is hidden.

        Raises:
            ModuleNotFoundError: as Python does where the module does not exist.
        """
        if name.partition(".")[0] in MODULES:
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)


def unsupported(*arguments: object) -> NoReturn:
    """What a Windows loop answers.

    Raises:
        NotImplementedError: always.
    """
    raise NotImplementedError


def hide() -> None:
    """Hide it all from what is imported from now on."""
    for name in MODULES:
        sys.modules.pop(name, None)
    sys.meta_path.insert(0, Hidden())
    for name in OS_NAMES:
        if hasattr(os, name):
            delattr(os, name)
    for module, names in CONSTANTS:
        for name in names:
            if hasattr(module, name):
                delattr(module, name)
    for loop in (asyncio.SelectorEventLoop, asyncio.BaseEventLoop):
        loop.add_signal_handler = unsupported  # type: ignore[method-assign]
        loop.remove_signal_handler = unsupported  # type: ignore[method-assign]


def main() -> None:
    """Hide, then run what was asked for."""
    kind, what, *arguments = sys.argv[1:]
    hide()
    sys.argv = [what, *arguments]
    if kind == "-c":
        exec(compile(what, "<test>", "exec"), {"__name__": "__main__"})
    else:
        runpy.run_module(what, run_name="__main__", alter_sys=True)


main()
