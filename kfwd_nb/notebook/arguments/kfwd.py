"""`%kfwd`: the table of its commands, and the way of a line to the one that it names."""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import dataclass

from kfwd_nb.cluster.options import Options, add_arguments, from_arguments
from kfwd_nb.errors import UsageError
from kfwd_nb.notebook.arguments import fault, listing, nsenter
from kfwd_nb.notebook.arguments.defaults import PLAIN, Defaults
from kfwd_nb.notebook.arguments.fault import FaultOptions
from kfwd_nb.notebook.arguments.line import refuse_leftovers, split
from kfwd_nb.notebook.arguments.listing import ListOptions
from kfwd_nb.notebook.arguments.nsenter import EnterOptions
from kfwd_nb.notebook.arguments.parser import Parser
from kfwd_nb.notebook.arguments.place import add_cluster

KfwdOptions = Options | ListOptions | EnterOptions | FaultOptions | None
"""What a command is told; None where there is nothing to tell."""


@dataclass(frozen=True, slots=True)
class Command:
    """A word that can follow `%kfwd`.

    Attributes:
        declare: tells a parser what the command takes.
        read: that parser, the words after the command's, the defaults → its options.
        runs: it takes a command to run, after a ` -- `; the parser's default `command`.
    """

    declare: Callable[[Parser], None]
    read: Callable[[Parser, list[str], Defaults], KfwdOptions]
    runs: bool = False


def _read_up(parser: Parser, words: list[str], _: Defaults) -> Options:
    return from_arguments(parser.parse_args(words))


def _declare_nothing(_: Parser) -> None:
    pass


def _read_nothing(parser: Parser, words: list[str], _: Defaults) -> None:
    parser.parse_args(words)


COMMANDS = {
    "up": Command(add_arguments, _read_up),
    "down": Command(_declare_nothing, _read_nothing),
    "status": Command(add_cluster, listing.read_status),
    "pods": Command(listing.declare, listing.read),
    "services": Command(listing.declare, listing.read),
    "nsenter": Command(nsenter.declare, nsenter.read, runs=True),
    "fault": Command(fault.declare, fault.read),
}

KFWD_COMMANDS = tuple(COMMANDS)
"""The words that can follow `%kfwd`."""


def parse_kfwd(
    line: str, defined: Collection[str] = (), defaults: Defaults = PLAIN
) -> tuple[str, KfwdOptions]:
    """Read the line of `%kfwd`: its command and that command's options.

    Raises:
        UsageError: it cannot be meant.
    """
    before, dashes, after = line.partition(" -- ")
    refuse_leftovers(before, defined)
    word, *rest = split(before) or [""]
    command = COMMANDS.get(word)
    if command is None:
        said = f"%kfwd has no command '{word}'." if word else "%kfwd needs a command."
        *most, last = COMMANDS
        raise UsageError(said, hint=f"use %kfwd {', '.join(most)} or {last}.")
    if dashes and not command.runs:
        raise UsageError(f"%kfwd {word} takes no command after --.")
    parser = kfwd_parser(word)
    if command.runs:
        parser.set_defaults(command=split(after, comments=False))
    return word, command.read(parser, rest, defaults)


def kfwd_parser(word: str) -> Parser:
    """The parser of a command; for a word that is none, of one that takes nothing."""
    parser = Parser(prog=f"%kfwd {word}")
    if word in COMMANDS:
        COMMANDS[word].declare(parser)
    return parser
