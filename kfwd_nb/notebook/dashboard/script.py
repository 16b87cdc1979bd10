"""The modules of `page/`, joined into one script: a widget cannot have more.

A browser gets a widget's script as a text, and finds no files beside it. The modules are ordinary
ones all the same, for editors and tests. Joined, those that are imported stand before those that
import them, and all names are in one scope. What would mean something else there is refused: other
imports than `import { a, b } from "./file.js";`, a name that two modules declare, a circle.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

_IMPORT = re.compile(r'^import \{([^{}]*)\} from "\./([\w.-]+)";\n', re.MULTILINE)
_DECLARED = re.compile(
    r"^(export )?((?:async )?(?:function\*?|class|const|let|var) (\w+))", re.MULTILINE
)
_LEFT = re.compile(r"^(?:import|export (?!default\b)).*", re.MULTILINE)


def read(folder: Path) -> str:
    """The modules of a folder, joined."""
    return joined({each.name: each.read_text("utf-8") for each in folder.glob("*.js")})


def joined(modules: Mapping[str, str]) -> str:
    """Modules, by the names of their files, as one.

    Raises:
        ValueError: something in them would not mean the same there.
    """
    exported: dict[str, set[str]] = {}
    declared: dict[str, str] = {}
    for file, text in modules.items():
        found = _DECLARED.findall(text)
        exported[file] = {name for export, _, name in found if export}
        for _, _, name in found:
            if name in declared:
                raise ValueError(f"{name} is declared in {declared[name]} and again in {file}.")
            declared[name] = file
    needed: dict[str, list[str]] = {}
    for file, text in sorted(modules.items()):
        needed[file] = []
        for names, source in _IMPORT.findall(text):
            needed[file].append(source)
            for name in filter(None, (each.strip() for each in names.split(","))):
                if name not in exported.get(source, ()):
                    raise ValueError(f"{file} imports {name!r}, which {source} does not export.")
    try:
        order = list(TopologicalSorter(needed).static_order())
    except CycleError as error:
        raise ValueError(f"modules import each other: {', '.join(error.args[1])}.") from error
    return "\n".join(f"// -- {file}\n\n{_plain(file, modules[file])}" for file in order)


def _plain(file: str, text: str) -> str:
    """A module without its imports, and without saying what it exports."""
    text = _DECLARED.sub(r"\2", _IMPORT.sub("", text))
    if left := _LEFT.search(text):
        raise ValueError(f"{file} has what cannot be joined: {left[0]}")
    return text
