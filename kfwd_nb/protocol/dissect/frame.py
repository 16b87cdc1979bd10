"""One frame as it is told: its head, and what of its content may be shown."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

Layer = Literal["HTTP/1.1", "HTTP/2", "SPDY", "WebSocket"]

UNREADABLE = "UNREADABLE"
"""Type of the last frame of a direction that cannot be read on; `note` says why."""

HIDDEN = "(hidden)"
"""What stands in the place of a value that is not told."""

SHOWN = frozenset(
    {
        *(":method", ":scheme", ":authority", ":path", ":status", ":protocol"),
        *("kfwd-pod", "kfwd-node", "kfwd-notes", "proxy-status"),
        *(
            "connection",
            "upgrade",
            "host",
            "content-type",
            "content-length",
            "sec-websocket-version",
        ),
        *("sec-websocket-protocol", "x-stream-protocol-version"),
        *("x-accepted-stream-protocol-versions", "streamtype", "port", "requestid"),
    }
)
"""Header fields whose values are told. Of all others only the names are: a token may stand in any
of them, not in `authorization` alone."""

MAX_TOLD = 300
"""Characters of one value, and fields of one frame, that are told."""


@dataclass(frozen=True, slots=True)
class Frame:
    """A frame that has passed whole.

    Attributes:
        layer: the protocol that it is a frame of.
        type: as its specification calls it.
        length: octets of its payload that passed, its head not counted; of a WebSocket, those of a
            message; of HTTP/1.1, those of a message's head.
        stream: its stream's id; None where the frame is of no stream.
        flags: those that are set, by name.
        fields: header fields, settings or codes that it carries.
        note: what is special about it.
    """

    layer: Layer
    type: str
    length: int
    stream: int | None = None
    flags: tuple[str, ...] = ()
    fields: tuple[tuple[str, str], ...] = ()
    note: str = ""

    @property
    def details(self) -> str:
        """Fields and note in one line."""
        said = [f"{name}: {value}" for name, value in self.fields]
        return ", ".join([*said, self.note] if self.note else said)


def told(fields: Iterable[tuple[str, str]]) -> tuple[tuple[str, str], ...]:
    """Header fields, with the values of those that are not in `SHOWN` hidden."""
    found: list[tuple[str, str]] = []
    for name, value in fields:
        if len(found) == MAX_TOLD:
            found.append(("…", "more fields"))
            break
        shown = value if name.lower() in SHOWN else HIDDEN
        if name == ":path":
            shown = without_query(shown)
        found.append((name[:MAX_TOLD], shown[:MAX_TOLD]))
    return tuple(found)


def without_query(path: str) -> str:
    """A path whose query, where a token may stand, is not told."""
    before, mark, _ = path.partition("?")
    return f"{before}{mark}{HIDDEN}" if mark else before


def flag_names(flags: int, names: dict[int, str]) -> tuple[str, ...]:
    """The names of the bits that are set; a bit without a name by its value."""
    bits = [1 << place for place in range(8) if flags >> place & 1]
    return tuple(names.get(bit, f"0x{bit:02x}") for bit in bits)
