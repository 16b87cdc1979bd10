"""`kfwd completion SHELL`: what makes a shell's Tab key know this command."""

from __future__ import annotations

from collections.abc import Sequence

from kfwd_nb.cli.command import Parser, program
from kfwd_nb.cli.terminal import say

SHELLS = ("bash", "zsh", "fish")

HOW = {
    "bash": 'in ~/.bashrc: eval "$(kfwd completion bash)"',
    "zsh": 'in ~/.zshrc, after compinit: eval "$(kfwd completion zsh)"',
    "fish": "kfwd completion fish > ~/.config/fish/completions/kfwd.fish",
}
"""Where each shell wants it."""


def run(words: Sequence[str]) -> int:
    """Print the code for the shell.

    Raises:
        UsageError: it is none of `SHELLS`.
    """
    given = parser().parse_args(words)
    from argcomplete.shell_integration import shellcode

    code = shellcode(["kfwd", "kubectl-kfwd"], shell=given.shell)
    say(code)
    return 0


def parser() -> Parser:
    """The parser of the subcommand."""
    ways = "; ".join(HOW.values())
    parser = Parser(
        prog="kfwd completion",
        description="Print what makes a shell's Tab key know this command.",
        epilog=f"{ways}. `kubectl kfwd` is completed by kubectl itself (from 1.26 on), through "
        f"the program kubectl_complete-kfwd beside {program()}.",
    )
    parser.add_argument("shell", choices=SHELLS, metavar="SHELL", help=", ".join(SHELLS))
    return parser
