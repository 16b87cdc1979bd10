"""What a relay and a node agent noted of a traced request, set on the client's clock.

Each hop notes times by its own clock, from the moment it heard of the stream. Where that moment
lies on the client's clock is known within bounds: a hop cannot have heard of what was not sent yet,
nor answered after the answer was there. It is set between the tightest of them, so that what caused
something never comes after it.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from kfwd_nb.protocol.hops import HopReport, Note, NoteKind

if TYPE_CHECKING:
    from kfwd_nb.client.tracing.traced_frame import TracedFrame


@dataclass(frozen=True, slots=True)
class Beyond:
    """The notes of one hop."""

    hop: str
    notes: tuple[Note, ...]


@dataclass(frozen=True, slots=True)
class Seen:
    """Something that a hop beyond the client did.

    Attributes:
        place: 1 for the relay, 2 for the node agent.
        hop: its name.
        way: `up` or `down`.
        kind: what; see `protocol.hops.NoteKind`.
        detail: whom, by what or why, in words.
        octets: of payload.
        until: seconds since the trace began, within the bounds that the module tells of.
    """

    place: int
    hop: str
    way: str
    kind: NoteKind
    detail: str
    octets: int
    until: float


def beyond(report: HopReport, stream: int) -> tuple[Beyond, ...]:
    """The notes of a stream at the hop that reports, and at those behind it."""
    found = next((each for each in report.noted if each.stream == stream), None)
    if found is None:
        return ()
    here = Beyond(report.hop, tuple(found.notes))
    if found.link is None or found.onward is None:
        return (here,)
    further = report.beyond[found.link]
    return (here, *beyond(further, found.onward)) if further is not None else (here,)


@dataclass(frozen=True, slots=True)
class _Marks:
    """When, by one clock, something happened at one place; None where it did not.

    Attributes:
        asked: it sent the request on.
        answered: the answer was there.
        up: the first payload or end went to the pod.
        down: the first came from it.
    """

    asked: float | None
    answered: float | None
    up: float | None
    down: float | None


def seen(frames: Sequence[TracedFrame], hops: Sequence[Beyond]) -> list[Seen]:
    """What the hops did, on the client's clock; without what the frames show themselves."""
    found: list[Seen] = []
    marks = _marks_of_frames(frames)
    for place, hop in enumerate(hops, 1):
        origin = _origin(marks, hop.notes)
        if origin is None:
            break
        found += [
            Seen(place, hop.hop, each.way, each.kind, each.detail, each.octets, origin + each.time)
            for each in hop.notes
            if _is_news(each, place)
        ]
        marks = _marks_of_notes(hop.notes, origin)
    return found


def _is_news(note: Note, place: int) -> bool:
    """What the relay sends back is in the client's frames; a clean end is no step of its own."""
    if note.kind == "forgets":
        return note.detail != ""
    return place > 1 or note.way == "up"


def _marks_of_frames(frames: Sequence[TracedFrame]) -> _Marks:
    streams = [each for each in frames if each.stream is not None]
    heads = [each for each in streams if each.type == "HEADERS"]
    rest = [each for each in streams if each.type == "DATA"]
    return _Marks(
        _first(each.time for each in heads if each.direction == "out"),
        _first(each.time for each in heads if each.direction == "in"),
        _first(each.time for each in rest if each.direction == "out"),
        _first(each.time for each in rest if each.direction == "in"),
    )


def _marks_of_notes(notes: Sequence[Note], origin: float) -> _Marks:
    payload = [each for each in notes if each.kind in ("passes", "ends")]
    other = [each for each in notes if each.kind in ("asks", "connects", "accepts")]
    return _Marks(
        _first(origin + each.time for each in other if each.way == "up"),
        _first(origin + each.time for each in other if each.way == "down"),
        _first(origin + each.time for each in payload if each.way == "up"),
        _first(origin + each.time for each in payload if each.way == "down"),
    )


def _origin(before: _Marks, notes: Sequence[Note]) -> float | None:
    """When the hop heard of the stream, by the clock of `before`; None where nothing tells."""
    own = _marks_of_notes(notes, 0.0)
    if before.asked is None:
        return None
    earliest = [before.asked, *_apart(before.up, own.up)]
    latest = [*_apart(before.answered, own.answered), *_apart(before.down, own.down)]
    lowest = max(earliest)
    return (lowest + max(lowest, min(latest))) / 2 if latest else lowest


def _apart(there: float | None, here: float | None) -> list[float]:
    return [there - here] if there is not None and here is not None else []


def _first(times: Iterator[float]) -> float | None:
    return next(times, None)
