"""`%portforward TARGET PORT...`: a forward to start, some to stop, or what to show.

Options may stand between the words of a target and its ports.
"""

from __future__ import annotations

import argparse
from collections.abc import Collection
from dataclasses import dataclass

from kfwd_nb.errors import UsageError
from kfwd_nb.kube import typed_options
from kfwd_nb.notebook.arguments.defaults import PLAIN, Defaults, Loop
from kfwd_nb.notebook.arguments.line import refuse_leftovers, split
from kfwd_nb.notebook.arguments.parser import Parser
from kfwd_nb.notebook.arguments.place import context_of, namespace_of
from kfwd_nb.notebook.arguments.slips import refuse_slips
from kfwd_nb.ports import Target, parse_ports, split_target

WHICH = "a forward by its name, target or local port (none: the only one)"
"""What several options say of themselves."""


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
    parser = portforward_parser()
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


def portforward_parser() -> Parser:
    """The parser of its line."""
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
    refuse_slips(words)
    target, ports = split_target(words)
    parse_ports(ports)
    typed_options.check(given)
    return ForwardOptions(
        target=target,
        ports=tuple(ports),
        namespace=namespace_of(given, defaults),
        context=context_of(given, defaults),
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
