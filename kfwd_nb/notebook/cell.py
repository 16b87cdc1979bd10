"""`%%portforward TARGET PORT...`: a forward for the length of a cell.

A cell magic that runs its body by itself would lose what cells can do: top-level `await`, line
magics, a last expression that is shown, tracebacks with the user's own lines. So the body is left
to IPython, in three steps. The first line becomes a call, as text, which keeps every line number:

    %%portforward web :80 --name page          __portforward_block__('web :80 --name page')
    urlopen(page.url()).read()                 urlopen(page.url()).read()

IPython parses that, and finds a top-level `await` if there is one. Then the tree, not the text, is
folded into a `with` block; no line is indented, so strings over several lines stay as they are:

    with __portforward_block__('web :80 --name page'):
        sys.displayhook(urlopen(page.url()).read())

Both are supported places: `input_transformers_cleanup` and `ast_transformers` of the shell.
"""

from __future__ import annotations

import ast
import re
from types import TracebackType
from typing import TYPE_CHECKING

from kfwd_nb.errors import UsageError

if TYPE_CHECKING:
    from kfwd_nb.client import Forward

CALL = "__portforward_block__"
"""What stands for the first line between the two steps. It is never run by this name."""

DEFAULT_VARIABLE = "fwd"

_FIRST_LINE = re.compile(r"%%portforward(?:[ \t]+(?P<line>.*?))?\s*")


def replace_first_line(lines: list[str]) -> list[str]:
    """Input transformer: `%%portforward LINE` → a call. A line that asks for help stays."""
    match = _FIRST_LINE.fullmatch(lines[0]) if lines else None
    if match is None or lines[0].rstrip().endswith("?"):
        return lines
    return [f"{CALL}({match['line'] or ''!r})\n", *lines[1:]]


# IPython asks transformers whether a cell is complete, and knows %% cells by their first line; one
# with this mark is left out there, so that Enter goes on asking for the body.
replace_first_line.has_side_effects = True  # type: ignore[attr-defined]


class FoldIntoBlock(ast.NodeTransformer):
    """AST transformer: that call, and the statements after it → a `with` block."""

    def visit_Module(self, node: ast.Module) -> ast.Module:
        """Fold a cell that begins with the call; leave any other alone."""
        first = node.body[0] if node.body else None
        if not _is_call(first):
            return node
        assert isinstance(first, ast.Expr)
        assert isinstance(first.value, ast.Call)
        first.value.func = ast.copy_location(_expression(_BLOCK), first.value.func)
        body = node.body[1:] or [ast.copy_location(ast.Pass(), first)]
        last = body[-1]
        if isinstance(last, ast.Expr):
            shown = ast.Call(func=_expression(_DISPLAY), args=[last.value], keywords=[])
            last.value = ast.copy_location(shown, last.value)
        item = ast.withitem(context_expr=first.value)
        node.body = [ast.copy_location(ast.With(items=[item], body=body), first)]
        return ast.fix_missing_locations(node)


_BLOCK = "__import__('kfwd_nb.notebook.cell', fromlist=['block']).block"
_DISPLAY = "__import__('sys').displayhook"


def _expression(text: str) -> ast.expr:
    return ast.parse(text, mode="eval").body


def _is_call(node: ast.stmt | None) -> bool:
    return (
        isinstance(node, ast.Expr)
        and isinstance(node.value, ast.Call)
        and isinstance(node.value.func, ast.Name)
        and node.value.func.id == CALL
    )


class block:  # noqa: N801 - read as a keyword of its cell
    """Forward while the block runs; put the Forward into the notebook's variable.

    A forward that was running before, with the same options, is left running.
    """

    def __init__(self, line: str) -> None:
        from IPython.core.getipython import get_ipython

        from kfwd_nb.notebook.arguments.portforward import parse_block
        from kfwd_nb.notebook.settings import settings_of

        shell = get_ipython()
        if shell is None:
            raise UsageError("%%portforward works in IPython only.")
        self._shell = shell
        line = shell.var_expand(line, depth=1)  # type: ignore[no-untyped-call]
        defaults = settings_of(shell).defaults()
        self._options = parse_block(line, self._shell.user_ns, defaults)
        self._forward: Forward | None = None

    def __enter__(self) -> Forward:
        from kfwd_nb.notebook.notice import Notice
        from kfwd_nb.notebook.portforward import note_of, show_forward, start
        from kfwd_nb.notebook.wait import Wait

        wait = Wait(self._shell)
        forward, outcome = start(self._options, Notice(self._shell), wait)
        if outcome != "already":
            self._forward = forward
        self._shell.user_ns[self._options.name or DEFAULT_VARIABLE] = forward
        show_forward(self._shell, forward, note_of(forward, outcome), wait.output)
        return forward

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        from kfwd_nb.notebook.live import follower

        if self._forward is not None:
            self._forward.stop()
            follower.refresh()
