"""The line as it is typed: its words, whether it asks for help, what IPython left unfilled."""

from __future__ import annotations

import re
import shlex
from collections.abc import Collection

from kfwd_nb.errors import UsageError

_LEFTOVER = re.compile(r"\{\s*(?P<braced>[^{}]+?)\s*\}|\$(?P<dollar>[A-Za-z_]\w*)")


def split(line: str, *, comments: bool = True) -> list[str]:
    """The words of a line, by a shell's quotes; a comment and a last `;` are not part of it.

    Raises:
        UsageError: a quotation that does not end.
    """
    lexer = shlex.shlex(line.strip(), posix=True, punctuation_chars=False)
    lexer.whitespace_split = True
    lexer.commenters = "#" if comments else ""
    lexer.escape = ""  # C:\path stays what it is
    try:
        words = list(lexer)
    except ValueError:
        raise UsageError("a quotation mark in this line is not closed.") from None
    if comments and words and words[-1].endswith(";"):
        words[-1] = words[-1].rstrip(";")
    return [word for word in words if word] if comments else words


def asks_for_help(line: str) -> bool:
    """True for `-h` or `--help` anywhere before a ` -- `, and for `help` alone."""
    words = line.partition(" -- ")[0].split()
    return "-h" in words or "--help" in words or words == ["help"]


def refuse_leftovers(line: str, defined: Collection[str] = ()) -> None:
    """Answer a `{x}` or `$x` that is still there after IPython has filled in variables.

    One that cannot be filled in makes IPython leave them all as they are, so the names that do
    exist are passed over.

    Raises:
        UsageError: names the first one.
    """
    found = [match["braced"] or match["dollar"] for match in _LEFTOVER.finditer(line)]
    for expression in found:
        name = re.match(r"[A-Za-z_]\w*", expression)
        if name is None or name[0] not in defined:
            raise UsageError(f"{expression} is not defined in this notebook.")
    if found:
        raise UsageError(f"{{{found[0]}}} could not be worked out in this notebook.")
