"""`%kfwd nsenter POD -- COMMAND...`: which pod, which command."""

from __future__ import annotations

from dataclasses import dataclass

from kfwd_nb.errors import UsageError
from kfwd_nb.notebook.arguments.defaults import Defaults
from kfwd_nb.notebook.arguments.parser import Parser
from kfwd_nb.notebook.arguments.place import (
    add_cluster,
    add_namespace,
    context_of,
    namespace_of,
)


@dataclass(frozen=True, slots=True)
class EnterOptions:
    """`%kfwd nsenter POD -- COMMAND...`."""

    pod: str
    command: tuple[str, ...]
    namespace: str | None = None
    context: str | None = None
    kubeconfig: str | None = None


def declare(parser: Parser) -> None:
    """Declare what stands before the ` -- `."""
    parser.add_argument("pod", metavar="POD", nargs="?", help="a pod of %%kfwd up")
    add_namespace(parser)
    add_cluster(parser)


def read(parser: Parser, words: list[str], defaults: Defaults) -> EnterOptions:
    """Read the words before the ` -- `; those after it are the parser's default `command`.

    Raises:
        UsageError: the pod or the command is missing.
    """
    given, extra = parser.parse_known_args(words)
    if not given.command or given.pod is None or extra:
        raise UsageError(
            "%kfwd nsenter needs a pod, then -- and a command.",
            hint="as in %kfwd nsenter web -- ip address.",
        )
    return EnterOptions(
        given.pod.removeprefix("pod/"),
        tuple(given.command),
        namespace_of(given, defaults),
        context_of(given, defaults),
        given.kubeconfig,
    )
