"""argparse for a magic's line: a wrong one raises, and does not end the kernel."""

from __future__ import annotations

import argparse
from typing import Any, NoReturn

from kfwd_nb.errors import UsageError


class Parser(argparse.ArgumentParser):
    """argparse that raises in the place of printing and exiting, and says what it knows.

    Attributes:
        options: every spelling of an option, and what argparse keeps of it.
    """

    def __init__(self, *, prog: str) -> None:
        self.options: dict[str, argparse.Action] = {}
        super().__init__(prog=prog, add_help=False, allow_abbrev=False)

    def add_argument(self, *names: Any, **facts: Any) -> argparse.Action:
        """Declare an argument."""
        action = super().add_argument(*names, **facts)
        self.options.update(dict.fromkeys(action.option_strings, action))
        return action

    def error(self, message: str) -> NoReturn:
        """Raise UsageError; argparse calls it."""
        magic = self.prog.split()[0]
        raise UsageError(f"{self.prog}: {message}.", hint=f"{magic}? shows what it takes.")
