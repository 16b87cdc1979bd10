"""`%kfwd fault VERB WHERE`: what is to be broken or mended, and which node, pod or port it is."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, get_args

from kfwd_nb.errors import UsageError
from kfwd_nb.kube.nearest import did_you_mean
from kfwd_nb.notebook.arguments.defaults import Defaults
from kfwd_nb.notebook.arguments.parser import Parser
from kfwd_nb.notebook.arguments.place import add_namespace, namespace_of
from kfwd_nb.ports import MAX_PORT, Target, parse_target

FaultVerb = Literal[
    "kill", "replace", "stop", "continue", "cut", "mend", "refuse", "reset", "stall"
]
FAULT_VERBS: tuple[FaultVerb, ...] = get_args(FaultVerb)
"""What `%kfwd fault` can be told to do."""

TAKES: dict[FaultVerb, Literal["pod", "node", "port", "node or port"]] = {
    "kill": "pod",
    "replace": "pod",
    "stop": "node",
    "continue": "node",
    "cut": "node",
    "mend": "node or port",
    "refuse": "port",
    "reset": "port",
    "stall": "port",
}
"""What each of them is done to; a port is a pod's."""

NODE_KINDS = ("node", "nodes", "no")

Place = tuple[str | Target, int | None]
"""The node's name or the pod, and the pod's port."""


@dataclass(frozen=True, slots=True)
class FaultOptions:
    """`%kfwd fault`: nothing to show those that last, a verb for one, `clear` to end all.

    Attributes:
        place: a node's name, or which pod.
        port: of the pod, where one is meant.
    """

    verb: FaultVerb | None = None
    place: str | Target = ""
    port: int | None = None
    namespace: str | None = None
    clear: bool = False


def declare(parser: Parser) -> None:
    """Declare what it takes."""
    parser.add_argument(
        "words",
        nargs="*",
        metavar="VERB WHERE",
        help=f"one of {', '.join(FAULT_VERBS)}, and a pod, a pod and its port, or a node",
    )
    add_namespace(parser)
    parser.add_argument("--clear", action="store_true", help="end all faults that last")


def read(parser: Parser, words: list[str], defaults: Defaults) -> FaultOptions:
    """Read its words.

    Raises:
        UsageError: there is no such verb, or it is not done to what is named.
    """
    given = parser.parse_intermixed_args(words)
    typed: list[str] = given.words
    if given.clear and typed:
        raise UsageError(f"%kfwd fault --clear takes no '{typed[0]}' beside it.")
    if not typed:
        return FaultOptions(clear=given.clear)
    verb, *rest = typed
    if verb not in FAULT_VERBS:
        hint = did_you_mean(verb, FAULT_VERBS) or ""
        if hint.startswith("known"):
            hint = f"use one of {', '.join(FAULT_VERBS)}."
        raise UsageError(f"%kfwd fault knows no '{verb}'.", hint=hint)
    place, port = _place(verb, rest)
    return FaultOptions(verb, place, port, namespace_of(given, defaults))


def _place(verb: FaultVerb, words: list[str]) -> Place:
    match TAKES[verb]:
        case "pod":
            return _pod(verb, words)
        case "node":
            return _node(verb, words)
        case "port":
            return _port(verb, words)
        case "node or port":
            kind, slash, _ = words[0].partition("/") if words else ("", "", "")
            is_node = slash and kind in NODE_KINDS
            return _node(verb, words) if is_node else _port(verb, words)


def _pod(verb: FaultVerb, words: list[str]) -> Place:
    if len(words) != 1:
        raise _usage(verb, "a pod", "pod/web")
    return parse_target(words[0]), None


def _node(verb: FaultVerb, words: list[str]) -> Place:
    if len(words) != 1:
        raise _usage(verb, "a node", "node/node-1")
    kind, slash, node = words[0].partition("/")
    if slash and kind not in NODE_KINDS:
        raise _usage(verb, f"a node, which {words[0]} is not", f"node/{node}")
    return node if slash else kind, None


def _port(verb: FaultVerb, words: list[str]) -> Place:
    if len(words) != 2:
        raise _usage(verb, "a pod and its port", "pod/web 80")
    port = words[1].removeprefix(":")
    if not port.isdecimal() or not 0 < int(port) <= MAX_PORT:
        raise _usage(verb, f"a pod's port, which {words[1]} is not", f"{words[0]} 80")
    return parse_target(words[0]), int(port)


def _usage(verb: FaultVerb, what: str, example: str) -> UsageError:
    return UsageError(
        f"%kfwd fault {verb} takes {what}.", hint=f"as in %kfwd fault {verb} {example}."
    )
