"""The frame of the command: which subcommand, and how an error looks.

Exit status: 0 for success and for an end by SIGINT or SIGTERM, 1 for a failure, 2 for a line that
cannot be meant.
"""

from __future__ import annotations

import argparse
import importlib
import signal
import sys
from collections.abc import Sequence
from types import FrameType
from typing import NoReturn

from kfwd_nb._version import __version__
from kfwd_nb.errors import KfwdError, UsageError, printable

COMMANDS = {
    "port-forward": "forward local ports to a pod, a service or a deployment",
    "cluster": "run an embedded cluster on this machine",
}
"""The subcommands: each is a module of this package, `-` written `_`, imported when it is used."""


class Ended(BaseException):
    """A signal asked us to end; not an `Exception`, so that nothing takes it for a failure."""


class Parser(argparse.ArgumentParser):
    """A parser whose errors look like all others."""

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
        print(f"error: {printable(error.what)}", file=sys.stderr)
        if error.hint is not None:
            print(f"hint: {printable(error.hint)}", file=sys.stderr)
        return error.exit_code
    except (KeyboardInterrupt, Ended):
        return 0


def _run(words: list[str]) -> int:
    given = _parser().parse_args(words[:1])
    module = importlib.import_module(f"kfwd_nb.cli.{given.command.replace('-', '_')}")
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, _end)
    status: int = module.run(words[1:])
    return status


def _end(_number: int, _frame: FrameType | None) -> None:
    """End once: what a second signal would interrupt is the ending itself."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    raise Ended


def _parser() -> Parser:
    lines = [f"  {name:14}{what}" for name, what in COMMANDS.items()]
    parser = Parser(
        prog="kfwd",
        description="Forward ports of Kubernetes pods.",
        epilog="\n".join(["commands:", *lines, "", "`kfwd COMMAND --help` shows its options."]),
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--version", action="version", version=f"kfwd {__version__}")
    parser.add_argument(
        "command", choices=COMMANDS, metavar="COMMAND", help="one of the commands below"
    )
    return parser
