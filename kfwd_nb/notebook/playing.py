"""A playback → the player that a cell shows: one picture for each step, over the four boxes.

What the relay, the node agent and the pod do cannot be seen from a client, so nothing is drawn
there but what the relay itself has said in its answer.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from kfwd_nb.client.playback import gaps
from kfwd_nb.errors import printable
from kfwd_nb.notebook.render import Bundle, rendered
from kfwd_nb.notebook.units import bytes_text, duration_text

if TYPE_CHECKING:
    from kfwd_nb.client.playback import Playback, Step
    from kfwd_nb.client.trace import TracedFrame

COLOURS = {"out": "#2f7fd6", "in": "#c2600f"}
"""Of the arrows; both stand out from white and from black."""

_ARROWS = {"out": "M138 47H302M292 41L304 47L292 53Z", "in": "M142 47H306M152 41L140 47L152 53Z"}

MAX_NAME = 20
"""Characters of a name in a box."""

MAX_DETAILS = 400
"""Characters of a step's details."""

UNSEEN = ("not visible", "from here")
SAYS = "says the relay"

MEASURED = (
    "measured where the client writes and reads; what lies beyond the relay is not visible from "
    "here, and what happens there is not drawn"
)


@dataclass(frozen=True, slots=True)
class Box:
    """A place of the chain; `hidden`: what it does cannot be seen."""

    name: str
    x: int
    below: tuple[str, ...]
    hidden: bool


@dataclass(frozen=True, slots=True)
class Picture:
    """One step, as it is drawn."""

    number: int
    way: str
    type: str
    size: str
    facts: str
    details: str
    when: str
    boxes: tuple[Box, ...]

    @property
    def arrow(self) -> str:
        """The path of the arrow."""
        return _ARROWS[self.way]

    @property
    def colour(self) -> str:
        """Of the arrow."""
        return COLOURS[self.way]

    @property
    def label(self) -> str:
        """The picture in words."""
        leads = "client to relay" if self.way == "out" else "relay to client"
        return f"step {self.number}: {self.type}, {self.size}, {leads}"


@dataclass(frozen=True, slots=True)
class Play:
    """All of it."""

    title: str
    lines: tuple[str, ...]
    steps: tuple[Picture, ...]


def play_bundle(playback: Playback) -> Bundle:
    """The player as HTML, and its steps as text."""
    play = drawn(playback)
    return {"text/html": rendered("play.html", play=play), "text/plain": play_text(play)}


def play_text(play: Play) -> str:
    """The steps, a line or two for each."""
    lines = [play.title, *play.lines]
    for step in play.steps:
        arrow = "->" if step.way == "out" else "<-"
        lines.append(f"{step.number:3}  {arrow}  {step.type}  {step.facts}  ({step.when})")
        if step.details:
            lines.append(f"         {step.details}")
    return printable("\n".join(lines))


def drawn(playback: Playback) -> Play:
    """What there is to draw."""
    lines = [MEASURED]
    if playback.more:
        lines.append(f"{playback.more} more steps are not shown; the trace's table has them")
    title = f"request {playback.number} of {playback.of} through {playback.name}, frame by frame"
    pictures: list[Picture] = []
    agent, pod = UNSEEN, UNSEEN
    first = playback.steps[0].frame.time if playback.steps else 0.0
    for step, gap in zip(playback.steps, gaps(playback.steps), strict=True):
        agent = _reported(step.frame, "kfwd-node") or agent
        pod = _reported(step.frame, "kfwd-pod") or pod
        boxes = (
            Box("client", 4, ("this kernel",), hidden=False),
            Box("relay", 306, _role(step.frame), hidden=False),
            Box("node agent", 470, agent, hidden=True),
            Box("pod", 626, pod, hidden=True),
        )
        pictures.append(_picture(len(pictures) + 1, step, boxes, step.until - first, gap))
    return Play(title, tuple(lines), tuple(pictures))


def _role(frame: TracedFrame) -> tuple[str, ...]:
    """A relay that is spoken to by SPDY may as well be an API server."""
    return () if frame.layer == "HTTP/2" else ("or API server",)


def _reported(frame: TracedFrame, field: str) -> tuple[str, str] | None:
    """What the relay's answer says of a place behind it."""
    name = dict(frame.fields).get(field) if frame.direction == "in" else None
    return (_cut(name, MAX_NAME), SAYS) if name else None


def _picture(number: int, step: Step, boxes: tuple[Box, ...], since: float, gap: float) -> Picture:
    frame = step.frame
    facts: list[str] = [frame.direction, frame.layer]
    if frame.stream is not None:
        facts.append(f"stream {frame.stream}")
    facts += [f"{step.length} octets", *frame.flags]
    when = "the first frame"
    if number > 1:
        since_first = f"{duration_text(since)} after the first frame"
        when = f"{since_first}, {duration_text(gap)} after the step before"
    return Picture(
        number=number,
        way=frame.direction,
        type=frame.type if step.count == 1 else f"{step.count} times {frame.type}",
        size=bytes_text(step.length),
        facts=" · ".join(facts),
        details=_cut(frame.details, MAX_DETAILS),
        when=when,
        boxes=boxes,
    )


def _cut(text: str, length: int) -> str:
    return text if len(text) <= length else f"{text[: length - 1]}…"
