"""What the site says of options, settings, files and messages, taken from the code that has them.

| directive | shows |
|---|---|
| `kfwd-magic NAME` | the help of a magic, and the options of each of its commands |
| `kfwd-command NAME` | a subcommand of `kfwd` |
| `kfwd-struct MODULE.NAME` | the fields of a configuration file |
| `kfwd-settings` | what `%config Kfwd` sets |
| `kfwd-manifests` | the fields of manifests: understood, without effect, refused |
| `kfwd-message FRAGMENT` | the one message of the code that has it; a heading for its cure |

All that a page gets from here has an anchor of its own, by which tests look for it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from reference.commands import Command
from reference.magics import Magic
from reference.manifests import Manifests
from reference.messages import Message
from reference.names import resolve
from reference.settings import Settings
from reference.structs import Struct

if TYPE_CHECKING:
    from sphinx.application import Sphinx


def setup(app: Sphinx) -> dict[str, Any]:
    """Tell Sphinx."""
    app.add_directive("kfwd-magic", Magic)
    app.add_directive("kfwd-command", Command)
    app.add_directive("kfwd-struct", Struct)
    app.add_directive("kfwd-settings", Settings)
    app.add_directive("kfwd-manifests", Manifests)
    app.add_directive("kfwd-message", Message)
    app.connect("missing-reference", resolve)
    return {"version": "1", "parallel_read_safe": True, "parallel_write_safe": True}
