"""How what this floor returns is shown where no extension is loaded: marimo, Colab, plain IPython.

The pictures are made two floors above; `kfwd_nb` registers them at the first use of its names.
"""

from __future__ import annotations

from collections.abc import Callable
from html import escape
from typing import Any

Bundle = dict[str, str]

_makers: list[Callable[[object], Bundle]] = []


def register(maker: Callable[[object], Bundle]) -> None:
    """Let `maker` make the bundles (MIME type to text) from now on."""
    _makers[:] = [maker]


class Displayable:
    """Something that notebooks can show."""

    __slots__ = ()

    def _repr_mimebundle_(self, include: Any = None, exclude: Any = None) -> Bundle:
        """What a notebook shows that knows no extensions; it does not move there."""
        if _makers:
            return _makers[0](self)
        return {"text/html": f"<code>{escape(repr(self))}</code>", "text/plain": repr(self)}
