"""Tables and results → a bundle of HTML and text, which every host of a notebook can show.

Whatever comes from pods and clusters is text: jinja2 escapes it in HTML, and control characters are
made visible in both forms. The style sheet goes with each bundle, because a saved notebook has
nothing else.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cache
from itertools import zip_longest
from typing import TYPE_CHECKING, Any, Literal

from kfwd_nb.errors import printable

if TYPE_CHECKING:
    import jinja2
    from markupsafe import Markup

    from kfwd_nb.client.browser.links import Link
    from kfwd_nb.notebook.drawing.spark import Spark
    from kfwd_nb.notebook.drawing.table import ForwardRow, Table

Bundle = dict[str, str]
"""MIME type to text; always `text/html` and `text/plain`, neither of them empty."""

Form = Literal["widget", "html", "text"]
"""What of a bundle is shown: all of it, or only what needs no kernel to be seen."""

PLAIN: dict[Form, tuple[str, ...]] = {"html": ("text/html", "text/plain"), "text": ("text/plain",)}
"""The MIME types of the forms that a saved notebook, a converter and a terminal can show."""

SIMULATED = "simulated isolation: pods are processes on 127.0.0.1"
MORE = "and {:,} more forwards; kfwd_nb.forwards() has them all."
EMPTY = "Nothing is forwarded in this kernel; %portforward POD PORT starts a forward."


@dataclass(frozen=True, slots=True)
class Sheet:
    """What a result has to show, apart from how.

    Attributes:
        title: one line.
        lines: sentences below it.
        head: names of the columns, empty for none.
        rows: cells of the columns.
        code: lines to copy, or what a command has said.
        busy: it is not over yet.
        part: how much of its time is over, from 0 to 1; None where nobody knows.
        links: URLs in `lines` can be clicked; for the words of programs that the user runs.
    """

    title: str
    lines: tuple[str, ...] = ()
    head: tuple[str, ...] = ()
    rows: tuple[tuple[str, ...], ...] = ()
    code: tuple[str, ...] = ()
    busy: bool = False
    part: float | None = None
    links: bool = False


def table_bundle(table: Table) -> Bundle:
    """The live table in both forms."""
    html = _template("table.html").render(table=table, simulated=SIMULATED, empty=EMPTY, more=MORE)
    return {"text/html": html, "text/plain": table_text(table)}


def sheet_bundle(sheet: Sheet) -> Bundle:
    """A result in both forms."""
    return {
        "text/html": _template("sheet.html").render(sheet=sheet),
        "text/plain": sheet_text(sheet),
    }


def rendered(template: str, **values: Any) -> str:
    """A template of `templates/`; what is put in is escaped."""
    return _template(template).render(**values)


def link_html(link: Link) -> str:
    """A link that can be clicked, also where it begins at the root of the page's host."""
    return _template("link.html").render(link=link)


def in_form(bundle: Bundle, form: Form) -> Bundle:
    """As much of a bundle as its form has."""
    return {kind: bundle[kind] for kind in PLAIN.get(form, bundle) if kind in bundle}


def table_text(table: Table) -> str:
    """The live table for a terminal and for a saved notebook without HTML."""
    lines = [table.note] if table.note else []
    if table.simulated:
        lines.append(SIMULATED)
    if not table.forwards:
        lines.append(EMPTY)
    for row in table.forwards:
        lines += _forward_text(row)
    if table.more:
        lines.append(MORE.format(table.more))
    return printable("\n".join(lines))


def _forward_text(row: ForwardRow) -> list[str]:
    addresses = ", ".join(f"{each.text} -> {each.remote}" for each in row.addresses)
    state = f"{row.state}: {row.reason}" if row.reason else row.state
    target = f"{row.target} ({row.name})" if row.name else row.target
    first = f"{addresses}  {target}  {row.context}/{row.namespace}  {state}"
    lines = [f"{first}  {row.connections}  {row.rate}"]
    lines += [f"    {each}" for each in (row.warning, row.failure) if each]
    lines += [f"    {each.line.text}" for each in row.addresses if row.listening]
    lines += [f"    {each}" for each in _spark_text(row.spark)]
    if row.dialect:
        lines.append(f"    dialect {row.dialect}{f': {row.why}' if row.why else ''}")
    if row.rows:
        head = ("#", "state", "in", "out", "pod", "node", "dialect", "age", "first byte", "why")
        cells = [
            (
                *(str(each.number), each.state, str(each.bytes_in), str(each.bytes_out)),
                *(each.pod, each.node, each.dialect, each.age, each.first_byte, each.reason),
            )
            for each in row.rows
        ]
        lines += [f"    {line}" for line in columns([head, *cells])]
    return lines + [f"    {each}" for each in row.rest]


def _spark_text(spark: Spark) -> list[str]:
    """A row of blocks for each direction in which something has passed."""
    if spark.quiet:
        return []
    both = ("in ", spark.inward), ("out", spark.outward)
    lines = [f"{name} {way.blocks} at most {way.most}" for name, way in both if way.path]
    return [*lines[:-1], f"{lines[-1]}, {spark.span}"]


def sheet_text(sheet: Sheet) -> str:
    """A result for a terminal."""
    lines = [sheet.title, *sheet.lines]
    if sheet.rows:
        lines += [f"    {line}" for line in columns([sheet.head, *sheet.rows])]
    return printable("\n".join([*lines, *sheet.code]))


def columns(rows: Iterable[Sequence[str]]) -> list[str]:
    """Rows of cells as lines with straight columns, two spaces apart."""
    rows = [[" ".join(cell.split("\n")) for cell in row] for row in rows]
    widths = [max(map(len, column)) for column in zip_longest(*rows, fillvalue="")]
    return [
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=False)).rstrip()
        for row in rows
    ]


@cache
def _template(name: str) -> jinja2.Template:

    import jinja2

    environment = jinja2.Environment(
        loader=jinja2.FunctionLoader(_read),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        finalize=_visible,
    )
    environment.filters["visible"] = printable
    environment.globals["asset"] = _asset
    return environment.get_template(name)


def _read(name: str) -> str:
    from importlib.resources import files

    return (files("kfwd_nb.notebook.drawing") / "templates" / name).read_text("utf-8")


@cache
def _asset(name: str) -> Markup:
    """A style sheet or a script, without comments and indents: it goes with every update."""
    from markupsafe import Markup

    lines = [line.strip() for line in _COMMENT.sub("", _read(name)).splitlines()]
    return Markup("\n".join(filter(None, lines)))  # noqa: S704 - a file of our own


_COMMENT = re.compile(r"/\*.*?\*/|(?<!\S)//.*?$", re.DOTALL | re.MULTILINE)


def _visible(value: Any) -> Any:
    """Make control characters visible in text that came from elsewhere."""
    return printable(value) if type(value) is str else value
