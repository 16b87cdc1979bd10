"""A `HopView` → the picture that a cell shows: boxes, the ways between them, and what is where."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from kfwd_nb.client.hops.view import PLACES, UNSEEN, LinkView, named
from kfwd_nb.client.local.program import OURSELVES
from kfwd_nb.client.opening import IN_PROCESS
from kfwd_nb.errors import printable
from kfwd_nb.notebook.drawing.render import Bundle, columns, rendered
from kfwd_nb.notebook.drawing.units import bytes_text, clock, cut, duration_text

if TYPE_CHECKING:
    from kfwd_nb.client.hops.view import HopView

BOX = 108
"""Width of a box."""

STEP = 188
"""From the left edge of one box to that of the next."""

MAX_NAME = 15
"""Characters of a name in a box."""

MAX_ROWS = 10
"""Connections that get a row of their own: those that stand still, then the newest."""

HEAD = ("#", "local program", "pod", "node", "→ up", "← down", "waits for")

KEY = (
    "as of {}; → to the pod, ← back: bytes on their way. What a box holds is counted by its own "
    "process, what lies between two is the difference of their counts"
)

MARK = "▲"
"""Stands below a box that others wait for, and points at it."""

UNSEEN_LINES = ("not visible", "from here")
"""`UNSEEN` in a box."""

ALONE = "no connection is open: nothing is on its way"


@dataclass(frozen=True, slots=True)
class Box:
    """One of the five that read and write.

    Attributes:
        x: left edge.
        title: what it is.
        name: which one.
        below: two lines at the most: what it holds, or where it is.
        hidden: what it does cannot be seen.
        fault: what others wait for, in words; empty if nobody waits for it.
    """

    x: int
    title: str
    name: str
    below: tuple[str, ...]
    hidden: bool
    fault: str

    @property
    def middle(self) -> int:
        """Where its text stands."""
        return self.x + BOX // 2


@dataclass(frozen=True, slots=True)
class Span:
    """The way from one box to the next.

    Attributes:
        x: where it begins.
        wire: what is spoken.
        up: octets on the way up, in words.
        down: octets on the way down.
        trip: the round trip.
        tls: version of TLS, or that there is none.
        unanswered: a PING was not answered.
        hidden: nobody tells.
    """

    x: int
    wire: str
    up: str
    down: str
    trip: str
    tls: str
    unanswered: bool
    hidden: bool

    @property
    def end(self) -> int:
        """Where the next box begins."""
        return self.x + STEP - BOX

    @property
    def middle(self) -> int:
        """Where its text stands."""
        return (self.x + self.end) // 2


@dataclass(frozen=True, slots=True)
class HopPicture:
    """All of it."""

    title: str
    boxes: tuple[Box, ...]
    spans: tuple[Span, ...]
    troubles: tuple[str, ...]
    stands: tuple[str, ...]
    lines: tuple[str, ...]
    head: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    key: str

    @property
    def label(self) -> str:
        """The picture in words."""
        return "; ".join([self.title, *_drawn_words(self), *self.troubles, *self.stands])


def hops_bundle(view: HopView, note: str = "") -> Bundle:
    """The picture as HTML, and as text."""
    picture = drawn(view, note)
    return {"text/html": rendered("hops.html", picture=picture), "text/plain": hops_text(picture)}


def hops_text(picture: HopPicture) -> str:
    """The picture for a terminal."""
    lines = [picture.title, *_drawn_words(picture)]
    lines += [*picture.troubles, *picture.stands]
    lines += picture.lines
    if picture.rows:
        lines += columns([picture.head, *picture.rows])
    lines.append(picture.key)
    return printable("\n".join(lines))


def _drawn_words(picture: HopPicture) -> list[str]:
    """Boxes and spans in their order, a line each."""
    lines = []
    for place, box in enumerate(picture.boxes):
        who = f"{box.title} {box.name}".rstrip()
        said = " ".join(box.below)
        lines.append(f"{who}: {said}" if said else who)
        if box.fault:
            lines[-1] += f"  {box.fault}"
        if place < len(picture.spans):
            span = picture.spans[place]
            facts = (span.wire, span.tls, span.trip, span.up, span.down)
            lines.append(f"  | {', '.join(filter(None, facts))}")
    return lines


def drawn(view: HopView, note: str = "") -> HopPicture:
    """What there is to draw."""
    foreign = bool(view.why)
    links = (_local_link(view), *view.links)
    spans = tuple(_span(view, link, place) for place, link in enumerate(links))
    lines = [note] if note else []
    if foreign:
        server = named("relay", foreign=True)
        lines.append(f"beyond the {server} nothing is visible from here: {view.why}")
    if not view.flows:
        lines.append(ALONE)
    many = len(view.flows) + view.more
    if view.more:
        lines.append(f"the newest {len(view.flows)} of {many} connections are asked about")
    title = (
        f"the way of {view.name}, {view.ports}: {many} open connection{'' if many == 1 else 's'}"
    )
    return HopPicture(
        title,
        _boxes(view),
        spans,
        tuple(f"{each.name}: {each.trouble}" for each in view.links if each.trouble),
        _stands(view),
        tuple(lines),
        HEAD,
        _rows(view),
        KEY.format(clock(view.at)),
    )


def _boxes(view: HopView) -> tuple[Box, ...]:
    """The five of them, from left to right."""
    flows, foreign = view.flows, bool(view.why)
    programs = _summed([each.program for each in flows], "programs")
    peers = _summed([each.peer for each in flows], "addresses")
    pods = _summed([each.pod.partition("/")[2] for each in flows], "pods")
    nodes = _summed([each.node for each in flows], "nodes")
    inside: dict[str, tuple[str, tuple[str, ...], bool]] = {
        "local program": (programs, (peers,) if peers else (), False),
        "client": (OURSELVES, _held(view, "client"), False),
        "relay": ("", _held(view, "relay"), foreign),
        "node agent": (nodes, _held(view, "node agent"), foreign),
        "pod": (pods, UNSEEN_LINES if foreign else (), foreign),
    }
    boxes = []
    for place, (box, (name, below, hidden)) in enumerate(inside.items()):
        fault = view.fault(box)
        title = named(box, foreign=foreign)
        mark = f"{MARK} {fault}" if fault else ""
        boxes.append(Box(place * STEP, title, name, below, hidden, mark))
    return tuple(boxes)


def _local_link(view: HopView) -> LinkView:
    """To the local program: a port of this machine, or nothing that others could reach."""
    inside = {each.peer for each in view.flows} == {IN_PROCESS}
    return LinkView(PLACES[0], IN_PROCESS if inside else "local port", None, None, "")


def _span(view: HopView, link: LinkView, place: int) -> Span:
    hidden = link.wire == UNSEEN
    up, down = (view.octets(way, link.name) for way in ("up", "down"))
    trip = "" if link.round_trip is None else duration_text(link.round_trip)
    return Span(
        place * STEP + BOX,
        UNSEEN if hidden else link.wire,
        "" if up is None else f"→ {bytes_text(up)}",
        "" if down is None else f"← {bytes_text(down)}",
        f"{link.measured} {trip}" if trip else "",
        "" if link.tls is None or hidden else (link.tls.partition(" ")[0] or "no TLS"),
        link.unanswered,
        hidden,
    )


def _held(view: HopView, place: str) -> tuple[str, ...]:
    up, down = view.octets("up", place), view.octets("down", place)
    if up is None or down is None:
        return UNSEEN_LINES
    ways = [f"→ {bytes_text(up)}"] * bool(up) + [f"← {bytes_text(down)}"] * bool(down)
    first, *rest = ways or ["nothing"]
    return f"holds {first}", *rest


def _stands(view: HopView) -> tuple[str, ...]:
    """As `HopView.stands`, with amounts that fit those of the picture."""
    standing = [each for each in view.flows if each.stalls]
    return tuple(
        f"connection {each.number} stands still: "
        + "; ".join(stall.said(bytes_text(stall.octets)) for stall in each.stalls)
        for each in standing[:MAX_ROWS]
    )


def _rows(view: HopView) -> tuple[tuple[str, ...], ...]:
    flows = sorted(view.flows, key=lambda each: (not each.stalls, -each.number))[:MAX_ROWS]
    return tuple(
        (
            str(each.number),
            f"{each.program} {each.peer}".strip(),
            each.pod,
            each.node,
            _sum(each.up),
            _sum(each.down),
            ", ".join(stall.who for stall in each.stalls),
        )
        for each in flows
    )


def _sum(places: Sequence[int | None]) -> str:
    known = bytes_text(sum(octets or 0 for octets in places))
    return f"{known} visible" if None in places else known


def _summed(names: Sequence[str], noun: str) -> str:
    """The name, if they all have one, or how many there are."""
    different = {each for each in names if each}
    if len(different) > 1:
        return f"{len(different)} {noun}"
    return cut(different.pop(), MAX_NAME) if different else ""
