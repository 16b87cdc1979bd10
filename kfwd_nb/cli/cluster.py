"""`kfwd cluster up`: an embedded cluster in the foreground, until SIGINT or SIGTERM."""

from __future__ import annotations

import shlex
import sys
from collections.abc import Sequence
from contextlib import ExitStack

from kfwd_nb.agent.isolation import MEANING
from kfwd_nb.cli import terminal
from kfwd_nb.cli.command import Parser, starting
from kfwd_nb.cluster import MiniCluster
from kfwd_nb.cluster.options import add_arguments, from_arguments
from kfwd_nb.errors import printable

LOOK = 0.5
"""Seconds between two looks at what the cluster has to say."""


def run(words: Sequence[str]) -> int:
    """Run the subcommand; it ends by a signal only.

    Raises:
        KfwdError: the cluster cannot be started, or has ended by itself.
    """
    options = from_arguments(parser().parse_intermixed_args(words))
    cluster = MiniCluster(
        options.file,
        nodes=options.nodes,
        isolation=options.isolation,
        connector=options.connector,
        kubeconfig=options.kubeconfig,
        progress=say,
    )
    with ExitStack() as stack:
        with starting():
            stack.enter_context(cluster)
        stack.callback(say, "ending the embedded cluster")
        terminal.say(ready_line(cluster))
        while not cluster.wait(LOOK):
            while cluster.notes:
                say(cluster.notes.popleft())
    return 0


def parser() -> Parser:
    """The parser of the subcommand."""
    parser = Parser(
        prog="kfwd cluster",
        description="Run an embedded cluster in the foreground, until SIGINT or SIGTERM.",
    )
    parser.add_argument("action", choices=["up"], help="start it; it runs until it is ended")
    add_arguments(parser)
    return parser


def ready_line(cluster: MiniCluster) -> str:
    """The one line that says that the cluster can be used, for people and for scripts."""
    line = (
        f"cluster ready kubeconfig={shlex.quote(str(cluster.kubeconfig))} relay={cluster.relay} "
        f"isolation={cluster.isolation} pods={len(cluster.pods)} seconds={cluster.ready_after:.2f}"
    )
    return f"{line} ({MEANING['loopback']})" if cluster.isolation == "loopback" else line


def say(text: str) -> None:
    """Print a line of progress; standard output is for the one line that scripts wait for."""
    print(printable(text), file=sys.stderr, flush=True)
