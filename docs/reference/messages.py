"""`kfwd-message FRAGMENT`: a message of the code, whole, as a heading for what helps against it.

The code is read, not run: `KfwdError` and its kinds are looked for by a part of their text. What is
filled in when it happens is shown as `…`.
"""

from __future__ import annotations

import ast
import functools
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from docutils import nodes
from sphinx.util.docutils import SphinxDirective

import kfwd_nb
from reference.parts import anchor, block, inline, paragraph

ROOT = Path(kfwd_nb.__file__).parent


class Said(NamedTuple):
    """An error that the code can raise.

    Attributes:
        kind: its class.
        text: its first sentence.
        hint: what it says to do; empty where it says nothing, or where that depends.
    """

    kind: str
    text: str
    hint: str


class Message(SphinxDirective):
    """See the module."""

    required_arguments = 1
    final_argument_whitespace = True
    has_content = True

    def run(self) -> list[nodes.Node]:
        """The nodes in its place."""
        fragment = self.arguments[0]
        found = [each for each in messages() if fragment in each.text]
        if len({each.text for each in found}) != 1:
            raise self.error(f"{len(found)} messages of the code have {fragment!r} in them.")
        said = found[0]
        hint = next((each.hint for each in found if each.hint), "")
        head = nodes.title("", "", *inline(_heading(said.text)))
        place = anchor("message", fragment)
        part = nodes.section("", head, ids=[place], names=[place])
        part += block(said.text + (f"\nhint: {hint}" if hint else ""))
        part += paragraph(f"An `{said.kind}`." if said.kind[0] in "EU" else f"A `{said.kind}`.")
        self.state.nested_parse(self.content, self.content_offset, part)
        return [part]


def _heading(text: str) -> str:
    """The message itself, without its last stop."""
    return text.rstrip(".")


@functools.cache
def messages() -> tuple[Said, ...]:
    """All that the code can raise with words of its own."""
    found: list[Said] = []
    for path in sorted(ROOT.rglob("*.py")):
        found += _messages(ast.parse(path.read_text()))
    return tuple(found)


def _messages(tree: ast.AST) -> Iterator[Said]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.args:
            kind, text = node.func.id, words(node.args[0])
            if kind.endswith("Error") and text:
                hints = (each.value for each in node.keywords if each.arg == "hint")
                yield Said(kind, text, words(next(hints, None)))


def words(node: ast.AST | None) -> str:
    """A text of the code; empty for anything that is none."""
    match node:
        case ast.Constant(value=str(text)):
            return text
        case ast.JoinedStr(values=parts):
            return "".join(words(part) or "…" for part in parts)
        case ast.BinOp(left=left, right=right):
            return words(left) + words(right)
    return ""
