"""The frame of the command: which subcommand, and how an error looks.

Exit status: 0 for success, for an end by SIGINT, SIGTERM or SIGHUP, and when nobody reads the
output any more; 1 for a failure; 2 for a line that cannot be meant; 128 and the signal's number
(130 for Ctrl-C) when a forward was ended before it listened.
"""

from __future__ import annotations

import argparse
import importlib
import os
import signal
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from difflib import get_close_matches
from pathlib import Path
from types import FrameType
from typing import Any, NoReturn

from kfwd_nb._version import __version__
from kfwd_nb.cli.terminal import let_go, show_error
from kfwd_nb.errors import KfwdError, UsageError

FORWARD = "port-forward"

COMMANDS = {
    FORWARD: "forward local ports to a pod, a service or a deployment",
    "cluster": "run an embedded cluster on this machine",
    "agent": "make the pods of this machine's container runtime reachable through a relay",
    "completion": "print what makes a shell's Tab key know this command",
}
"""The subcommands: each is a module of this package, `-` written `_`, imported when it is used."""

SIGNALLED = 128
"""Added to a signal's number in an exit status, as shells do."""

_ENDING = [
    getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGHUP") if hasattr(signal, name)
]
"""The signals that end us; Windows has no SIGHUP."""

OWN_OPTIONS = ("-h", "--help", "--version")
"""What can stand in the place of a subcommand; any other option is one of `FORWARD`."""


class Ended(BaseException):
    """A signal asked us to end; not an `Exception`, so that nothing takes it for a failure.

    Attributes:
        number: the signal's.
        status: the exit status that it makes.
    """

    def __init__(self, number: int) -> None:
        super().__init__(number)
        self.number = number
        self.status = 0


@contextmanager
def starting() -> Iterator[None]:
    """What is asked for is not there yet: a signal now makes a status that says so."""
    try:
        yield
    except Ended as ended:
        ended.status = SIGNALLED + ended.number
        raise


def program() -> str:
    """What people typed to get here: `kfwd`, or `kubectl kfwd`."""
    return "kubectl kfwd" if Path(sys.argv[0]).stem == "kubectl-kfwd" else "kfwd"


class Parser(argparse.ArgumentParser):
    """A parser whose errors look like all others, and which is named after how it was called.

    Attributes:
        actions: what `add_argument` was called for.
    """

    def __init__(self, *, prog: str = "kfwd", **options: Any) -> None:
        self.actions: list[argparse.Action] = []
        name = program() + prog.removeprefix("kfwd")
        super().__init__(prog=name, allow_abbrev=False, **options)

    def add_argument(self, *names: Any, **facts: Any) -> argparse.Action:
        """Declare an argument."""
        self.actions.append(super().add_argument(*names, **facts))
        return self.actions[-1]

    def error(self, message: str) -> NoReturn:
        """Refuse the line.

        Raises:
            UsageError: always.
        """
        raise UsageError(f"{message}.", hint=f"`{self.prog} --help` shows what there is.")


def main(words: Sequence[str] | None = None) -> int:
    """Run the command; returns its exit status."""
    try:
        return _run(list(sys.argv[1:] if words is None else words))
    except KfwdError as error:
        show_error(error)
        let_go()
        return error.exit_code
    except BrokenPipeError:
        let_go()
        return 0
    except Ended as ended:
        return ended.status
    except KeyboardInterrupt:
        return SIGNALLED + signal.SIGINT


def chosen(words: list[str]) -> tuple[str, list[str]]:
    """The subcommand of a line, and its words.

    `svc/api 8080:80`, `web 8080:80` and `web http` mean `FORWARD`, and so does a line that begins
    with one of its options; a command with a slip in it is returned as it is.
    """
    first, rest = words[0], words[1:]
    if first.startswith("-") and first not in OWN_OPTIONS:
        if FORWARD in words:
            words = words.copy()
            words.remove(FORWARD)
        return FORWARD, words
    if first not in COMMANDS and _means_target(words):
        return FORWARD, words
    return first, rest


def _means_target(words: list[str]) -> bool:
    """A name, or a kind and a name; no option, no port, no command with a slip in it."""
    first = words[0]
    if "/" in first:
        return True
    if first.startswith("-") or ":" in first or first.isdecimal() or words == ["help"]:
        return False
    return not get_close_matches(first, COMMANDS, n=1, cutoff=0.75)


def _run(words: list[str]) -> int:
    if "_ARGCOMPLETE" in os.environ:
        from kfwd_nb.cli.completing import answer_shell

        answer_shell()
    command, rest = chosen(words) if words else ("", [])
    if command not in COMMANDS:
        _parser().parse_args(["--help"] if words == ["help"] else words[:1])
    module = importlib.import_module(f"kfwd_nb.cli.{command.replace('-', '_')}")
    for number in _ENDING:
        if number == signal.SIGINT or signal.getsignal(number) != signal.SIG_IGN:  # nohup(1)
            signal.signal(number, _end)
    status: int = module.run(rest)
    return status


def _end(number: int, _frame: FrameType | None) -> None:
    """End once: what a second signal would interrupt is the ending itself."""
    for each in _ENDING:
        signal.signal(each, signal.SIG_IGN)
    raise Ended(number)


def _parser() -> Parser:
    lines = [f"  {name:14}{what}" for name, what in COMMANDS.items()]
    name = program()
    parser = Parser(
        description="Forward ports of Kubernetes pods.",
        epilog="\n".join(
            [
                "commands:",
                *lines,
                "",
                f"`{name} svc/api 8080:80` is short for `{name} {FORWARD} svc/api 8080:80`.",
                f"`{name} COMMAND --help` shows the options of a command.",
            ]
        ),
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--version", action="version", version=f"{name} {__version__}")
    parser.add_argument(
        "command", choices=COMMANDS, metavar="COMMAND", help="one of the commands below"
    )
    return parser
