"""Which cluster and which namespace a line is about: the options, and what they come to."""

from __future__ import annotations

import argparse

from kfwd_nb.notebook.arguments.defaults import Defaults
from kfwd_nb.notebook.arguments.parser import Parser


def add_namespace(parser: Parser) -> None:
    """Declare `-n`."""
    parser.add_argument(
        "-n",
        "--namespace",
        metavar="NS",
        help="which namespace (else the context's own)",
    )


def add_cluster(parser: Parser) -> None:
    """Declare `--context` and `--kubeconfig`."""
    parser.add_argument(
        "--context", metavar="C", help="another context than the one that the magics use now"
    )
    parser.add_argument("--kubeconfig", metavar="FILE", help="another kubeconfig")


def namespace_of(given: argparse.Namespace, defaults: Defaults) -> str | None:
    """The namespace that is meant; None for the context's own."""
    namespace: str | None = given.namespace
    return defaults.namespace if namespace is None else namespace


def context_of(given: argparse.Namespace, defaults: Defaults) -> str | None:
    """The context that is meant; None for the current one.

    The default is a context of the kubeconfigs that are found, not of a file that is named.
    """
    context: str | None = given.context
    return defaults.context if context is None and given.kubeconfig is None else context
