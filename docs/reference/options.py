"""What an argparse parser takes, as descriptions."""

from __future__ import annotations

import argparse
from collections.abc import Iterator

from reference.parts import Described, anchor


def described(command: str, parser: argparse.ArgumentParser) -> Iterator[Described]:
    """Each argument and option of a parser; the anchor is made of command and longest spelling."""
    for action in parser._actions:  # noqa: SLF001 - there is no other way to ask argparse
        if action.help == argparse.SUPPRESS or isinstance(action, argparse._HelpAction):  # noqa: SLF001
            continue
        yield Described(anchor(command, longest(action)), _spelled(action), _text(action, parser))


def longest(action: argparse.Action) -> str:
    """What stands for an argument: `--namespace` for `-n, --namespace`."""
    if not action.option_strings:
        return str(action.metavar or action.dest)
    return max(action.option_strings, key=len)


def _spelled(action: argparse.Action) -> str:
    value = "" if action.nargs == 0 else _value(action)
    if not action.option_strings:
        return value
    return f"{', '.join(action.option_strings)} {value}".strip()


def _value(action: argparse.Action) -> str:
    if isinstance(action.metavar, str):
        return action.metavar
    if action.choices is not None:
        return "|".join(str(each) for each in action.choices)
    return action.dest.upper()


def _text(action: argparse.Action, parser: argparse.ArgumentParser) -> str:
    """Its help, expanded as argparse does it; with the choices where a metavar hides them."""
    text = (action.help or "") % (vars(action) | {"prog": parser.prog})
    if action.choices is not None and action.metavar is not None and not text:
        text = ", ".join(f"`{each}`" for each in action.choices)
    if not text or text[-1] in ".!":
        return text
    first, _, _ = text.partition(" ")
    name = "," in first or "/" in first  # of a pod: "web, svc/api or ..." stays as it is
    return f"{text if name else text[:1].upper() + text[1:]}."
