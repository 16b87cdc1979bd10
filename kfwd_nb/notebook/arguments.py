"""The line after a magic's name → typed options, or one clear sentence.

argparse does the reading. It is taught three manners here: it raises `UsageError` in the place of
ending the process, options may stand between the words of a target and its ports, and a `{x}` or
`$x` that IPython could not fill in is answered before anything else.
"""

from __future__ import annotations

import argparse
import re
import shlex
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Any, Literal, NoReturn, get_args

from kfwd_nb.cluster.options import Options, add_arguments, from_arguments
from kfwd_nb.errors import UsageError
from kfwd_nb.kube import typed_options
from kfwd_nb.kube.nearest import did_you_mean
from kfwd_nb.ports import MAX_PORT, Target, kind_of, parse_ports, parse_target, split_target

Loop = Literal["thread", "kernel"]

KFWD_COMMANDS = ("up", "down", "status", "pods", "services", "nsenter", "fault")
"""The words that can follow `%kfwd`."""

LISTS = ("pods", "services")
"""Those of them that list what there is."""

NAMESPACE = "which namespace (else the context's own)"
WHICH = "a forward by its name, target or local port (none: the only one)"
"""What several options say of themselves."""


@dataclass(frozen=True, slots=True)
class Defaults:
    """What a line means where it says nothing; `notebook.settings` has the user's own."""

    namespace: str | None = None
    context: str | None = None
    address: str = "localhost"
    loop: Loop = "thread"


PLAIN = Defaults()


@dataclass(frozen=True, slots=True)
class ForwardOptions:
    """`%portforward TARGET PORT...`; `ports` are checked, but kept as typed."""

    target: Target
    ports: tuple[str, ...]
    namespace: str | None = None
    context: str | None = None
    kubeconfig: str | None = None
    address: str = "localhost"
    name: str | None = None
    loop: Loop = "thread"
    dialect: str = "auto"
    balance: bool = False
    pod_running_timeout: float | None = None
    as_user: str | None = None
    as_groups: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class StopOptions:
    """`%portforward --stop WHAT`: a name, a target, a local port, `all`, or "" for the only one."""

    what: str


@dataclass(frozen=True, slots=True)
class ShowOptions:
    """`%portforward` alone.

    Attributes:
        watch: redraw in a terminal until Ctrl-C.
        dashboard: as the dashboard, where there are widgets.
        hops: the forward whose way is drawn in the place of the table, as for `--stop`.
    """

    watch: bool = False
    dashboard: bool = False
    hops: str | None = None


@dataclass(frozen=True, slots=True)
class ListOptions:
    """`%kfwd pods`, `services` and `status`; no namespace means the context's own."""

    namespace: str | None = None
    context: str | None = None
    everywhere: bool = False
    kubeconfig: str | None = None


FaultVerb = Literal[
    "kill", "replace", "stop", "continue", "cut", "mend", "refuse", "reset", "stall"
]
FAULT_VERBS: tuple[FaultVerb, ...] = get_args(FaultVerb)
"""What `%kfwd fault` can be told to do."""

NODE_VERBS = ("stop", "continue", "cut")
PORT_VERBS = ("refuse", "reset", "stall")
"""Those of them that take a node, and those that take a pod and its port; `mend` takes either."""


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


@dataclass(frozen=True, slots=True)
class EnterOptions:
    """`%kfwd nsenter POD -- COMMAND...`."""

    pod: str
    command: tuple[str, ...]
    namespace: str | None = None
    context: str | None = None
    kubeconfig: str | None = None


