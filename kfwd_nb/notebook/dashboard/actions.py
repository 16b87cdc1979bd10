"""What the buttons do: start, stop and restart forwards. Each takes as long as it takes."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING, Any

from kfwd_nb.errors import KfwdError, NotFoundError, UsageError
from kfwd_nb.notebook.dashboard.state import key_of
from kfwd_nb.ports import parse_port

if TYPE_CHECKING:
    from kfwd_nb.client import Forward

MAX_WORD = 1000
"""Characters of one field of the form."""

Tell = Callable[[str], None]
"""Shown beside the form while it waits: what an exec plugin says."""


def perform(
    what: str, asked: Mapping[str, Any], forward_of: Callable[[str], Forward], tell: Tell
) -> str:
    """Do what a button says; what to tell the person then, or "".

    Args:
        what: `start`, `stop` or `restart`.
        asked: the fields of the form, or the `key` of the row.
        forward_of: the forward of a key.
        tell: hears what an exec plugin says.

    Raises:
        KfwdError: why it cannot be done.
    """
    from kfwd_nb import client

    match what:
        case "start":
            return _start(asked, tell)
        case "stop":
            forward_of(_word(asked, "key")).stop()
            return ""
        case "restart":
            forward = forward_of(_word(asked, "key"))
            if forward.parameters.loop == "kernel":
                raise UsageError(
                    f"{forward.name} runs on the kernel's own event loop, and only a cell starts"
                    " a forward there.",
                    hint="run its cell again.",
                )
            client.restart(forward)
            return ""
    raise UsageError(f"a dashboard cannot {what[:40]!r}.")


def _start(asked: Mapping[str, Any], tell: Tell) -> str:
    from kfwd_nb import client
    from kfwd_nb.notebook.embedded import embedded

    target, port = _word(asked, "target"), _word(asked, "port")
    if not target:
        raise UsageError("choose what to forward to: a pod, or a service such as svc/api.")
    if not port:
        raise UsageError(f"choose a port of {target}: 80, 8080:80, or :80 for any free local one.")
    parse_port(port)  # what is wrong with it is said of what was typed
    context = _word(asked, "context") or None
    embedded.check_not_lost(context)
    forward, outcome = client.forward_or_existing(
        target,
        port if ":" in port else f":{port}",
        namespace=_word(asked, "namespace") or None,
        context=context,
        notice=tell,
    )
    return f"{forward.name} is running already" if outcome == "already" else ""


def find(forwards: Iterable[Forward], key: str) -> Forward:
    """The forward of a row.

    Raises:
        NotFoundError: it is forgotten already.
    """
    for each in forwards:
        if key_of(each) == key:
            return each
    raise NotFoundError("that forward is not there any more.")


def _word(asked: Mapping[str, Any], name: str) -> str:
    value = asked.get(name, "")
    if not isinstance(value, str) or len(value) > MAX_WORD:
        raise UsageError(f"{name} is no text of at most {MAX_WORD} characters.")
    return value.strip()


def words_of(error: KfwdError) -> str:
    """What went wrong and what to do, in one line."""
    return " ".join(str(error).split())
