"""Where the bytes of a forward are: what the client, the relay, the node agent and the kernel say.

Every number was measured by the process that it is about. What lies between two hops is a
difference of two of their counters (see `transport.http2.hops` for why it is never negative). What
nobody tells is None: a foreign cluster's API server and kubelet tell nothing.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from kfwd_nb.client.display import Displayable

Direction = Literal["up", "down"]
"""`up` to the pod, `down` to the local program."""

PLACES = (
    "local program/client",
    "client",
    "client/relay",
    "relay",
    "relay/node agent",
    "node agent",
    "node agent/pod",
)
"""Where octets can be, in the order of the way up."""

BOXES = ("local program", "client", "relay", "node agent", "pod")
"""Who reads and writes between them."""

LINKS = (PLACES[2], PLACES[4], PLACES[6])

STANDS_AFTER = 1.0
"""Seconds without a movement after which octets that wait count as standing still."""

UNSEEN = "not visible from here"

FOREIGN = {"relay": "API server", "node agent": "kubelet"}
"""What stands in the place of a box in a cluster that is not ours."""

_WHO_WAITS: dict[Direction, dict[str, tuple[str, str]]] = {
    "up": {
        "local program/client": ("client", "does not read on"),
        "client": ("relay", "takes no more"),
        "client/relay": ("relay", "does not read"),
        "relay": ("node agent", "takes no more"),
        "relay/node agent": ("node agent", "does not read"),
        "node agent": ("pod", "does not read"),
        "node agent/pod": ("pod", "does not read"),
    },
    "down": {
        "local program/client": ("local program", "does not read"),
        "client": ("local program", "does not read"),
        "client/relay": ("client", "does not read on"),
        "relay": ("client", "takes no more"),
        "relay/node agent": ("relay", "does not read on"),
        "node agent": ("relay", "takes no more"),
        "node agent/pod": ("node agent", "does not read on"),
    },
}
"""For whom octets wait at a place, and what it does, when those that are further on do not wait."""


@dataclass(frozen=True, slots=True)
class Stall:
    """Bytes of a connection that stand still in one direction.

    Attributes:
        direction: `up` or `down`.
        octets: so many wait, at all places together.
        still: seconds for which nothing has moved.
        box: for whom they wait, one of `BOXES`.
        does: what that one does, or rather does not, in words.
        foreign: the cluster is not ours.
    """

    direction: Direction
    octets: int
    still: float
    box: str
    does: str
    foreign: bool = False

    @property
    def who(self) -> str:
        """For whom they wait, in words."""
        return "pod's program" if self.box == "pod" else named(self.box, foreign=self.foreign)

    def said(self, amount: str) -> str:
        """In words, with the amount in words."""
        return f"{amount} {self.direction} for {self.still:.0f} s: the {self.who} {self.does}"

    def __str__(self) -> str:
        return self.said(f"{self.octets:,} byte{'' if self.octets == 1 else 's'}")


def named(box: str, *, foreign: bool) -> str:
    """What a box is called there."""
    return FOREIGN.get(box, box) if foreign else box


@dataclass(frozen=True, slots=True)
class FlowView:
    """One connection, as all hops see it together.

    Attributes:
        number: the connection's, as in the table.
        pod: NAMESPACE/NAME.
        node: whose agent opened the port.
        up: octets at each of `PLACES` on their way to the pod; None where it is not visible.
        down: the same for the way back.
        still_up: seconds in which nothing has moved on the way up, from look to look; None where
            there was no look before.
        still_down: the same for the way back.
        pod_rtt: seconds, of the agent's socket into the pod.
        peer: the local program's address.
        program: its name; empty where the system does not tell.
        foreign: the cluster is not ours.
    """

    number: int
    pod: str
    node: str
    up: tuple[int | None, ...]
    down: tuple[int | None, ...]
    still_up: float | None = None
    still_down: float | None = None
    pod_rtt: float | None = None
    peer: str = ""
    program: str = ""
    foreign: bool = False

    @property
    def stalls(self) -> tuple[Stall, ...]:
        """What stands still, for each direction in which something does."""
        ways = (
            self._stall("up", self.up, self.still_up),
            self._stall("down", self.down, self.still_down),
        )
        return tuple(filter(None, ways))

    @property
    def stands(self) -> str:
        """What stands still and for whom, in words; empty while nothing does."""
        return "; ".join(map(str, self.stalls))

    def _stall(
        self, direction: Direction, places: Sequence[int | None], still: float | None
    ) -> Stall | None:
        """Octets that wait for `STANDS_AFTER`: for whom says the place nearest to their reader."""
        if still is None or still < STANDS_AFTER:
            return None
        along = list(zip(PLACES, places, strict=True))
        nearest = reversed(along) if direction == "up" else along
        place = next((place for place, octets in nearest if octets), None)
        if place is None:
            return None
        total = sum(each or 0 for each in places)
        return Stall(direction, total, still, *_WHO_WAITS[direction][place], self.foreign)


@dataclass(frozen=True, slots=True)
class LinkView:
    """One of the three ways between the four places.

    Attributes:
        name: `client/relay`, `relay/node agent` or `node agent/pod`.
        wire: what is spoken on it.
        tls: version and cipher; empty where there is none, None where nobody tells.
        round_trip: seconds; None where nobody tells, or where no answer came.
        measured: how it was: `PING` and its answer, or `TCP` by the kernel.
        trouble: what is wrong, in words.
        unanswered: a PING was not answered in time.
    """

    name: str
    wire: str
    tls: str | None
    round_trip: float | None
    measured: str
    trouble: str = ""
    unanswered: bool = False


@dataclass(frozen=True, slots=True)
class HopView(Displayable):
    """One forward at one moment; `Forward.hops()` makes it.

    Attributes:
        name: the forward's.
        ports: its local ports and where they lead, in words.
        dialect: the wire to the cluster.
        at: seconds since the epoch.
        why: why the hops beyond the first link tell nothing; empty where they do.
        links: the three of them.
        flows: its open connections, the newest ones.
        more: open ones that are not in `flows`.
    """

    name: str
    ports: str
    dialect: str
    at: float
    why: str
    links: tuple[LinkView, ...]
    flows: tuple[FlowView, ...]
    more: int = 0

    def octets(self, direction: Direction, place: str) -> int | None:
        """Of all connections at one of `PLACES`; None where that is not known of all of them."""
        index = PLACES.index(place)
        counts = [getattr(flow, direction)[index] for flow in self.flows]
        if not counts:
            return 0 if index < 2 or self._told(index) else None
        return None if None in counts else sum(counts)

    def _told(self, index: int) -> bool:
        """The hops up to that place have answered."""
        return not self.why and not any(each.trouble for each in self.links[: index // 2])

    @property
    def waits(self) -> bool:
        """Octets are on their way of which nobody knows yet whether they move."""
        return any(
            any(places) and still is None
            for each in self.flows
            for places, still in ((each.up, each.still_up), (each.down, each.still_down))
        )

    def fault(self, box: str) -> str:
        """What that one of `BOXES` does, or does not, so that others wait; empty if none do."""
        if any(each.unanswered and each.name.endswith(f"/{box}") for each in self.links):
            return "does not answer"
        stalls = (stall for flow in self.flows for stall in flow.stalls)
        return next((each.does for each in stalls if each.box == box), "")

    @property
    def stands(self) -> tuple[str, ...]:
        """What stands still, a line for each connection."""
        return tuple(
            f"connection {each.number} stands still: {each.stands}"
            for each in self.flows
            if each.stands
        )

    def __repr__(self) -> str:
        still = f", {len(self.stands)} stand still" if self.stands else ""
        return f"<HopView of {self.name}: {len(self.flows)} connections{still}>"
