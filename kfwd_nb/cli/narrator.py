"""Tells events: in kubectl's words, in more words, or as one JSON object a line.

Standard output has what kubectl says, or the JSON; standard error what went wrong and, with `-v`,
everything else.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, datetime

from kfwd_nb.cli.terminal import RED, note, say
from kfwd_nb.client.events import Event
from kfwd_nb.ports import bracketed


class Narrator:
    """Prints events.

    Args:
        as_json: every event as one JSON object a line, in the place of kubectl's lines.
        verbose: on stderr everything that happens, not only what fails.
    """

    def __init__(self, *, as_json: bool = False, verbose: bool = False) -> None:
        self._as_json = as_json
        self._verbose = verbose

    def tell(self, *events: Event) -> None:
        """Print those that are to be printed, standard output in one go."""
        told = [event for event in events if event.kind != "dialect"]  # `listening` says it, too
        lines = [line for event in told for line in self._lines(event)]
        if lines:
            say("\n".join(lines))
        for event in told:
            self._note(event)

    def _lines(self, event: Event) -> Iterator[str]:
        return iter((json_line(event),)) if self._as_json else plain(event)

    def _note(self, event: Event) -> None:
        if not self._as_json and (failure := failed(event)):
            note(failure, label="error", colour=RED)
        if self._verbose:
            for line in in_words(event):
                note(line)


def json_line(event: Event) -> str:
    """`{"event": ..., "time": ..., ...}`, in ASCII; the time is RFC 3339 in UTC."""
    when = datetime.now(UTC) if event.time is None else datetime.fromtimestamp(event.time, UTC)
    stamp = when.isoformat(timespec="milliseconds").replace("+00:00", "Z")
    return json.dumps({"event": event.kind, "time": stamp, **event.facts})


def plain(event: Event) -> Iterator[str]:
    """Lines of kubectl: one for each address of each port, and one for each connection."""
    if event.kind == "listening":
        for port in event.facts["ports"]:
            for address in port["addresses"]:
                yield f"Forwarding from {bracketed(address)}:{port['local']} -> {port['remote']}"
    elif event.kind == "opened":
        yield f"Handling connection for {event.facts['local']}"


def failed(event: Event) -> str:
    """The line of kubectl for a connection that failed; empty for any other event."""
    connection = event.connection
    if event.kind != "closed" or not event.facts["failed"] or connection is None:
        return ""
    ports = f"{connection.local} -> {connection.remote}"
    return f"an error occurred forwarding {ports}: {connection.reason}"


def in_words(event: Event) -> Iterator[str]:
    """What `-v` says of an event."""
    facts = event.facts
    if event.kind == "listening":  # its ports have lines of their own
        yield f"{facts['context']}/{facts['namespace']} at {facts['server']}"
        yield f"dialect {facts['dialect']}: {facts['dialectReason']}"
    else:
        yield event.text
