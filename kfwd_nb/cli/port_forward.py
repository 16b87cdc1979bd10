"""`kfwd port-forward`: what `kubectl port-forward` does, with its words."""

from __future__ import annotations

import argparse
import ipaddress
import os
import time
from collections import deque
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from kfwd_nb.cli.command import Ended, Parser, starting
from kfwd_nb.cli.terminal import note
from kfwd_nb.errors import KfwdError, LostError, printable
from kfwd_nb.kube.typed_options import add_arguments, check
from kfwd_nb.ports import bracketed, parse_ports, split_target

if TYPE_CHECKING:
    from kfwd_nb.cli.narrator import Narrator
    from kfwd_nb.cli.ports_file import PortsFile
    from kfwd_nb.client import Forward

MAX_TOLD = 100
"""Lines of an exec plugin that are kept, so that an error does not say them again."""


PAUSE = 0.05
"""Seconds between two looks at what has happened: with a wake for each event, opening a connection
cost 2.7 to 3.1 ms of the client's processor time; so it costs 2.4."""


def run(words: Sequence[str]) -> int:
    """Run the subcommand; it ends by a signal only.

    Raises:
        KfwdError: it cannot be started, or has ended by itself.
    """
    given = parser().parse_intermixed_args(words)
    check(given)
    target, ports = split_target(given.words)
    parse_ports(ports)
    with starting():
        from kfwd_nb.cli.narrator import Narrator
        from kfwd_nb.cli.ports_file import PortsFile

        file = PortsFile(given.ports_file)
        running = _started(str(target), ports, given)
    if warning := warning_of(running):
        note(warning, label="warning")
    try:
        _attend(running, Narrator(as_json=given.output == "json", verbose=given.verbose), file)
    finally:
        file.remove()
    raise LostError(running.reason or "the forward ended by itself.")


def _started(target: str, ports: list[str], given: argparse.Namespace) -> Forward:
    """Start it. What an exec plugin has said on stderr is not said again by the error it makes."""
    from kfwd_nb import client

    told: deque[str] = deque(maxlen=MAX_TOLD)

    def tell(line: str) -> None:
        told.append(line)
        note(line)

    try:
        running, _ = client.forward_or_existing(
            target,
            *ports,
            namespace=given.namespace,
            context=given.context,
            kubeconfig=given.kubeconfig,
            address=given.address,
            dialect=given.dialect,
            balance=given.balance,
            pod_running_timeout=given.pod_running_timeout,
            as_user=given.as_user,
            as_groups=given.as_groups,
            notice=tell,
        )
    except KfwdError as error:
        for line in told:
            error.what = error.what.replace(f"\n  {printable(line)}", "", 1)
        raise
    return running


def warning_of(forward: Forward) -> str:
    """That other machines can reach it; empty when it listens on the loopback only."""
    listed = ", ".join(
        f"{bracketed(address)}:{port.local}"
        for port in forward.ports
        for address in port.addresses
        if not ipaddress.ip_address(address).is_loopback
    )
    return f"other machines can reach {listed}, too" if listed else ""


def _attend(running: Forward, narrator: Narrator, file: PortsFile) -> None:
    """Tell what happens, until it is over; also the end that a signal makes."""
    happened = running.events(past=True)
    try:
        with running:
            for event in happened:
                news = (event, *happened.rest())
                for each in news:
                    if each.kind == "listening":
                        file.write(each.facts | {"pid": os.getpid()})
                narrator.tell(*news)
                time.sleep(PAUSE)
    except Ended:
        running.stop()  # it came before the block had begun, perhaps
        narrator.tell(*happened)
        raise


def parser() -> Parser:
    """The parser of the subcommand."""
    parser = Parser(
        prog="kfwd port-forward",
        description="Forward local ports to a pod, a service or a deployment.",
        epilog="With -o json: events listening, opened, pod, waiting, closed, gone, came, missed, "
        "trouble, recovered, stopped; docs/look.md has their keys.",
    )
    add_arguments(parser)
    parser.add_argument(
        "-v", "--verbose", action="store_true", help="say on stderr what happens, and why"
    )
    parser.add_argument(
        "-o",
        "--output",
        choices=["json"],
        metavar="FORMAT",
        help="json: one JSON object a line on stdout for everything that happens",
    )
    parser.add_argument(
        "--ports-file",
        metavar="FILE",
        type=Path,
        help="write the ports there as JSON once all of them listen; removed at the end",
    )
    parser.add_argument(
        "words",
        nargs="*",
        metavar="TARGET PORT",
        help="web, svc/api or deploy/api, then ports: 8080:80, 80, or :80 for any free local one",
    )
    return parser
