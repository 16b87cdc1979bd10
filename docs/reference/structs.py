"""`kfwd-struct MODULE.NAME`: the fields of a part of a configuration file."""

from __future__ import annotations

import importlib
import inspect
import re
import types
from pathlib import Path
from typing import Any, Literal, Union, get_args, get_origin, get_type_hints

import msgspec
from docutils import nodes
from sphinx.util.docutils import SphinxDirective

from reference.parts import Described, anchor, definitions, paragraph

_WORDS = {str: "text", int: "a whole number", float: "a number", bool: "true or false"}

_ATTRIBUTE = re.compile(r" {4}(?P<name>\w+): (?P<text>.+(?:\n {8}.+)*)")


class Struct(SphinxDirective):
    """See the module."""

    required_arguments = 1

    def run(self) -> list[nodes.Node]:
        """The nodes in its place."""
        module, _, name = self.arguments[0].rpartition(".")
        struct = getattr(importlib.import_module(module), name)
        said = (inspect.getdoc(struct) or "").partition("\n\nAttributes:")[0]
        shown = [paragraph(each.replace("\n", " ")) for each in said.split("\n\n")]
        return [*shown, definitions(fields(struct))]


def fields(struct: type[msgspec.Struct]) -> list[Described]:
    """Each field: its name in the file, its type, its default, and what the docstring says."""
    said = attributes(struct)
    hints = get_type_hints(struct)
    found = []
    for field in msgspec.structs.fields(struct):
        facts = [in_words(hints[field.name]), _default(field)]
        text = f"{said.get(field.name, '')} ({', '.join(filter(None, facts))})"
        place = anchor(struct.__name__, field.encode_name)
        found.append(Described(place, field.encode_name, f"{text[:1].upper()}{text[1:]}"))
    return found


def attributes(struct: type) -> dict[str, str]:
    """What the section Attributes of a docstring says, by name."""
    _, _, listed = (inspect.getdoc(struct) or "").partition("\nAttributes:\n")
    found = {each["name"]: each["text"] for each in _ATTRIBUTE.finditer(listed)}
    return {name: " ".join(text.split()).rstrip(".") for name, text in found.items()}


def in_words(kind: Any) -> str:
    """A type as somebody says it who writes JSON."""
    origin, inside = get_origin(kind), get_args(kind)
    if origin is Literal:
        return " or ".join(f'`"{each}"`' for each in inside)
    if origin in (tuple, list):
        return f"a list: {in_words(inside[0])}"
    if origin is dict:
        return f"names, and for each {in_words(inside[1])}"
    if origin in (Union, types.UnionType):
        return " or ".join(in_words(each) for each in inside if each is not type(None))
    if kind is Path:
        return "a path"
    return _WORDS.get(kind) or f"`{kind.__name__}`"


def _default(field: msgspec.structs.FieldInfo) -> str:
    if field.required:
        return "required"
    value = field.default
    if value is msgspec.NODEFAULT or value in (None, "", ()):
        return ""
    return f"else `{msgspec.json.encode(value).decode()}`"
