"""The report of this hop: counters of the streams of a tunnel, and what the hops beyond answer.

The counters towards the client are read before the next hop is asked, those towards the pod after
it has answered. So what lies between two hops, which is a difference of two processes' counters, is
never negative: too large at the most, by what has passed during the question.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from kfwd_nb.errors import KfwdError, LostError
from kfwd_nb.protocol.hops import (
    Flow,
    HopReport,
    Link,
    Noted,
    SocketFacts,
    Way,
    asked,
    question,
    read_report,
)
from kfwd_nb.transport.http import error_of_response
from kfwd_nb.transport.pump import Side
from kfwd_nb.transport.socket_facts import socket_facts
from kfwd_nb.transport.sockets import SocketStream
from kfwd_nb.transport.tunnel import Tunnel
from kfwd_nb.transport.tunnel_stream import TunnelStream

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from kfwd_nb.errors import Hop
    from kfwd_nb.transport.http2 import Http2Driver
    from kfwd_nb.transport.notes import Notes
    from kfwd_nb.transport.stream import ByteStream

PATIENCE = 1.0
"""Seconds that a hop waits for the next one's answer; what is beyond adds to that."""


def way(side: Side) -> Way:
    """One direction of a pump: what comes out of that side."""
    stream, onward = side.stream, side.other.stream
    still = None if side.moved is None else asyncio.get_running_loop().time() - side.moved
    return Way(side.octets + stream.undelivered, side.octets - onward.unsent, still)


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
    ping = await driver.ping(PATIENCE)
    transport = driver.transport
    if transport is None:
        return Link("", None, driver.silence, 0)
    tls, sock = transport.get_extra_info("ssl_object"), transport.get_extra_info("socket")
    facts = socket_facts(sock) if sock is not None else None
    kernel = facts.unsent if facts is not None else 0
    return Link(tls_words(tls), ping, driver.silence, transport.get_write_buffer_size() + kernel)


def tls_words(tls: object) -> str:
    """Version and cipher of a connection; empty where it has none."""
    cipher = getattr(tls, "cipher", lambda: None)()
    return f"{cipher[1]} {cipher[0]}" if cipher else ""


async def answer(driver: Http2Driver, noted: Mapping[int, Notes], hop: Hop, path: str) -> HopReport:
    """The report that a client asks for on its tunnel.

    Args:
        driver: of that tunnel.
        noted: the notes of its streams that asked for them.
        hop: who answers.
        path: of the request.

    Raises:
        RemoteProtocolError: the question makes no sense.
    """
    question_ = asked(path)
    assert question_ is not None
    streams, wants_notes = question_
    sides = {each: side for each in streams if (side := _side(driver, each)) is not None}
    down = {each: way(side.other) for each, side in sides.items()}
    kept = {each: noted[each] for each in streams if wants_notes and each in noted}
    onward = {each: side.other.stream for each, side in sides.items()}
    inner = {each: notes.onward for each, notes in kept.items()}
    tunnels = _tunnels([*onward.values(), *inner.values()])
    answers = await asyncio.gather(
        *(_beyond(tunnel, ids, notes=wants_notes) for tunnel, ids in tunnels.items())
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
        *map(list, zip(*answers, strict=True)),
    )


async def _beyond(
    tunnel: Tunnel, streams: set[int], *, notes: bool
) -> tuple[Link, HopReport | None, str]:
    """The link to the next hop, and its report or why there is none."""
    link = asyncio.ensure_future(link_of(tunnel))
    try:
        return await link, await ask(tunnel, sorted(streams), notes=notes), ""
    except KfwdError as error:
        return await link, None, error.what


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
