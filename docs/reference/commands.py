"""`kfwd-command NAME`: a subcommand of `kfwd`, as its `--help` has it."""

from __future__ import annotations

import argparse
import importlib

from docutils import nodes
from sphinx.util.docutils import SphinxDirective

from reference.options import described
from reference.parts import block, definitions, paragraph


class Command(SphinxDirective):
    """See the module."""

    required_arguments = 1

    def run(self) -> list[nodes.Node]:
        """The nodes in its place."""
        name = self.arguments[0]
        parser = parser_of(name)
        usage = parser.format_usage().removeprefix("usage: ")
        shown: list[nodes.Node] = [paragraph(parser.description or ""), block(usage)]
        shown.append(definitions(described(f"kfwd {name}", parser)))
        return shown + ([paragraph(parser.epilog)] if parser.epilog else [])


def parser_of(command: str) -> argparse.ArgumentParser:
    """The parser of a subcommand; each is a module of `kfwd_nb.cli`."""
    module = importlib.import_module(f"kfwd_nb.cli.{command.replace('-', '_')}")
    parser: argparse.ArgumentParser = module.parser()
    return parser