def parse_portforward(
    line: str, defined: Collection[str] = (), defaults: Defaults = PLAIN
) -> ForwardOptions | StopOptions | ShowOptions:
    """Read the line of `%portforward`.

    Args:
        line: as IPython hands it over, variables filled in where they could be.
        defined: names that exist in the notebook, to tell a missing variable from a wrong one.
        defaults: for what the line does not say.

    Raises:
        UsageError: it cannot be meant.
    """
    refuse_leftovers(line, defined)
    parser = _portforward_parser()
    parser.set_defaults(address=defaults.address, loop=defaults.loop)
    given = parser.parse_intermixed_args(split(line))
    words: list[str] = given.words
    alone = [flag for flag in ("watch", "dashboard", "stop", "hops") if _is_given(given, flag)]
    if alone:
        if words or alone[1:]:
            extra = words[0] if words else f"--{alone[1]}"
            raise UsageError(f"%portforward --{alone[0]} takes no '{extra}' beside it.")
        if alone == ["stop"]:
            return StopOptions(given.stop)
        return ShowOptions(watch=given.watch, dashboard=given.dashboard, hops=given.hops)
    if not words:
        _refuse_options_without_target(given, parser)
        return ShowOptions()
    return _forward_options(words, given, defaults)


def parse_block(
    line: str, defined: Collection[str] = (), defaults: Defaults = PLAIN
) -> ForwardOptions:
    """Read the first line of a `%%portforward` cell.

    Raises:
        UsageError: it cannot be meant, or its `--name` can be no variable.
    """
    options = parse_portforward(line, defined, defaults)
    if not isinstance(options, ForwardOptions):
        raise UsageError(
            "%%portforward forwards for the length of its cell and needs a target and a port.",
            hint="write %%portforward web :80, and the code that uses it below.",
        )
    if options.name is not None and not options.name.isidentifier():
        raise UsageError(
            f"--name {options.name} cannot be the name of a variable.",
            hint="in %%portforward the Forward is put into that variable; use letters and _.",
        )
    return options


def parse_kfwd(
    line: str, defined: Collection[str] = (), defaults: Defaults = PLAIN
) -> tuple[str, object]:
    """Read the line of `%kfwd`: its command and that command's options (None for some).

    Raises:
        UsageError: it cannot be meant.
    """
    before, dashes, command = line.partition(" -- ")
    refuse_leftovers(before, defined)
    word, *rest = split(before) or [""]
    if word not in KFWD_COMMANDS:
        said = f"%kfwd has no command '{word}'." if word else "%kfwd needs a command."
        raise UsageError(said, hint=f"use %kfwd {', '.join(KFWD_COMMANDS[:-1])} or fault.")
    if word == "nsenter":
        wanted = split(command, comments=False)
        return word, _enter_options(rest, wanted, defaults, given=bool(dashes))
    if dashes:
        raise UsageError(f"%kfwd {word} takes no command after --.")
    if word == "up":
        return word, _up_options(rest)
    if word == "fault":
        return word, _fault_options(rest, defaults)
    if word in LISTS:
        given = _list_parser(word).parse_args(rest)
        namespace = _namespace(given, defaults)
        context = _context(given, defaults)
        return word, ListOptions(namespace, context, given.everywhere, given.kubeconfig)
    if word == "status":
        given = _status_parser().parse_args(rest)
        return word, ListOptions(context=_context(given, defaults), kubeconfig=given.kubeconfig)
    Parser(prog=f"%kfwd {word}").parse_args(rest)
    return word, None


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


_LEFTOVER = re.compile(r"\{\s*(?P<braced>[^{}]+?)\s*\}|\$(?P<dollar>[A-Za-z_]\w*)")


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


def _portforward_parser() -> Parser:
    parser = Parser(prog="%portforward")
    parser.add_argument(
        "words",
        nargs="*",
        metavar="TARGET PORT",
        help="web, svc/api or deploy/api, then ports: 8080:80, 80, or :80 for any free local one",
    )
    typed_options.add_arguments(parser)
    add = parser.add_argument
    add("--name", metavar="N", help="the forward's name; for a %%%%portforward cell, the variable")
    add(
        "--loop",
        choices=("thread", "kernel"),
        default="thread",
        help="a thread of its own, or the kernel's loop, for cells that only await (thread)",
    )
    add("--stop", metavar="NAME", nargs="?", const="", help=f"stop {WHICH}, or all")
    add("--hops", metavar="NAME", nargs="?", const="", help=f"draw, live, the way of {WHICH}")
    add("--watch", action="store_true", help="in a terminal: draw the table anew until Ctrl-C")
    add("--dashboard", action="store_true", help="all forwards, to handle with the mouse")
    return parser


