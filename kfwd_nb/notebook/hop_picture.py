"""A `HopView` → the picture that a cell shows: boxes, the ways between them, and what is where."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from kfwd_nb.client.hops import PLACES, UNSEEN, LinkView
from kfwd_nb.errors import printable
from kfwd_nb.notebook.render import Bundle, columns, rendered
from kfwd_nb.notebook.units import bytes_text, clock, cut, duration_text

if TYPE_CHECKING:
    from kfwd_nb.client.hops import HopView

BOX = 118
"""Width of a box; between two of them lies as much and a little more."""

STEP = 254
"""From the left edge of one box to that of the next."""

MAX_NAME = 18
"""Characters of a name in a box."""

MAX_ROWS = 10
"""Connections that get a row of their own: those that stand still, then the newest."""

HEAD = ("#", "pod", "node", "up: on the way", "down: on the way", "stands still")

KEY = (
    "as of {}; → to the pod, ← back: octets on their way. What a box holds is counted by its own "
    "process, what lies between two is the difference of their counts"
)

ALONE = "no connection is open: nothing is on its way"


@dataclass(frozen=True, slots=True)
class Box:
    """One of the four places.

    Attributes:
        x: left edge.
        title: what it is.
        name: which one.
        holds: octets in it, in words.
        hidden: what it does cannot be seen.
    """

    x: int
    title: str
    name: str
    holds: str
    hidden: bool

    @property
    def middle(self) -> int:
        """Where its text stands."""
        return self.x + BOX // 2

    @property
    def below(self) -> list[str]:
        """`holds` in two lines."""
        if self.holds == UNSEEN:
            return ["not visible", "from here"]
        first, _, back = self.holds.partition(" ← ")
        return [first, f"← {back}"] if back else [first]


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
        lines.append(f"{box.title} {box.name}: {box.holds}".replace(" :", ":"))
        if place < len(picture.spans):
            span = picture.spans[place]
            said = (span.wire, span.tls, span.trip, span.up, span.down)
            lines.append(f"  | {', '.join(filter(None, said))}")
    return lines


def drawn(view: HopView, note: str = "") -> HopPicture:
    """What there is to draw."""
    foreign = bool(view.why)
    pods = _named(sorted({each.pod.partition("/")[2] for each in view.flows if each.pod}), "pods")
    nodes = _named(sorted({each.node for each in view.flows if each.node}), "nodes")
    boxes = (
        Box(0, "client", "this kernel", _client_words(view), hidden=False),
        Box(STEP, "API server" if foreign else "relay", "", _held(view, "relay"), hidden=foreign),
        Box(
            2 * STEP,
            "kubelet" if foreign else "node agent",
            nodes,
            _held(view, "node agent"),
            hidden=foreign,
        ),
        Box(3 * STEP, "pod", pods, "" if not foreign else UNSEEN, hidden=foreign),
    )
    spans = tuple(_span(view, link, place) for place, link in enumerate(view.links))
    lines = [note] if note else []
    if foreign:
        lines.append(f"beyond the {boxes[1].title} nothing is visible from here: {view.why}")
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
        boxes,
        spans,
        tuple(f"{each.name}: {each.trouble}" for each in view.links if each.trouble),
        view.stands[:MAX_ROWS],
        tuple(lines),
        HEAD,
        _rows(view),
        KEY.format(clock(view.at)),
    )


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


def _held(view: HopView, place: str) -> str:
    up, down = view.octets("up", place), view.octets("down", place)
    return UNSEEN if up is None or down is None else _holds(up, down)


def _client_words(view: HopView) -> str:
    """What the client holds, with what the local program has not read and what we have not."""
    # Where the kernel does not tell of its sockets (not Linux) it is what we hold ourselves.
    up = sum(view.octets("up", place) or 0 for place in PLACES[:2])
    down = sum(view.octets("down", place) or 0 for place in PLACES[:2])
    return _holds(up, down)


def _holds(up: int, down: int) -> str:
    ways = [f"→ {bytes_text(up)}"] * bool(up) + [f"← {bytes_text(down)}"] * bool(down)
    return f"holds {' '.join(ways) or 'nothing'}"


def _rows(view: HopView) -> tuple[tuple[str, ...], ...]:
    flows = sorted(view.flows, key=lambda each: (not each.stands, -each.number))[:MAX_ROWS]
    return tuple(
        (
            str(each.number),
            each.pod,
            each.node,
            _sum(each.up),
            _sum(each.down),
            each.stands,
        )
        for each in flows
    )


def _sum(places: Sequence[int | None]) -> str:
    known = bytes_text(sum(octets or 0 for octets in places))
    return f"{known} where it is visible" if None in places else known


def _named(names: list[str], noun: str) -> str:
    if len(names) > 1:
        return f"{len(names)} {noun}"
    return cut(names[0], MAX_NAME) if names else ""
