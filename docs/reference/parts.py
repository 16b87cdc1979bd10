"""The parts of a page: text with code in it, things with an anchor and a description, tables."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from typing import NamedTuple

from docutils import nodes

_CODE = re.compile(r"`([^`]+)`")


class Described(NamedTuple):
    """Something with a name, an anchor and a text about it.

    Attributes:
        anchor: as `anchor()` makes it.
        name: as a person types it.
        text: sentences; code in backticks.
    """

    anchor: str
    name: str
    text: str


def anchor(*words: str) -> str:
    """An anchor made of words; tests make the same one."""
    return nodes.make_id("-".join(words).replace("_", "-"))


def inline(text: str) -> list[nodes.Node]:
    """Text whose backticks mark code."""
    parts = _CODE.split(text)
    marked: list[nodes.Node] = []
    for index, part in enumerate(parts):
        if part:
            marked.append(nodes.literal(text=part) if index % 2 else nodes.Text(part))
    return marked


def paragraph(text: str) -> nodes.paragraph:
    """A paragraph of such text."""
    return nodes.paragraph("", "", *inline(text))


def block(text: str, language: str = "text") -> nodes.literal_block:
    """Text as it is typed."""
    return nodes.literal_block(text, text, language=language)


def definitions(items: Iterable[Described]) -> nodes.definition_list:
    """A list of names and what is said of them."""
    listed = nodes.definition_list()
    for item in items:
        term = nodes.term("", "", nodes.literal(text=item.name), ids=[item.anchor])
        body = nodes.definition("", paragraph(item.text or "…"))
        listed += nodes.definition_list_item("", term, body)
    return listed


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> nodes.table:
    """A table of such text."""
    group = nodes.tgroup(cols=len(head))
    for _ in head:
        group += nodes.colspec(colwidth=1)
    group += nodes.thead("", _row(head))
    group += nodes.tbody("", *(_row(cells) for cells in rows))
    return nodes.table("", group)


def _row(cells: Sequence[str]) -> nodes.row:
    return nodes.row("", *(nodes.entry("", paragraph(cell)) for cell in cells))


def section(title: str, name: str, *body: nodes.Node) -> nodes.section:
    """A section with an anchor; its title is code."""
    head = nodes.title("", "", nodes.literal(text=title))
    return nodes.section("", head, *body, ids=[name], names=[name])
