"""What the hops of a chain tell of the connections that pass them: a report, asked over the tunnel.

    GET /kfwd/hops?streams=1,5

is answered by the server of an HTTP/2 tunnel for the CONNECT streams of that very tunnel, and with
what the next hop has answered to the same question. So who asks hears of its own connections only,
each number comes from the process that measured it, and no hop need know a name for the others'
connections. With `notes=1` it tells, too, what it noted of the streams that asked for that.
"""

from __future__ import annotations

import re
from typing import Annotated, Literal
from urllib.parse import parse_qs, urlencode

import msgspec

from kfwd_nb.errors import RemoteProtocolError

PATH = "/kfwd/hops"

PING_MARK = b"hops"
"""How the payload of a PING begins that measures a link: a trace tells it from keep-alive's."""

NOTES_HEADER = "kfwd-notes"
"""Request field of a CONNECT: note what passes, and pass the wish on."""

MAX_STREAMS = 256
"""Streams that one question may name."""

MAX_NOTES = 256
"""Notes that are kept of one stream, the first ones."""

MAX_HOPS = 8
"""Reports within each other that are read."""

Count = Annotated[int, msgspec.Meta(ge=0)]
Seconds = Annotated[float, msgspec.Meta(ge=0)]

NoteKind = Literal["asks", "connects", "accepts", "passes", "ends", "forgets"]
"""`asks` the next hop, `connects` to the port in the pod, `accepts` the stream, `passes` payload
on, `ends` a direction, `forgets` the stream."""

_STREAM = re.compile(r"[0-9]{1,10}")

MAX_NOTED = 256
"""Streams of a tunnel whose notes are kept, the last ones, those that ended included. A node agent
has one tunnel, its relay's: there they are those of all clients."""


class Way(msgspec.Struct, frozen=True):
    """One direction at one hop.

    Attributes:
        came: octets that have arrived here.
        went: octets that were given to the kernel or the tunnel onward.
    """

    came: Count
    went: Count


class SocketFacts(msgspec.Struct, frozen=True):
    """What the kernel tells of a TCP socket.

    Attributes:
        unsent: octets that the other end's kernel has not taken.
        unread: octets that we have not read.
        rtt: seconds, smoothed by the kernel (RFC 6298); None where it does not tell.
    """

    unsent: Count
    unread: Count
    rtt: Seconds | None = None


class Note(msgspec.Struct, frozen=True):
    """Something that has happened to a stream at a hop.

    Attributes:
        time: seconds since the hop heard of the stream.
        way: `up` to the pod, `down` to the client.
        kind: what.
        detail: whom, by what or why, in words; empty where there is nothing to add.
        octets: of payload that it was about.
    """

    time: float
    way: Literal["up", "down"]
    kind: NoteKind
    detail: str = ""
    octets: Count = 0


class Flow(msgspec.Struct, frozen=True):
    """One connection at one hop.

    Attributes:
        stream: its CONNECT stream on the tunnel that was asked.
        up: towards the pod.
        down: towards the client.
        link: which of the report's links it goes on by; None where it goes into a pod.
        onward: its stream there.
        socket: into the pod, where there is one that the kernel tells of.
    """

    stream: int
    up: Way
    down: Way
    link: int | None = None
    onward: int | None = None
    socket: SocketFacts | None = None


class Noted(msgspec.Struct, frozen=True):
    """The notes of one stream; `link` and `onward` as in `Flow`."""

    stream: int
    notes: list[Note]
    link: int | None = None
    onward: int | None = None


class Link(msgspec.Struct, frozen=True):
    """A tunnel to the next hop.

    Attributes:
        tls: version and cipher.
        ping: seconds from a PING to its answer; None if none came in time.
        silence: seconds since the peer was last heard.
    """

    tls: str
    ping: Seconds | None
    silence: Seconds


class HopReport(msgspec.Struct, frozen=True):
    """What one hop tells, with what it heard from beyond.

    Attributes:
        hop: `relay` or `node agent`.
        flows: of the streams that were asked for and are open.
        noted: of those that asked for notes, if the question did.
        links: to the next hops.
        beyond: what each of them has answered; None where it did not.
        failures: why, in words; empty where it did.
    """

    hop: str
    flows: list[Flow] = []
    noted: list[Noted] = []
    links: list[Link] = []
    beyond: list[HopReport | None] = []
    failures: list[str] = []


def question(streams: list[int], *, notes: bool = False) -> str:
    """The path that asks for those streams; the last `MAX_STREAMS` of them."""
    fields = {"streams": ",".join(map(str, streams[-MAX_STREAMS:]))}
    if notes:
        fields["notes"] = "1"
    return f"{PATH}?{urlencode(fields, safe=',')}"


def asked(path: str) -> tuple[list[int], bool] | None:
    """The streams that a request asks for, and whether for notes; None if it asks something else.

    Raises:
        RemoteProtocolError: the streams are no numbers, or too many.
    """
    asked_path, _, fields = path.partition("?")
    if asked_path != PATH:
        return None
    query = parse_qs(fields)
    names = [each for each in ",".join(query.get("streams", [])).split(",") if each]
    if len(names) > MAX_STREAMS or not all(map(_STREAM.fullmatch, names)):
        raise RemoteProtocolError(f"a report is of at most {MAX_STREAMS} streams, by number.")
    return list(dict.fromkeys(map(int, names))), bool(query.get("notes"))


def read_report(body: bytes) -> HopReport:
    """Decode an answer.

    Raises:
        RemoteProtocolError: it is none, or one that contradicts itself.
    """
    try:
        report = msgspec.json.decode(body, type=HopReport)
    except (msgspec.DecodeError, RecursionError) as error:
        raise RemoteProtocolError(f"the answer is no report of a hop: {error}.") from None
    _check(report, MAX_HOPS)
    return report


def _check(report: HopReport | None, depth: int) -> None:
    if report is None:
        return
    links = len(report.links)
    named = [each.link for each in report.flows] + [each.link for each in report.noted]
    if (
        not depth
        or not links == len(report.beyond) == len(report.failures)
        or not all(each is None or 0 <= each < links for each in named)
    ):
        raise RemoteProtocolError("the answer is no report of a hop: its links make no sense.")
    for each in report.beyond:
        _check(each, depth - 1)