def _list_parser(word: str) -> Parser:
    parser = Parser(prog=f"%kfwd {word}")
    parser.add_argument("-n", "--namespace", metavar="NS", help=NAMESPACE)
    _add_cluster_options(parser)
    parser.add_argument(
        "-A",
        "--all-namespaces",
        action="store_true",
        dest="everywhere",
        help="those of all namespaces",
    )
    return parser


def _status_parser() -> Parser:
    parser = Parser(prog="%kfwd status")
    _add_cluster_options(parser)
    return parser


def parser_of(command: str) -> Parser:
    """The parser of `portforward`, or of a command of `%kfwd`."""
    if command == "portforward":
        return _portforward_parser()
    if command == "up":
        return _up_parser()
    if command == "nsenter":
        return _enter_parser()
    if command == "status":
        return _status_parser()
    if command == "fault":
        return _fault_parser()
    return _list_parser(command) if command in LISTS else Parser(prog=f"%kfwd {command}")


def _up_parser() -> Parser:
    parser = Parser(prog="%kfwd up")
    add_arguments(parser)
    return parser


def _enter_parser() -> Parser:
    parser = Parser(prog="%kfwd nsenter")
    parser.add_argument("pod", metavar="POD", nargs="?", help="a pod of %%kfwd up")
    parser.add_argument("-n", "--namespace", metavar="NS", help=NAMESPACE)
    _add_cluster_options(parser)
    return parser


def _fault_parser() -> Parser:
    parser = Parser(prog="%kfwd fault")
    parser.add_argument(
        "words",
        nargs="*",
        metavar="VERB WHERE",
        help=f"one of {', '.join(FAULT_VERBS)}, and a pod, a pod and its port, or a node",
    )
    parser.add_argument("-n", "--namespace", metavar="NS", help=NAMESPACE)
    parser.add_argument("--clear", action="store_true", help="end all faults that last")
    return parser


def _add_cluster_options(parser: Parser) -> None:
    parser.add_argument(
        "--context", metavar="C", help="another context than the one that the magics use now"
    )
    parser.add_argument("--kubeconfig", metavar="FILE", help="another kubeconfig")


def _namespace(given: argparse.Namespace, defaults: Defaults) -> str | None:
    namespace: str | None = given.namespace
    return defaults.namespace if namespace is None else namespace


def _context(given: argparse.Namespace, defaults: Defaults) -> str | None:
    """The default is a context of the kubeconfigs that are found, not of a file that is named."""
    context: str | None = given.context
    return defaults.context if context is None and given.kubeconfig is None else context


def _is_given(given: argparse.Namespace, flag: str) -> bool:
    return getattr(given, flag) not in (None, False)


def _refuse_options_without_target(given: argparse.Namespace, parser: Parser) -> None:
    for word, action in parser.options.items():
        if word.startswith("--") and getattr(given, action.dest) != action.default:
            raise UsageError(
                f"{word} needs a target beside it.", hint="as in %portforward web :80."
            )


def _forward_options(
    words: list[str], given: argparse.Namespace, defaults: Defaults
) -> ForwardOptions:
    _refuse_slips(words)
    target, ports = split_target(words)
    parse_ports(ports)
    typed_options.check(given)
    return ForwardOptions(
        target=target,
        ports=tuple(ports),
        namespace=_namespace(given, defaults),
        context=_context(given, defaults),
        kubeconfig=given.kubeconfig,
        address=given.address,
        name=given.name,
        loop=given.loop,
        dialect=given.dialect,
        balance=given.balance,
        pod_running_timeout=given.pod_running_timeout,
        as_user=given.as_user,
        as_groups=tuple(given.as_groups),
    )


