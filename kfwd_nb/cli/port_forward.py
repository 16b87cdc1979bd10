"""`kfwd port-forward`: what `kubectl port-forward` does, with its words."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator, Sequence

from kfwd_nb.cli.command import Parser
from kfwd_nb.client import Connection, ForwardedPort, forward
from kfwd_nb.errors import LostError, printable
from kfwd_nb.ports import bracketed, parse_ports, split_target

LOOK = 0.1
"""Seconds between two looks at the forward's connections."""


def run(words: Sequence[str]) -> int:
    """Run the subcommand; it ends by a signal only.

    Raises:
        KfwdError: it cannot be started, or has ended by itself.
    """
    parser = Parser(
        prog="kfwd port-forward",
        description="Forward local ports to a pod, a service or a deployment.",
    )
    parser.add_argument("-n", "--namespace", metavar="NS")
    parser.add_argument("--context", metavar="C", help="context of the kubeconfig")
    parser.add_argument("--kubeconfig", metavar="F", help="the kubeconfig to use")
    parser.add_argument(
        "--address",
        metavar="A",
        default="localhost",
        help="address to listen on (default: localhost, which is 127.0.0.1 and ::1)",
    )
    parser.add_argument(
        "words",
        nargs="*",
        metavar="TARGET PORT",
        help="web, svc/api or deploy/api, then ports: 8080:80, 80, or :80 for any free local one",
    )
    given = parser.parse_intermixed_args(words)
    target, ports = split_target(given.words)
    parse_ports(ports)
    running = forward(
        str(target),
        *ports,
        namespace=given.namespace,
        context=given.context,
        kubeconfig=given.kubeconfig,
        address=given.address,
    )
    narrator = Narrator()
    told = -1
    with running:
        for line in opening_lines(running.ports):
            print(line, flush=True)
        while not running.wait(LOOK):
            if told != (revision := running.revision):
                told = revision
                narrator.look(running.connections())
    raise LostError(running.reason or "the forward ended by itself.")


def opening_lines(ports: Iterable[ForwardedPort]) -> Iterator[str]:
    """`Forwarding from 127.0.0.1:8080 -> 80`, for each address of each port."""
    for port in ports:
        for address in port.addresses:
            yield f"Forwarding from {bracketed(address)}:{port.local} -> {port.remote}"


class Narrator:
    """Says what happens to connections: each once when it comes, and once more if it fails."""

    def __init__(self) -> None:
        self._last = 0
        self._open: set[int] = set()

    def look(self, connections: Iterable[Connection]) -> None:
        """Print what is new since the last look."""
        known = list(connections)
        self._open &= {each.number for each in known}  # others closed, and are forgotten already
        for each in known:
            if each.number > self._last:
                self._last = each.number
                self._open.add(each.number)
                print(f"Handling connection for {each.local}", flush=True)
            if each.number in self._open and each.closed is not None:
                self._open.discard(each.number)
                if each.failed:
                    words = f"an error occurred forwarding {each.local} -> {each.remote}"
                    print(f"error: {words}: {printable(each.reason)}", file=sys.stderr, flush=True)
