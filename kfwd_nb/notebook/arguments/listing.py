"""`%kfwd pods`, `%kfwd services` and `%kfwd status`: which cluster, which part of it."""

from __future__ import annotations

from dataclasses import dataclass

from kfwd_nb.notebook.arguments.defaults import Defaults
from kfwd_nb.notebook.arguments.parser import Parser
from kfwd_nb.notebook.arguments.place import (
    add_cluster,
    add_namespace,
    context_of,
    namespace_of,
)


@dataclass(frozen=True, slots=True)
class ListOptions:
    """`%kfwd pods`, `services` and `status`; no namespace means the context's own."""

    namespace: str | None = None
    context: str | None = None
    everywhere: bool = False
    kubeconfig: str | None = None


def declare(parser: Parser) -> None:
    """Declare what `pods` and `services` take."""
    add_namespace(parser)
    add_cluster(parser)
    parser.add_argument(
        "-A",
        "--all-namespaces",
        action="store_true",
        dest="everywhere",
        help="those of all namespaces",
    )


def read(parser: Parser, words: list[str], defaults: Defaults) -> ListOptions:
    """Read the words of `pods` and `services`."""
    given = parser.parse_args(words)
    namespace, context = namespace_of(given, defaults), context_of(given, defaults)
    return ListOptions(namespace, context, given.everywhere, given.kubeconfig)


def read_status(parser: Parser, words: list[str], defaults: Defaults) -> ListOptions:
    """Read the words of `status`, which is about no namespace."""
    given = parser.parse_args(words)
    return ListOptions(context=context_of(given, defaults), kubeconfig=given.kubeconfig)
