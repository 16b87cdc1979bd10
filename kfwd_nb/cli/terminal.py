"""What a terminal sees: lines for people, coloured where that is wanted, and quiet ends."""

from __future__ import annotations

import os
import sys
from typing import TextIO

from kfwd_nb.errors import ConfigError, KfwdError, printable

RED = "31"
BOLD = "1"
"""SGR parameters (ECMA-48 §8.3.117)."""


def coloured(stream: TextIO) -> bool:
    """Colours are wanted: it is a terminal that has some, and nobody objects (no-color.org)."""
    return (
        stream.isatty() and not os.environ.get("NO_COLOR") and os.environ.get("TERM", "") != "dumb"
    )


def say(line: str) -> None:
    """Print a line to stdout.

    Raises:
        BrokenPipeError: nobody reads it any more.
        ConfigError: it cannot be written, to a disk that is full for one.
    """
    try:
        print(line, flush=True)
    except BrokenPipeError:
        raise
    except OSError as error:
        raise ConfigError(f"standard output cannot be written: {error.strerror}.") from None


def note(text: str, *, label: str = "", colour: str = BOLD) -> None:
    """Print a line to stderr, whatever it holds made visible; its label is coloured."""
    if label:
        label = f"{label}:"
        label = f"\x1b[{colour}m{label}\x1b[0m " if coloured(sys.stderr) else f"{label} "
    print(f"{label}{printable(text)}", file=sys.stderr, flush=True)


def show_error(error: KfwdError) -> None:
    """Print an error and its hint."""
    note(error.what, label="error", colour=RED)
    if error.hint is not None:
        note(error.hint, label="hint")


def let_go() -> None:
    """What cannot be written is given up: the interpreter's last flush must not fail, too."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except OSError:
            os.dup2(nowhere, stream.fileno())
    os.close(nowhere)
