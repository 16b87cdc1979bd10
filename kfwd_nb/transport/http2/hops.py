"""The report of this hop: counters of the streams of a tunnel, and what the hops beyond answer.

The counters towards the client are read before the next hop is asked, those towards the pod after
it has answered. So what lies between two hops, which is a difference of two processes' counters, is
never negative: too large at the most, by what has passed during the question.
"""

from __future__ import annotations

import asyncio
import os
from typing import TYPE_CHECKING

from kfwd_nb.errors import KfwdError, LostError
from kfwd_nb.protocol.hops import (
    PING_MARK,
    Flow,
    HopReport,
    Link,
    Noted,
    SocketFacts,
    Way,
    question,
    read_report,
)
from kfwd_nb.transport.http import error_of_response
from kfwd_nb.transport.http2.client import Tunnel
from kfwd_nb.transport.http2.tunnel_stream import TunnelStream
from kfwd_nb.transport.pump import Side
from kfwd_nb.transport.socket_facts import socket_facts
from kfwd_nb.transport.sockets import SocketStream

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from kfwd_nb.errors import Hop
    from kfwd_nb.transport.http2.driver import Http2Driver
    from kfwd_nb.transport.notes import Notes
    from kfwd_nb.transport.stream import ByteStream

PATIENCE = 1.0
"""Seconds that a hop waits for the next one's answer; what is beyond adds to that."""

CLIENT_PATIENCE = 2.5
"""Seconds that a client waits for the relay, which waits for the node agents itself."""


def way(side: Side) -> Way:
    """One direction of a pump: what comes out of that side."""
    stream, onward = side.stream, side.other.stream
    return Way(side.octets + stream.undelivered, max(0, side.octets - onward.unsent))


def side_of(stream: ByteStream) -> Side | None:
    """The pump's side that a tunnel's stream feeds."""
    receiver = stream.receiver if isinstance(stream, TunnelStream) else None
    return receiver if isinstance(receiver, Side) else None


async def ask(
    tunnel: Tunnel,
    streams: list[int],
    *,
    notes: bool = False,
    timeout: float = PATIENCE,  # noqa: ASYNC109 - an answer that is late says something
) -> HopReport:
    """The report of a tunnel's server on those streams of it.

    Raises:
        LostError: no answer came in time, or the tunnel went.
        KfwdError: the server has no such report.
    """
    try:
        async with asyncio.timeout(timeout):
            reply = await tunnel.request("GET", question(streams, notes=notes))
    except TimeoutError:
        raise LostError(f"no answer in {timeout:.0f} s") from None
    if reply.status != 200:
        raise error_of_response(reply.status, reply.body)
    return read_report(reply.body)


async def link_of(tunnel: Tunnel) -> Link:
    """What is known of a tunnel at our end; a PING is answered in `PATIENCE`, or not."""
    driver = tunnel.driver
    ping = await driver.ping(PING_MARK + os.urandom(4), PATIENCE)
    transport = driver.transport
    tls = transport.get_extra_info("ssl_object") if transport is not None else None
    return Link(tls_words(tls), ping, driver.silence)


def tls_words(tls: object) -> str:
    """Version and cipher of a connection; empty where it has none."""
    cipher = getattr(tls, "cipher", lambda: None)()
    return f"{cipher[1]} {cipher[0]}" if cipher else ""


async def answer(
    driver: Http2Driver, noted: Mapping[int, Notes], hop: Hop, streams: list[int]
) -> HopReport:
    """The report that a client asks for on its tunnel.

    Args:
        driver: of that tunnel.
        noted: the notes that are asked for, by stream.
        hop: who answers.
        streams: that are asked about.
    """
    sides = {each: side for each in streams if (side := _side(driver, each)) is not None}
    down = {each: way(side.other) for each, side in sides.items()}
    kept = {each: noted[each] for each in streams if each in noted}
    onward = {each: side.other.stream for each, side in sides.items()}
    inner = {each: notes.onward for each, notes in kept.items()}
    tunnels = _tunnels([*onward.values(), *inner.values()])
    answers = await asyncio.gather(
        *(look(tunnel, sorted(ids), notes=bool(kept)) for tunnel, ids in tunnels.items())
    )
    places = {tunnel.driver: place for place, tunnel in enumerate(tunnels)}
    flows = []
    for each, side in sides.items():
        link, stream = _onward(onward[each], places)
        flows.append(Flow(each, way(side), down[each], link, stream, _facts(onward[each])))
    return HopReport(
        hop,
        flows,
        [Noted(each, notes.all(), *_onward(inner[each], places)) for each, notes in kept.items()],
        [link for link, _ in answers],
        [None if isinstance(report, KfwdError) else report for _, report in answers],
        [report.what if isinstance(report, KfwdError) else "" for _, report in answers],
    )


async def look(
    tunnel: Tunnel,
    streams: list[int],
    *,
    notes: bool = False,
    timeout: float = PATIENCE,  # noqa: ASYNC109 - an answer that is late says something
) -> tuple[Link, HopReport | KfwdError]:
    """The link to the next hop, and its report or why there is none; both are asked at once."""
    link, report = await asyncio.gather(
        link_of(tunnel),
        ask(tunnel, streams, notes=notes, timeout=timeout),
        return_exceptions=True,
    )
    for each in (link, report):
        if isinstance(each, BaseException) and not isinstance(each, KfwdError):
            raise each
    assert isinstance(link, Link)
    assert isinstance(report, HopReport | KfwdError)
    return link, report


def _side(driver: Http2Driver, stream_id: int) -> Side | None:
    stream = driver.streams.get(stream_id)
    return side_of(stream) if stream is not None else None


def _tunnels(streams: Iterable[ByteStream | None]) -> dict[Tunnel, set[int]]:
    """The tunnels of those that go on by one, and which of their streams they are."""
    found: dict[Tunnel, set[int]] = {}
    for stream in streams:
        role = stream.driver.role if isinstance(stream, TunnelStream) else None
        if isinstance(stream, TunnelStream) and isinstance(role, Tunnel):
            found.setdefault(role, set()).add(stream.id)
    return found


def _onward(
    stream: ByteStream | None, places: Mapping[Http2Driver, int]
) -> tuple[int, int] | tuple[None, None]:
    """The place of the link that a stream goes on by, and its number there."""
    if not isinstance(stream, TunnelStream):
        return None, None
    return places[stream.driver], stream.id


def _facts(stream: ByteStream) -> SocketFacts | None:
    sock = stream.socket if isinstance(stream, SocketStream) else None
    return socket_facts(sock) if sock is not None else None
