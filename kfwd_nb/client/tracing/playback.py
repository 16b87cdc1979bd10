"""One request of a trace, step by step. Pure: traced frames in, steps out.

A request is what one local connection asked for: a CONNECT stream with its answer, or a pair of
SPDY streams; the first pair of a wire has the upgrade before it. Only what was measured is in it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from types import MappingProxyType
from typing import TYPE_CHECKING

from kfwd_nb.client.display import Displayable
from kfwd_nb.client.tracing.beyond import Beyond, Seen, seen
from kfwd_nb.errors import UsageError

if TYPE_CHECKING:
    from kfwd_nb.client.tracing.traced_frame import TracedFrame

MAX_STEPS = 40
"""Steps that are played; each is a picture in the saved notebook."""


@dataclass(frozen=True, slots=True)
class Step:
    """A frame, or several DATA frames of a stream in a row that say nothing but their payload.

    Attributes:
        frame: the first.
        count: how many.
        length: octets of payload of all of them.
        until: seconds since the trace began at which the last one was whole.
    """

    frame: TracedFrame
    count: int
    length: int
    until: float


@dataclass(frozen=True, slots=True)
class Playback(Displayable):
    """A request to be shown frame by frame; a notebook with the extension plays it.

    Attributes:
        name: the forward's.
        number: which request of the trace, from 1.
        of: how many the trace has.
        steps: at most `MAX_STEPS`.
        more: steps that are left out at the end.
    """

    name: str
    number: int
    of: int
    steps: tuple[Step | Seen, ...]
    more: int = 0

    def __repr__(self) -> str:
        return f"<Playback of {self.name}: request {self.number}, {len(self.steps)} steps>"


def playback(
    name: str,
    frames: Sequence[TracedFrame],
    number: int,
    beyond: Mapping[tuple[int, int], Sequence[Beyond]] = MappingProxyType({}),
) -> Playback:
    """The request of that number: from 1, or from the end if it is negative.

    Args:
        name: the forward's.
        frames: of the trace.
        number: of the request.
        beyond: what other hops noted, by wire and stream.

    Raises:
        UsageError: there is no such request.
    """
    found = requests(frames)
    if not found:
        raise UsageError(
            "the trace has no request from its beginning.",
            hint="open a connection through the forward while it records, then play.",
        )
    place = number - 1 if number > 0 else number + len(found)
    if number == 0 or not 0 <= place < len(found):
        raise UsageError(f"the trace has the requests 1 to {len(found)}, but no {number}.")
    wanted = found[place]
    key = next((each.wire, each.stream) for each in wanted if each.stream is not None)
    hops = beyond.get(key, ()) if key[1] is not None else ()
    steps = merged(steps_of(wanted), seen(wanted, hops))
    more = max(0, len(steps) - MAX_STEPS)
    return Playback(name, place + 1, len(found), tuple(steps[:MAX_STEPS]), more)


def requests(frames: Sequence[TracedFrame]) -> list[list[TracedFrame]]:
    """The frames of each request, in the order in which they began.

    One whose first frame the trace has not (any more) is left out.
    """
    found: dict[tuple[int, str], list[TracedFrame]] = {}
    keys: dict[tuple[int, int], tuple[int, str]] = {}
    upgrades: dict[int, list[TracedFrame]] = {}
    for frame in frames:
        if frame.layer == "HTTP/1.1":
            upgrades.setdefault(frame.wire, []).append(frame)
        if frame.stream is None or frame.layer not in ("HTTP/2", "SPDY"):
            continue
        stream = frame.wire, frame.stream
        if stream not in keys and frame.direction == "out":
            opened = _opened(frame)
            if opened:
                keys[stream] = frame.wire, opened
        if stream in keys:
            before = upgrades.pop(frame.wire, [])
            found.setdefault(keys[stream], before).append(frame)
    return list(found.values())


def _opened(frame: TracedFrame) -> str:
    """What the streams that this frame opens have in common; empty if it opens none."""
    if frame.type == "HEADERS" and frame.layer == "HTTP/2":
        return f"stream {frame.stream}"
    if frame.type == "SYN_STREAM":
        return f"request {dict(frame.fields).get('requestid', frame.stream)}"
    return ""


def steps_of(frames: Sequence[TracedFrame]) -> list[Step]:
    """Frames as steps; plain DATA of one stream and direction in a row is one."""
    steps: list[Step] = []
    for frame in frames:
        last = steps[-1] if steps else None
        if last is not None and _goes_on(last.frame, frame):
            length = last.length + frame.length
            steps[-1] = Step(last.frame, last.count + 1, length, frame.time)
        else:
            steps.append(Step(frame, 1, frame.length, frame.time))
    return steps


def merged(steps: Sequence[Step], beyond: Sequence[Seen]) -> list[Step | Seen]:
    """Both in the order of time; payload that a hop passes on in a row is one step."""
    found: list[Step | Seen] = []
    everything: list[Step | Seen] = [*steps, *beyond]
    for each in sorted(everything, key=lambda each: each.until):
        last = found[-1] if found else None
        if isinstance(each, Seen) and isinstance(last, Seen) and _same(last, each):
            found[-1] = replace(each, octets=last.octets + each.octets)
        else:
            found.append(each)
    return found


def _same(last: Seen, each: Seen) -> bool:
    kept = last.place, last.way, last.kind
    return bool(each.octets) and kept == (each.place, each.way, each.kind)


def _goes_on(first: TracedFrame, frame: TracedFrame) -> bool:
    plain = first.type == frame.type == "DATA" and not first.flags and not frame.flags
    same = (first.wire, first.stream, first.direction, first.note)
    return plain and same == (frame.wire, frame.stream, frame.direction, frame.note)


def gaps(steps: Sequence[Step | Seen]) -> list[float]:
    """Seconds between the end of each step and the end of the one before it; 0 for the first."""
    return [0.0, *(after.until - before.until for before, after in pairwise(steps))]