def second_target(ports: Sequence[str]) -> str:
    """The line of another target among the ports: a name with ports after it, as a port may have.

    Returns:
        That line; empty if there is none.
    """
    for at, word in enumerate(ports[:-1]):
        if at and ":" not in word and not word.isdigit():
            return " ".join(["%portforward", *ports[at:]])
    return ""


def _refuse_slips(words: list[str]) -> None:
    """Answer what is often typed in the place of a target, with the line that was meant."""
    first, *rest = words
    for word in words:
        if word.endswith(";"):  # the last word has lost its own
            raise UsageError(
                f"'{word}' in the middle of a line.",
                hint="a magic takes its whole line; what follows it belongs on the next one.",
            )
    name, colon, port = first.partition(":")
    if colon and (not name or name.isdigit()):
        hint = f"name a pod before its port, as in `web {first}`."
        raise UsageError("no target given.", hint=hint)
    if colon:
        meant = port if ":" in port else f":{port}"
        raise UsageError(f"invalid target '{first}'.", hint=f"write `{name} {meant}`.")
    kind, slash, name = first.partition("/")
    if slash and name and "/" not in name and kind_of(kind) is None:
        raise UsageError(
            f"'{kind}' is no resource kind that can be forwarded to.",
            hint=f"use pod/{name}, svc/{name}, deploy/{name}, or rs, sts, ds, job; "
            f"if {kind} is a namespace: -n {kind} {' '.join([name, *rest])}.",
        )
    for at, word in enumerate(rest, 1):
        kind, slash, _ = word.partition("/")
        if slash and kind_of(kind):
            raise UsageError(
                f"a line has one target, and {word} is another.",
                hint=f"one line for each: `%portforward {' '.join(words[:at])}`, and "
                f"`%portforward {' '.join(words[at:])}`.",
            )


def _up_options(words: list[str]) -> Options:
    return from_arguments(_up_parser().parse_args(words))


def _enter_options(
    words: list[str], command: list[str], defaults: Defaults, *, given: bool
) -> EnterOptions:
    options, extra = _enter_parser().parse_known_args(words)
    if not given or not command or options.pod is None or extra:
        raise UsageError(
            "%kfwd nsenter needs a pod, then -- and a command.",
            hint="as in %kfwd nsenter web -- ip address.",
        )
    return EnterOptions(
        options.pod.removeprefix("pod/"),
        tuple(command),
        _namespace(options, defaults),
        _context(options, defaults),
        options.kubeconfig,
    )


def _fault_options(words: list[str], defaults: Defaults) -> FaultOptions:
    given = _fault_parser().parse_intermixed_args(words)
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
    namespace = _namespace(given, defaults)
    place, port = _fault_place(verb, rest)
    return FaultOptions(verb, place, port, namespace)


def _fault_place(verb: str, words: list[str]) -> tuple[str | Target, int | None]:
    """The node's name or the pod, and the pod's port."""
    kind, slash, node = words[0].partition("/") if words else ("", "", "")
    if verb in NODE_VERBS or (verb == "mend" and kind in ("node", "nodes", "no") and slash):
        if len(words) != 1:
            raise _fault_usage(verb, "a node", "node/node-1")
        if slash and kind not in ("node", "nodes", "no"):
            raise _fault_usage(verb, f"a node, which {words[0]} is not", f"node/{node}")
        return node if slash else kind, None
    if verb not in (*PORT_VERBS, "mend"):
        if len(words) != 1:
            raise _fault_usage(verb, "a pod", "pod/web")
        return parse_target(words[0]), None
    if len(words) != 2:
        raise _fault_usage(verb, "a pod and its port", "pod/web 80")
    port = words[1].removeprefix(":")
    if not port.isdecimal() or not 0 < int(port) <= MAX_PORT:
        raise _fault_usage(verb, f"a pod's port, which {words[1]} is not", f"{words[0]} 80")
    return parse_target(words[0]), int(port)


def _fault_usage(verb: str, what: str, example: str) -> UsageError:
    return UsageError(
        f"%kfwd fault {verb} takes {what}.", hint=f"as in %kfwd fault {verb} {example}."
    )
