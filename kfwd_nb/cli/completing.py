"""The Tab key in a shell, by argcomplete: options, targets, ports, namespaces, contexts.

argcomplete runs the command at each Tab and reads its parsers, so names come from the cluster of
the line that is being typed; a generator of static scripts could not ask it. It gives the parser of
one subcommand a line without that subcommand's name.
"""

from __future__ import annotations

import argparse
import asyncio
import importlib
import os
import re
import sys
import threading
from collections.abc import Callable, Iterable
from concurrent.futures import CancelledError
from typing import Any, NoReturn

import argcomplete
from argcomplete.completers import FilesCompleter
from argcomplete.finders import CompletionFinder

from kfwd_nb.cli.command import COMMANDS, FORWARD, Parser, chosen
from kfwd_nb.errors import KfwdError

PATIENCE = 2.0
"""Seconds that a press of Tab waits for the cluster."""

NO_FILES = 4
"""`ShellCompDirectiveNoFileComp` of cobra, the library that kubectl is made with."""

_LINE = re.compile(r"\s*(?P<program>\S+)\s+(?P<command>\S+)(?P<rest>\s.*)", re.DOTALL)

Completer = Callable[..., Iterable[str]]


def answer_shell() -> NoReturn:
    """Answer the question that argcomplete's shell code asks by the environment, and end."""
    line = os.fsencode(os.environ["COMP_LINE"])[: int(os.environ["COMP_POINT"])]
    parser, line_left = _parser_for(os.fsdecode(line))
    os.environ["COMP_LINE"] = line_left
    os.environ["COMP_POINT"] = str(len(os.fsencode(line_left)))
    argcomplete.autocomplete(parser, always_complete_options=False)
    sys.exit(1)  # argcomplete has ended the process if it could answer


def answer_kubectl() -> int:
    """`kubectl_complete-kfwd WORD...`: kubectl asks so for its plugin; the last word is typed now.

    The answer is one completion a line, then `:` and a directive (kubectl, "Completion for
    plugins").
    """
    for text in complete(sys.argv[1:] or [""]):
        print(text)
    print(f":{NO_FILES}")
    return 0


def complete(words: list[str]) -> list[str]:
    """What the last word can become."""
    *_, last = words
    parser, line = _parser_for(" ".join(["kfwd", *words]))
    finder = CompletionFinder(parser, always_complete_options=False)
    asked = line.partition(" ")[2]
    found: list[str] = []
    while (text := finder.rl_complete(asked, len(found))) is not None:
        found.append(last + text[len(asked) :])
    return [each.rstrip() for each in found]


def _parser_for(line: str) -> tuple[argparse.ArgumentParser, str]:
    """The parser for a line up to the cursor, and the line as that parser would read it."""
    match = _LINE.fullmatch(line)
    name, words = match["command"] if match else "", line.split()[1:]
    if match and name in COMMANDS:
        parser = _of(name)
        return parser, _options_first(match["program"] + match["rest"], parser)
    first = not words or (line.split()[-1:] == words and not line[-1:].isspace())
    if words and not (first and words[0].isalnum()) and chosen([*words])[0] == FORWARD:
        parser = _of(FORWARD)
        return parser, _options_first(line, parser)
    root = _of(FORWARD)
    for action in root.actions:
        if action.dest == "words":
            action.completer = _commands_and_targets  # type: ignore[attr-defined]
    return root, line


def _options_first(line: str, parser: Parser) -> str:
    """The line with its other words last: argcomplete follows those only in one piece."""
    program, *words = re.split(r"\s+", line.lstrip())
    takes_value = {name: each.nargs != 0 for each in parser.actions for name in each.option_strings}
    last = words.pop() if words else ""
    options: list[str] = []
    others: list[str] = []
    expected = False
    for word in words:
        expected, is_value = not expected and takes_value.get(word, False), expected
        (options if is_value or word.startswith("-") else others).append(word)
    in_options = expected or last.startswith("-")
    words = [*others, *options, last] if in_options else [*options, *others, last]
    return " ".join([program, *words])


def _of(command: str) -> Parser:
    module = importlib.import_module(f"kfwd_nb.cli.{command.replace('-', '_')}")
    parser: Parser = module.parser()
    completers: dict[str, Completer] = {
        "words": _targets,
        "namespace": _namespaces,
        "context": _contexts,
        "kubeconfig": FilesCompleter(),
        "ports_file": FilesCompleter(),
        "file": FilesCompleter(),
    }
    for action in parser.actions:
        if action.choices is None:
            action.completer = completers.get(action.dest, _nothing)  # type: ignore[attr-defined]
    return parser


def _nothing(**_: Any) -> Iterable[str]:
    """For values that only a person knows; without a completer argcomplete would name files."""
    return ()


def _targets(prefix: str, parsed_args: argparse.Namespace, **_: Any) -> Iterable[str]:
    from kfwd_nb.kube.completing import complete_target

    words: list[str] = parsed_args.words or []
    if words and words[-1] == prefix != "":
        words = words[:-1]
    wanted = complete_target(words, prefix)
    found = _names(wanted.kind, parsed_args) if wanted.kind else ()
    return [f"{wanted.prefix}{name}" for name in found] + list(wanted.fixed)


def _commands_and_targets(prefix: str, parsed_args: argparse.Namespace, **_: Any) -> Iterable[str]:
    """The first word: a command, or the target of the short form."""
    commands = [name for name in COMMANDS if prefix and name.startswith(prefix)]
    return commands or [*COMMANDS, *_targets(prefix, parsed_args)]


def _namespaces(*, parsed_args: argparse.Namespace, **_: Any) -> Iterable[str]:
    return _names("namespace", parsed_args)


def _contexts(*, parsed_args: argparse.Namespace, **_: Any) -> Iterable[str]:
    from kfwd_nb.kube.kubeconfig import contexts

    try:
        return contexts(parsed_args.kubeconfig)
    except KfwdError:
        return ()


def _names(kind: str, given: argparse.Namespace) -> tuple[str, ...]:
    """Names from the cluster, if they come in time; a Tab key that finds nothing says nothing."""
    from kfwd_nb.kube.completing import names
    from kfwd_nb.kube.kubeconfig import load

    found: list[tuple[str, ...]] = []

    def ask() -> None:
        try:
            access = load(given.kubeconfig, given.context)
            found.append(names(kind, access, given.namespace))
        except (KfwdError, CancelledError):
            return

    thread = threading.Thread(target=ask, name="kfwd-completion", daemon=True)
    thread.start()
    thread.join(PATIENCE)
    if thread.is_alive():
        _give_up()
    return found[0] if found else ()


def _give_up() -> None:
    """End what is asked still: an exec plugin would go on after us."""
    from kfwd_nb.transport.loop_thread import loop_thread

    async def cancel() -> None:
        others = asyncio.all_tasks() - {asyncio.current_task()}
        for each in others:
            each.cancel()
        await asyncio.gather(*others, return_exceptions=True)

    loop_thread().run(cancel())
