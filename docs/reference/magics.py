"""`kfwd-magic NAME`: the help of a magic as a cell shows it, and its options one by one."""

from __future__ import annotations

import inspect

from docutils import nodes
from sphinx.util.docutils import SphinxDirective

from kfwd_nb.notebook.arguments.kfwd import KFWD_COMMANDS, kfwd_parser
from kfwd_nb.notebook.arguments.portforward import portforward_parser
from kfwd_nb.notebook.kfwd import KfwdMagics
from kfwd_nb.notebook.portforward import PortforwardMagics
from reference.options import described
from reference.parts import anchor, block, definitions, section

HELP = {"portforward": PortforwardMagics.portforward, "kfwd": KfwdMagics.kfwd}


class Magic(SphinxDirective):
    """See the module."""

    required_arguments = 1

    def run(self) -> list[nodes.Node]:
        """The nodes in its place."""
        name = self.arguments[0]
        shown: list[nodes.Node] = [block(help_of(name))]
        if name == "portforward":
            return [*shown, definitions(described("%portforward", portforward_parser()))]
        for command in KFWD_COMMANDS:
            options = list(described(f"%kfwd {command}", kfwd_parser(command)))
            title = f"%kfwd {command}"
            body = [definitions(options)] if options else [nodes.paragraph(text="No options.")]
            shown.append(section(title, anchor(title), *body))
        return shown


def help_of(name: str) -> str:
    """The docstring, which `%portforward?` shows; its `::` is for people who read plain text."""
    text = inspect.getdoc(HELP[name]) or ""
    return text.replace("\n::\n", "\n").replace("::\n", ":\n").replace("\n\n\n", "\n\n")
