"""A trace → the table that a cell shows."""

from __future__ import annotations

from typing import TYPE_CHECKING

from kfwd_nb.notebook.drawing.render import Bundle, Sheet, sheet_bundle

if TYPE_CHECKING:
    from kfwd_nb.client.tracing.trace import Trace
    from kfwd_nb.client.tracing.traced_frame import TracedFrame

MAX_ROWS = 200
"""Frames that a table shows, the latest; `Trace.to_frame` has all that are kept."""

MAX_DETAILS = 160
"""Characters of a frame's details in the table."""

ARROWS = {"out": "→ out", "in": "← in"}

HEAD = ("ms", "way", "wire", "layer", "stream", "type", "length", "flags", "details")


def trace_bundle(trace: Trace) -> Bundle:
    """The table as HTML and text."""
    return sheet_bundle(trace_sheet(trace))


def trace_sheet(trace: Trace) -> Sheet:
    """What it recorded so far, a row for each frame, and what is not in it."""
    frames = trace.frames()
    state = "recording" if trace.recording else "stopped"
    count = "1 frame" if len(frames) == 1 else f"{len(frames)} frames"
    lines = [
        "out is to the server, in is from it; lengths are bytes of payload, none of which is kept"
    ]
    if trace.before:
        were = "connection was" if trace.before == 1 else "connections were"
        lines.append(f"{trace.before} {were} open before the trace began, and not in it")
    if trace.dropped:
        lines.append(f"{trace.dropped} older frames had to go: it keeps {trace.limit}")
    if len(frames) > MAX_ROWS:
        lines.append(f"the last {MAX_ROWS}; .to_frame() has all {len(frames)}")
    if not frames:
        lines.append("nothing yet: it shows connections that are opened while it records")
    rows = tuple(_row(each) for each in frames[-MAX_ROWS:])
    return Sheet(f"trace of {trace.name}: {count}, {state}", tuple(lines), HEAD, rows)


def _row(frame: TracedFrame) -> tuple[str, ...]:
    details = frame.details
    return (
        f"{frame.time * 1000:.2f}",
        ARROWS[frame.direction],
        str(frame.wire),
        frame.layer,
        "" if frame.stream is None else str(frame.stream),
        frame.type,
        str(frame.length),
        " ".join(frame.flags),
        details if len(details) <= MAX_DETAILS else f"{details[:MAX_DETAILS]}…",
    )
