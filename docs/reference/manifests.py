"""`kfwd-manifests`: what the embedded cluster understands of a manifest, from the types it reads.

Fields that stand in a type and are refused all the same (`UNSUPPORTED`) are listed as refused.
"""

from __future__ import annotations

from collections.abc import Iterator

import msgspec
from docutils import nodes
from msgspec import inspect
from sphinx.util.docutils import SphinxDirective

from kfwd_nb.kube import objects
from kfwd_nb.kube.manifests.reading import KINDS
from kfwd_nb.kube.manifests.schema import IGNORED, UNSUPPORTED
from reference.parts import anchor, paragraph, section, table


class Manifests(SphinxDirective):
    """See the module."""

    def run(self) -> list[nodes.Node]:
        """The nodes in its place."""
        return [_section(each) for each in types()]


def types() -> list[type[msgspec.Struct]]:
    """All parts that a manifest may have: the kinds first, then what is in them, each once."""
    found: dict[type[msgspec.Struct], None] = {}
    waiting = [getattr(objects, kind) for kind in KINDS]
    while waiting:
        struct = waiting.pop(0)
        if struct not in found:
            found[struct] = None
            waiting += _inside(struct)
    return list(found)


def understood(struct: type[msgspec.Struct]) -> list[str]:
    """Names of the fields that have a meaning here."""
    dropped = IGNORED.get(struct, frozenset()) | UNSUPPORTED.get(struct, {}).keys()
    return [each for each in _fields(struct) if each not in dropped]


def _fields(struct: type[msgspec.Struct]) -> list[str]:
    return [field.encode_name for field in msgspec.structs.fields(struct)]


def _inside(struct: type[msgspec.Struct]) -> Iterator[type[msgspec.Struct]]:
    info = inspect.type_info(struct)
    assert isinstance(info, inspect.StructType)
    kept = set(understood(struct))
    for field in info.fields:
        if field.encode_name in kept:
            yield from _structs(field.type)


def _structs(info: inspect.Type) -> Iterator[type[msgspec.Struct]]:
    if isinstance(info, inspect.StructType):
        yield info.cls
    elif isinstance(info, inspect.UnionType):
        for each in info.types:
            yield from _structs(each)
    elif isinstance(info, inspect.ListType):
        yield from _structs(info.item_type)


def _section(struct: type[msgspec.Struct]) -> nodes.section:
    name = struct.__name__
    rows = [["understood", _listed(understood(struct))]]
    if ignored := IGNORED.get(struct):
        rows.append(["accepted, without effect", _listed(sorted(ignored))])
    body: list[nodes.Node] = [
        paragraph((struct.__doc__ or "").split("\n\n")[0].replace("\n", " ")),
        table(["field", ""], rows),
    ]
    if refused := UNSUPPORTED.get(struct):
        rows = [[f"`{field}`", f"{why}."] for field, why in sorted(refused.items())]
        body.append(table(["refused", "why, or what to do instead"], rows))
    return section(name, anchor("manifest", name), *body)


def _listed(names: list[str]) -> str:
    return ", ".join(f"`{name}`" for name in names)
