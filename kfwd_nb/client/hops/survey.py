"""Asks everybody on the way of a forward's connections where their bytes are."""

from __future__ import annotations

import asyncio
import contextlib
import os
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from kfwd_nb.client.dialing.dialed_stream import DialedStream
from kfwd_nb.client.hops.looks import Looks
from kfwd_nb.client.hops.view import LINKS, UNSEEN, FlowView, HopView, LinkView
from kfwd_nb.client.local.half_close import peer
from kfwd_nb.client.local.program import OURSELVES, programs
from kfwd_nb.client.opening import IN_PROCESS
from kfwd_nb.errors import KfwdError
from kfwd_nb.protocol.hops import MAX_STREAMS, Flow, HopReport, Link, Way
from kfwd_nb.transport.http2.client import Tunnel
from kfwd_nb.transport.http2.hops import CLIENT_PATIENCE, PATIENCE, look, tls_words, way
from kfwd_nb.transport.http2.tunnel_stream import TunnelStream
from kfwd_nb.transport.socket_facts import socket_facts
from kfwd_nb.transport.sockets import SocketStream
from kfwd_nb.transport.spdy.pair_stream import PairStream

if TYPE_CHECKING:
    import socket

    from kfwd_nb.client.session import Session
    from kfwd_nb.transport.pump import Pump
    from kfwd_nb.transport.stream import ByteStream

NO_RELAY = "the server is no kfwd relay, or is spoken to as if it were none"
QUIET = "no connection is open"


@dataclass(slots=True)
class _Heard:
    """What the relay has told, by tunnel; `flows` is the way of a stream through all hops."""

    links: list[Link] = field(default_factory=list)
    beyond: list[Link] = field(default_factory=list)
    flows: dict[tuple[Tunnel, int], list[Flow]] = field(default_factory=dict)
    troubles: list[str] = field(default_factory=list)
    beyond_troubles: list[str] = field(default_factory=list)


async def survey(
    name: str,
    ports: str,
    dialect: str,
    sessions: Iterable[Session],
    tunnel: Tunnel | None,
    looks: Looks,
) -> HopView:
    """Ask about those connections.

    Args:
        name: the forward's.
        ports: see `HopView`.
        dialect: the wire to the cluster.
        sessions: its connections.
        tunnel: to the relay, for when none is open; None where there is none.
        looks: what was seen of them before.
    """
    coupled = [(each, each.pump) for each in sessions if each.pump is not None]
    chosen = coupled[-MAX_STREAMS:]
    await _recognise(chosen)
    down = [way(pump.sides[1]) for _, pump in chosen]  # before the others are asked
    if dialect == "connect":
        heard = await _ask_all([pump for _, pump in chosen], tunnel)
        links = _links(heard)
    else:
        heard = _Heard()
        first = _upgraded_link(dialect, [pump for _, pump in chosen])
        links = (first, _unseen(LINKS[1]), _unseen(LINKS[2]))
    flows = tuple(
        _flow(session, pump, towards, heard, looks)
        for (session, pump), towards in zip(chosen, down, strict=True)
    )
    looks.keep({(each.number, way) for each in flows for way in ("up", "down")})
    why = "" if dialect == "connect" else NO_RELAY
    return HopView(name, ports, dialect, time.time(), why, links, flows, len(coupled) - len(chosen))


def carrier(stream: ByteStream) -> ByteStream | None:
    """The stream on a connection to the cluster that carries a dialed one now."""
    return stream.stream if isinstance(stream, DialedStream) else stream


def _tunnel_of(stream: ByteStream | None) -> tuple[Tunnel, int] | None:
    role = stream.driver.role if isinstance(stream, TunnelStream) else None
    if isinstance(stream, TunnelStream) and isinstance(role, Tunnel):
        return role, stream.id
    return None


# -- the dialect connect ---------------------------------------------------------------------------


async def _ask_all(pumps: Sequence[Pump], tunnel: Tunnel | None) -> _Heard:
    """Ask the relay on each tunnel that carries one of the connections."""
    streams: dict[Tunnel, list[int]] = {}
    for pump in pumps:
        found = _tunnel_of(carrier(pump.sides[1].stream))
        if found is not None:
            streams.setdefault(found[0], []).append(found[1])
    if not streams and tunnel is not None:
        streams[tunnel] = []
    heard = _Heard()
    answers = await asyncio.gather(
        *(look(each, ids, timeout=CLIENT_PATIENCE) for each, ids in streams.items())
    )
    for asked, (link, report) in zip(streams, answers, strict=True):
        heard.links.append(link)
        if isinstance(report, KfwdError):
            heard.troubles.append(f"the relay: {report.what}")
            continue
        heard.beyond += report.links
        heard.beyond_troubles += [f"node agent: {each}" for each in report.failures if each]
        for flow in report.flows:
            heard.flows[asked, flow.stream] = [flow, *_further(report, flow)]
    return heard


def _further(report: HopReport, flow: Flow) -> list[Flow]:
    """The same connection at the hops beyond."""
    if flow.link is None:
        return []
    beyond = report.beyond[flow.link]
    if beyond is None:
        return []
    found = next((each for each in beyond.flows if each.stream == flow.onward), None)
    return [found, *_further(beyond, found)] if found is not None else []


