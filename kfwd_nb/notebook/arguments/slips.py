"""What is often typed in the place of a target, answered with the line that was meant."""

from __future__ import annotations

from collections.abc import Sequence

from kfwd_nb.errors import UsageError
from kfwd_nb.ports import kind_of


def refuse_slips(words: Sequence[str]) -> None:
    """Look for the usual slips in a target and its ports.

    Raises:
        UsageError: says what was meant.
    """
    first, *rest = words
    for word in words:
        if word.endswith(";"):  # the last word has lost its own
            raise UsageError(
                f"'{word}' in the middle of a line.",
                hint="a magic takes its whole line; what follows it belongs on the next one.",
            )
    name, colon, port = first.partition(":")
    if colon and (not name or name.isdigit()):
        hint = f"name a pod before its port, as in `web {first}`."
        raise UsageError("no target given.", hint=hint)
    if colon:
        meant = port if ":" in port else f":{port}"
        raise UsageError(f"invalid target '{first}'.", hint=f"write `{name} {meant}`.")
    kind, slash, name = first.partition("/")
    if slash and name and "/" not in name and kind_of(kind) is None:
        raise UsageError(
            f"'{kind}' is no resource kind that can be forwarded to.",
            hint=f"use pod/{name}, svc/{name}, deploy/{name}, or rs, sts, ds, job; "
            f"if {kind} is a namespace: -n {kind} {' '.join([name, *rest])}.",
        )
    for at, word in enumerate(rest, 1):
        kind, slash, _ = word.partition("/")
        if slash and kind_of(kind):
            raise UsageError(
                f"a line has one target, and {word} is another.",
                hint=f"one line for each: `%portforward {' '.join(words[:at])}`, and "
                f"`%portforward {' '.join(words[at:])}`.",
            )


def second_target(ports: Sequence[str]) -> str:
    """The line of another target among the ports: a name with ports after it, as a port may have.

    Returns:
        That line; empty if there is none.
    """
    for at, word in enumerate(ports[:-1]):
        if at and ":" not in word and not word.isdigit():
            return " ".join(["%portforward", *ports[at:]])
    return ""
