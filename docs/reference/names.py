"""Names in signatures that docstrings and hints write short: `Trace` is `kfwd_nb….Trace`."""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

from sphinx.util.nodes import make_refnode

if TYPE_CHECKING:
    from docutils import nodes
    from sphinx.addnodes import pending_xref
    from sphinx.application import Sphinx
    from sphinx.domains.python import PythonDomain
    from sphinx.environment import BuildEnvironment


def resolve(
    app: Sphinx, env: BuildEnvironment, node: pending_xref, content: nodes.TextElement
) -> nodes.reference | None:
    """Find what is described under the same last name, if that is one thing only."""
    if node.get("refdomain") != "py":
        return None
    domain = cast("PythonDomain", env.domains["py"])
    last = node["reftarget"].rpartition(".")[2]
    found = {
        (entry.docname, entry.node_id)
        for name, entry in domain.objects.items()
        if name.rpartition(".")[2] == last and entry.objtype in ("class", "exception", "data")
    }
    if len(found) != 1:
        return None
    page, place = found.pop()
    return make_refnode(app.builder, node["refdoc"], page, place, content, last)