def _links(heard: _Heard) -> tuple[LinkView, LinkView, LinkView]:
    sockets = [flows[-1].socket for flows in heard.flows.values() if len(flows) > 1]
    trips = [each.rtt for each in sockets if each is not None and each.rtt is not None]
    return (
        _tunnel_link(LINKS[0], heard.links, heard.troubles),
        _tunnel_link(LINKS[1], heard.beyond, heard.beyond_troubles),
        LinkView(LINKS[2], "a socket in the pod", "", max(trips, default=None), "TCP"),
    )


def _tunnel_link(name: str, links: Sequence[Link], troubles: Sequence[str]) -> LinkView:
    """Several tunnels, to as many node agents, as one: the slowest of them."""
    pings = [each.ping for each in links]
    trip = max((each for each in pings if each is not None), default=None)
    said = list(troubles)
    unanswered = None in pings
    if unanswered:
        silent = max(each.silence for each in links if each.ping is None)
        said.insert(
            0, f"a PING is not answered within {PATIENCE:.0f} s; last heard {silent:.1f} s ago"
        )
    tls = links[0].tls if links else None
    return LinkView(name, "HTTP/2", tls, trip, "PING", "; ".join(said), unanswered)


# -- the dialects websocket and spdy ---------------------------------------------------------------


def _upgraded_link(dialect: str, pumps: Sequence[Pump]) -> LinkView:
    """What our own end of the upgraded connections tells."""
    wire = "SPDY in a WebSocket" if dialect == "websocket" else "SPDY"
    tls: str | None = None
    trips: list[float] = []
    for pump in pumps:
        pair = carrier(pump.sides[1].stream)
        transport = pair.driver.transport if isinstance(pair, PairStream) else None
        if transport is None:
            continue
        tls = tls_words(transport.get_extra_info("ssl_object"))
        sock = transport.get_extra_info("socket")
        facts = socket_facts(sock) if sock is not None else None
        trips += [facts.rtt] if facts is not None and facts.rtt is not None else []
    return LinkView(LINKS[0], wire, tls, max(trips, default=None), "TCP")


def _unseen(name: str) -> LinkView:
    return LinkView(name, UNSEEN, None, None, "")


# -- one connection --------------------------------------------------------------------------------


async def _recognise(chosen: Sequence[tuple[Session, Pump]]) -> None:
    """Find out which local programs they are of whom nobody has asked yet."""
    inodes: dict[int, Session] = {}
    for session, pump in chosen:
        if session.program is None:
            session.program = OURSELVES if session.connection.peer == IN_PROCESS else ""
            sock = _local_socket(pump)
            found = peer(sock) if sock is not None else None
            if found is not None and found.inode and found.user == os.geteuid():
                inodes[found.inode] = session
    if not inodes:
        return
    with contextlib.suppress(RuntimeError):  # the interpreter ends, and begins no thread any more
        for inode, name in (await asyncio.to_thread(programs, inodes)).items():
            inodes[inode].program = name


def _flow(session: Session, pump: Pump, down: Way, heard: _Heard, looks: Looks) -> FlowView:
    """Put together what each hop has told of it."""
    up, (unread, untaken) = way(pump.sides[0]), _local(pump)
    key = _tunnel_of(carrier(pump.sides[1].stream))
    flows = heard.flows.get(key, []) if key is not None else []
    relay = flows[0] if flows else None
    agent = flows[1] if len(flows) > 1 else None
    into = agent.socket if agent is not None else None
    connection = session.connection
    number, now = connection.number, asyncio.get_running_loop().time()
    seen_up = unread, up, [each.up for each in flows], into and into.unsent
    seen_down = untaken, down, [each.down for each in flows], into and into.unread
    return FlowView(
        number,
        connection.pod,
        connection.node,
        (
            unread,
            _held(up),
            *_between(up, relay.up if relay else None, agent.up if agent else None),
            into.unsent if into is not None else None,
        ),
        (
            untaken,
            _held(down),
            *_back(down, relay.down if relay else None, agent.down if agent else None),
            into.unread if into is not None else None,
        ),
        looks.still((number, "up"), seen_up, now),
        looks.still((number, "down"), seen_down, now),
        into.rtt if into is not None else None,
        connection.peer,
        session.program or "",
        connection.dialect != "connect",
    )


def _local(pump: Pump) -> tuple[int | None, int | None]:
    """Octets in the kernel that we have not read, and that the local program has not."""
    sock = _local_socket(pump)
    facts = socket_facts(sock) if sock is not None else None
    if sock is None or facts is None:
        return None, None
    theirs = peer(sock)
    return facts.unread, facts.unsent + (theirs.unread if theirs is not None else 0)


def _local_socket(pump: Pump) -> socket.socket | None:
    local = pump.sides[0].stream
    return local.socket if isinstance(local, SocketStream) else None


def _held(way: Way | None) -> int | None:
    return max(0, way.came - way.went) if way is not None else None


def _apart(before: Way | None, after: Way | None) -> int | None:
    """What has left one hop and not reached the next."""
    return max(0, before.went - after.came) if before is not None and after is not None else None


def _between(client: Way, relay: Way | None, agent: Way | None) -> tuple[int | None, ...]:
    """From the link to the relay to the node agent, on the way up."""
    return _apart(client, relay), _held(relay), _apart(relay, agent), _held(agent)


def _back(client: Way, relay: Way | None, agent: Way | None) -> tuple[int | None, ...]:
    """The same places on the way down."""
    return _apart(relay, client), _held(relay), _apart(agent, relay), _held(agent)
