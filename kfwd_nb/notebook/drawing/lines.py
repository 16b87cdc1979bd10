"""The line to copy under a forward: what a program says to reach the port. Pure, but for its data.

Which line it is, `lines.toml` says. A port's name counts for more than its number, since people
name a port for what it speaks; Istio's way of doing so, PROTOCOL-SUFFIX, is read, too (Istio docs,
Protocol Selection).
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from importlib.resources import files

from kfwd_nb.ports import bracketed

_WIRES = {
    "http": "http://",
    "http2": "http://",
    "web": "http://",
    "www": "http://",
    "https": "https://",
}
"""Names that say only what is spoken, not by whom: there the number may know more."""


@dataclass(frozen=True, slots=True)
class CopyLine:
    """One line to copy.

    Attributes:
        text: the line.
        link: what a click opens; empty where that makes no sense.
        what: who understands the line; empty where nobody knows.
    """

    text: str
    link: str = ""
    what: str = ""

    @property
    def is_url(self) -> bool:
        """The line itself is what a browser would open."""
        return self.text.startswith(("http://", "https://"))


@dataclass(frozen=True, slots=True)
class Entry:
    """One `[[line]]` of the data."""

    what: str
    ports: tuple[int, ...]
    names: tuple[str, ...]
    line: str
    link: str

    def at(self, host: str, port: int) -> CopyLine:
        """The line for an address."""
        places = {"host": host, "port": port, "address": f"{bracketed(host)}:{port}"}
        return CopyLine(self.line.format(**places), self.link.format(**places), self.what)


def line_for(
    host: str, local: int, remote: int | str, name: str = "", target: str = ""
) -> CopyLine:
    """The line for one forwarded port.

    Args:
        host: address that is listened on, or one by which it is reached; without brackets.
        local: port that is listened on.
        remote: the target's port.
        name: of that port, in the service or the pod; empty where it has none.
        target: name of the pod, the service, or what else it is.
    """
    entry = choose(entries(), remote, name, target)
    if entry is None:
        return CopyLine(f"{bracketed(host)}:{local}")
    return entry.at(host, local)


def choose(
    known: Sequence[Entry], remote: int | str, name: str = "", target: str = ""
) -> Entry | None:
    """The entry for a port; None if there is none."""
    words = set(re.split(r"[^a-z0-9]+", target.lower()))
    by_number = sorted(
        (each for each in known if remote in each.ports),
        key=lambda each: words.isdisjoint(each.names),
    )
    for spelled in _spellings(name.lower() or str(remote).lower()):
        by_name = next((each for each in known if spelled in each.names), None)
        if by_name is not None:
            wire = _WIRES.get(spelled)
            same = [each for each in by_number if wire and wire in each.line]
            return same[0] if same else by_name
    return by_number[0] if by_number else None


def _spellings(name: str) -> Iterator[str]:
    """`tcp-redis` → `tcp-redis`, `redis`; `http-metrics` → `http-metrics`, `http`."""
    yield name
    first, dash, rest = name.partition("-")
    if dash:
        yield rest if first in ("tcp", "tls") else first


@cache
def entries() -> tuple[Entry, ...]:
    """All that `lines.toml` has."""
    import tomllib

    text = (files("kfwd_nb.notebook.drawing") / "lines.toml").read_text("utf-8")
    return tuple(
        Entry(
            what=each["for"],
            ports=tuple(each["ports"]),
            names=tuple(each["names"]),
            line=each["line"],
            link=each.get("link", each["line"] if each["line"].startswith("http") else ""),
        )
        for each in tomllib.loads(text)["line"]
    )
