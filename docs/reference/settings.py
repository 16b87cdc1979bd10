"""`kfwd-settings`: what `%config Kfwd` lists, from its traitlets."""

from __future__ import annotations

from docutils import nodes
from sphinx.util.docutils import SphinxDirective
from traitlets import Enum, TraitType

from kfwd_nb.notebook.settings import Kfwd
from reference.parts import Described, anchor, definitions


class Settings(SphinxDirective):
    """See the module."""

    def run(self) -> list[nodes.Node]:
        """The nodes in its place."""
        traits = Kfwd.class_own_traits(config=True)
        return [definitions(_described(name, trait) for name, trait in traits.items())]


def _described(name: str, trait: TraitType[object, object]) -> Described:
    values = f" One of {', '.join(f'`{each}`' for each in trait.values)}." if _listed(trait) else ""
    default = trait.default_value
    text = f"{trait.help}{values}" + (f" Default: `{default}`." if default else "")
    return Described(anchor("Kfwd", name), f"Kfwd.{name}", text)


def _listed(trait: TraitType[object, object]) -> bool:
    return isinstance(trait, Enum)
