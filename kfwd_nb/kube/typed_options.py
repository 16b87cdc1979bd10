"""The options of a forward as a person types them: the same words in a notebook and in a terminal.

Light to import: `%load_ext` needs it.
"""

from __future__ import annotations

import argparse

from kfwd_nb.errors import UsageError
from kfwd_nb.kube.durations import parse_duration

DIALECTS = ("auto", "websocket", "spdy", "connect")
"""What `--dialect` takes; `client.dialing.dialects` knows what they are."""


ONE_ADDRESS = "one address only, for each further one a forward of its own"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare which target, in which cluster, as whom, by which wire."""
    add = parser.add_argument
    add("-n", "--namespace", metavar="NS", help="where the target is (else the context's own)")
    add("--context", metavar="C", help="which context of the kubeconfig (else its current one)")
    add("--kubeconfig", metavar="FILE", help="the kubeconfig to use")
    add(
        "--address",
        metavar="A",
        action=_Once,
        type=_address,
        default="localhost",
        help="address to listen on (localhost, which is 127.0.0.1 and ::1)",
    )
    add(
        "--dialect",
        choices=DIALECTS,
        default="auto",
        help="the wire to the API server (auto: the best that it speaks)",
    )
    add("--balance", action="store_true", help="spread connections over the ready pods")
    add(
        "--pod-running-timeout",
        metavar="TIME",
        type=_duration,
        help="how long to wait for a pod that runs: 30s, 1m30s (1m, if one is on its way)",
    )
    add("--as", dest="as_user", metavar="USER", help="act as that user, if the cluster lets us")
    add(
        "--as-group",
        dest="as_groups",
        metavar="GROUP",
        action="append",
        default=[],
        help="with --as: a group of that user; may be given several times",
    )


def check(given: argparse.Namespace) -> None:
    """Refuse what argparse cannot see.

    Raises:
        UsageError: groups without a user.
    """
    if given.as_groups and not given.as_user:
        raise UsageError("--as-group needs --as beside it.", hint="as in --as ann --as-group devs.")


class _Once(argparse.Action):
    """Refuses a second one. kubectl listens on several addresses; a forward here has one."""

    def __call__(
        self,
        parser: argparse.ArgumentParser,
        namespace: argparse.Namespace,
        values: object,
        option_string: str | None = None,
    ) -> None:
        """Keep the value."""
        if getattr(namespace, self.dest) != self.default:
            raise argparse.ArgumentError(self, ONE_ADDRESS)
        setattr(namespace, self.dest, values)


def _address(text: str) -> str:
    if "," in text:
        raise argparse.ArgumentTypeError(ONE_ADDRESS)
    return text


def _duration(text: str) -> float:
    try:
        return parse_duration(text)
    except UsageError as error:
        hint = f" ({error.hint.rstrip('.')})" if error.hint else ""
        raise argparse.ArgumentTypeError(f"{error.what.rstrip('.')}{hint}") from None
