"""Where the octets of a forward are: what the client, the relay, the node agent and the kernel say.

Every number was measured by the process that it is about. What lies between two hops is a
difference of two of their counters (see `transport.hops` for why it is never negative). What nobody
tells is None: a foreign cluster's API server and kubelet tell nothing. `client.survey` asks.
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

LINKS = (PLACES[2], PLACES[4], PLACES[6])

PATIENCE = 2.5
"""Seconds that the relay may take to answer: it waits a second for the node agents itself."""

STANDS_AFTER = 1.0
"""Seconds without a movement after which octets that wait count as standing still."""

UNSEEN = "not visible from here"

_WHO_WAITS: dict[Direction, dict[str, str]] = {
    "up": {
        "local program/client": "the client does not read on: the way is full",
        "client": "the relay takes no more",
        "client/relay": "the relay does not read",
        "relay": "the node agent takes no more",
        "relay/node agent": "the node agent does not read",
        "node agent": "the pod does not read",
        "node agent/pod": "the pod does not read",
    },
    "down": {
        "local program/client": "the local program does not read",
        "client": "the local program does not read",
        "client/relay": "the client does not read on",
        "relay": "the client takes no more",
        "relay/node agent": "the relay does not read on",
        "node agent": "the relay takes no more",
        "node agent/pod": "the node agent does not read on",
    },
}
"""Why octets stand still at a place, when those that are further on do not."""


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
    """

    number: int
    pod: str
    node: str
    up: tuple[int | None, ...]
    down: tuple[int | None, ...]
    still_up: float | None = None
    still_down: float | None = None
    pod_rtt: float | None = None

    @property
    def stands(self) -> str:
        """What stands still, where and why, in words; empty while nothing does."""
        ways = (
            _standing("up", self.up, self.still_up),
            _standing("down", self.down, self.still_down),
        )
        return "; ".join(filter(None, ways))


def _standing(direction: Direction, places: Sequence[int | None], still: float | None) -> str:
    """Octets that wait for `STANDS_AFTER`, at the place of them that is nearest to their reader."""
    if still is None or still < STANDS_AFTER:
        return ""
    along = list(zip(PLACES, places, strict=True))
    nearest = reversed(along) if direction == "up" else along
    place = next((place for place, octets in nearest if octets), None)
    if place is None:
        return ""
    total = sum(each or 0 for each in places)
    return f"{total:,} octets {direction} for {still:.0f} s: {_WHO_WAITS[direction][place]}"


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
