"""A playback → the player that a cell shows: one picture for each step, over the four boxes.

What the relay, the node agent and the pod do cannot be seen from a client: nothing is drawn there
but what the relay and the node agent themselves have told.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from kfwd_nb.client.tracing.beyond import Seen
from kfwd_nb.client.tracing.playback import gaps
from kfwd_nb.errors import printable
from kfwd_nb.notebook.drawing.render import Bundle, rendered
from kfwd_nb.notebook.drawing.units import bytes_text, cut, duration_text

if TYPE_CHECKING:
    from kfwd_nb.client.tracing.playback import Playback, Step
    from kfwd_nb.client.tracing.traced_frame import TracedFrame
    from kfwd_nb.protocol.hops import NoteKind

BOX = 118
"""Width of a box; between two of them lies as much and a little more."""

STEP = 254
"""From the left edge of one box to that of the next."""

COLOURS = {"out": "#2f7fd6", "in": "#c2600f"}
"""Of the arrows to the pod and back; both stand out from white and from black."""

MAX_NAME = 16
"""Characters of a name in a box."""

MAX_DETAILS = 400
"""Characters of a step's details."""

UNSEEN = ("not visible", "from here")
SAYS = "says the relay"

MEASURED = (
    "measured where the client writes and reads; what lies beyond the relay is not visible from "
    "here, and what happens there is not drawn"
)

NOTED = (
    "frames are timed where the client writes and reads them; what the relay and the node agent "
    "did is timed by themselves, and set on the client's clock as cause and effect allow"
)

_WAYS = {"up": "out", "down": "in"}


@dataclass(frozen=True, slots=True)
class Box:
    """A place of the chain; `hidden`: what it does cannot be seen."""

    name: str
    x: int
    below: tuple[str, ...]
    hidden: bool


@dataclass(frozen=True, slots=True)
class Arrow:
    """Something goes from a box to its neighbour.

    Attributes:
        span: 0 between client and relay, 1 to the node agent, 2 to the pod.
        way: `out` to the pod, `in` from it.
    """

    span: int
    way: str

    @property
    def x(self) -> int:
        """Where the span begins."""
        return self.span * STEP + BOX + 2

    @property
    def path(self) -> str:
        """The arrow, with its head."""
        left, right = self.x + 4, self.x + STEP - BOX - 8
        if self.way == "out":
            return f"M{left} 47H{right}M{right - 10} 41L{right + 2} 47L{right - 10} 53Z"
        return f"M{left} 47H{right}M{left + 10} 41L{left - 2} 47L{left + 10} 53Z"

    @property
    def middle(self) -> int:
        """Where its packet stands."""
        return self.x + (STEP - BOX) // 2 - 2

    @property
    def colour(self) -> str:
        """Of the arrow."""
        return COLOURS[self.way]


@dataclass(frozen=True, slots=True)
class Picture:
    """One step, as it is drawn."""

    number: int
    arrows: tuple[Arrow, ...]
    type: str
    size: str
    facts: str
    details: str
    when: str
    boxes: tuple[Box, ...]

    @property
    def way(self) -> str:
        """`out` to the pod, `in` from it."""
        return self.arrows[0].way

    @property
    def label(self) -> str:
        """The picture in words."""
        names = ("client", "relay", "node agent", "pod")
        ends = {place for arrow in self.arrows for place in (arrow.span, arrow.span + 1)}
        way = [names[place] for place in sorted(ends)]
        leads = " to ".join(way if self.way == "out" else reversed(way))
        return f"step {self.number}: {', '.join(filter(None, (self.type, self.size, leads)))}"


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
    knows = any(isinstance(each, Seen) for each in playback.steps)
    lines = [NOTED if knows else MEASURED]
    if playback.more:
        lines.append(f"{playback.more} more steps are not shown; the trace's table has the frames")
    title = f"request {playback.number} of {playback.of} through {playback.name}, frame by frame"
    pictures: list[Picture] = []
    agent, pod = ((), ()) if knows else (UNSEEN, UNSEEN)
    role: tuple[str, ...] = ()
    first = playback.steps[0].until if playback.steps else 0.0
    for number, (step, gap) in enumerate(
        zip(playback.steps, gaps(playback.steps), strict=True), start=1
    ):
        if not isinstance(step, Seen):
            agent = _reported(step.frame, "kfwd-node") or agent
            pod = _reported(step.frame, "kfwd-pod") or pod
            role = _role(step.frame)
        boxes = (
            Box("client", 0, ("this kernel",), hidden=False),
            Box("relay", STEP, role, hidden=False),
            Box("node agent", 2 * STEP, agent, hidden=not knows),
            Box("pod", 3 * STEP, pod, hidden=not knows),
        )
        when = "the first frame"
        if number > 1:
            since_first = f"{duration_text(max(0.0, step.until - first))} after the first frame"
            when = f"{since_first}, {duration_text(gap)} after the step before"
        if isinstance(step, Seen):
            pictures.append(_seen(number, step, boxes, when))
        else:
            pictures.append(_frame(number, step, boxes, when))
    return Play(title, tuple(lines), tuple(pictures))


def _role(frame: TracedFrame) -> tuple[str, ...]:
    """A relay that is spoken to by SPDY may as well be an API server."""
    return () if frame.layer == "HTTP/2" else ("or API server",)


def _reported(frame: TracedFrame, field: str) -> tuple[str, str] | None:
    """What the relay's answer says of a place behind it."""
    name = dict(frame.fields).get(field) if frame.direction == "in" else None
    return (cut(name, MAX_NAME), SAYS) if name else None


def _frame(number: int, step: Step, boxes: tuple[Box, ...], when: str) -> Picture:
    """A frame between client and relay."""
    frame = step.frame
    facts: list[str] = [frame.direction, frame.layer]
    if frame.stream is not None:
        facts.append(f"stream {frame.stream}")
    facts += [_bytes(step.length), *frame.flags]
    return Picture(
        number=number,
        arrows=(Arrow(0, frame.direction),),
        type=frame.type if step.count == 1 else f"{step.count} times {frame.type}",
        size=bytes_text(step.length),
        facts=" · ".join(facts),
        details=cut(frame.details, MAX_DETAILS),
        when=when,
        boxes=boxes,
    )


def _seen(number: int, step: Seen, boxes: tuple[Box, ...], when: str) -> Picture:
    """What the relay or the node agent did: upwards it sends on, downwards it has read."""
    short, words = _NOTES[step.kind]
    if step.way == "up":
        spans = [step.place]
    else:
        reads = step.kind in ("passes", "ends")
        spans = [step.place, step.place - 1] if reads else [step.place - 1]
    said = f"{step.hop} {words} {step.detail}".rstrip()
    return Picture(
        number=number,
        arrows=tuple(Arrow(span, _WAYS[step.way]) for span in spans),
        type=short,
        size=bytes_text(step.octets) if step.octets else "",
        facts=f"{said} · {_bytes(step.octets)}" if step.octets else said,
        details="",
        when=f"about {when}",
        boxes=boxes,
    )


_NOTES: dict[NoteKind, tuple[str, str]] = {
    "asks": ("CONNECT", "asks"),
    "connects": ("connect()", "connects"),
    "accepts": ("200", "accepts:"),
    "passes": ("bytes", "passes on"),
    "ends": ("end", "passes the end on"),
    "forgets": ("end", "forgets the connection:"),
}
"""What is written on an arrow, and how the sentence below it goes, for each kind of note."""


def _bytes(count: int) -> str:
    """The exact count: a frame is small."""
    return "1 byte" if count == 1 else f"{count} bytes"
