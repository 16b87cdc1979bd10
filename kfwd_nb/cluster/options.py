"""What a cluster is asked to be, checked; the owner gives it to the supervisor as its arguments."""

from __future__ import annotations

import argparse
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, get_args

from kfwd_nb.errors import UsageError

IsolationChoice = Literal["auto", "netns", "userns", "loopback"]
ConnectorChoice = Literal["netns", "socat"]

MAX_NODES = 20
"""Nodes of a cluster; each is a process of this machine."""


@dataclass(frozen=True, slots=True)
class Options:
    """What `kfwd cluster up` is asked for.

    Attributes:
        file: manifests; None for the default ones.
        nodes: how many node agents.
        isolation: how pods are kept apart; `auto` takes the strongest that can be had.
        connector: how agents open ports inside pods.
        kubeconfig: where a copy of the kubeconfig goes; None for the cluster's folder only.
    """

    file: Path | None = None
    nodes: int = 2
    isolation: IsolationChoice = "auto"
    connector: ConnectorChoice = "netns"
    kubeconfig: Path | None = None

    def __post_init__(self) -> None:
        """Refuse what cannot be.

        Raises:
            UsageError: naming the option.
        """
        if not 1 <= self.nodes <= MAX_NODES:
            raise UsageError(f"--nodes {self.nodes}: a cluster has 1 to {MAX_NODES} nodes.")
        for name, value, choices in (
            ("isolation", self.isolation, get_args(IsolationChoice)),
            ("connector", self.connector, get_args(ConnectorChoice)),
        ):
            if value not in choices:
                hint = f"use one of {', '.join(choices)}."
                raise UsageError(f"--{name} {value}: there is none of that name.", hint=hint)
        if self.isolation == "loopback" and self.connector == "socat":
            raise UsageError(
                "--connector socat: there is no namespace to enter in loopback isolation.",
                hint="leave out one of --connector and --isolation.",
            )

    def arguments(self) -> list[str]:
        """The same as command-line arguments; `from_arguments` reads them back."""
        words = ["--nodes", str(self.nodes)]
        words += ["--isolation", self.isolation, "--connector", self.connector]
        for name in ("file", "kubeconfig"):
            if (path := getattr(self, name)) is not None:
                words += [f"--{name}", str(Path(path).absolute())]
        return words


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options of a cluster."""
    parser.add_argument(
        "-f", "--file", type=Path, metavar="FILE", help="manifests, a file or a folder"
    )
    parser.add_argument(
        "--nodes", type=int, default=2, metavar="N", help="node agents (default: %(default)s)"
    )
    parser.add_argument(
        "--isolation",
        choices=get_args(IsolationChoice),
        default="auto",
        help="how pods are kept apart (default: the strongest that can be had)",
    )
    parser.add_argument(
        "--connector",
        choices=get_args(ConnectorChoice),
        default="netns",
        help="how agents open ports inside pods (default: %(default)s)",
    )
    parser.add_argument("--kubeconfig", type=Path, metavar="PATH", help="write a kubeconfig there")


def from_arguments(given: argparse.Namespace) -> Options:
    """The options that a parser with `add_arguments` has read.

    Raises:
        UsageError: one of them cannot be.
    """
    return Options(given.file, given.nodes, given.isolation, given.connector, given.kubeconfig)
