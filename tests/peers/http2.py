"""HTTP/2 bytes made by hand, and a side of a connection to whom they are told.

No frame here is made by the code under test: what is wrong on purpose stays wrong.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any, NamedTuple

import hpack

from kfwd_nb.protocol.http2 import DataReceived, Http2Connection
from kfwd_nb.transport.stream import HEADROOM

PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"

DATA, HEADERS, PRIORITY, RST_STREAM, SETTINGS = 0, 1, 2, 3, 4
PUSH_PROMISE, PING, GOAWAY, WINDOW_UPDATE, CONTINUATION = 5, 6, 7, 8, 9

END_STREAM, ACK, END_HEADERS, PADDED = 0x1, 0x1, 0x4, 0x8

MAX_CONCURRENT_STREAMS, INITIAL_WINDOW_SIZE, MAX_FRAME_SIZE = 0x3, 0x4, 0x5

CONNECT = ((":method", "CONNECT"), (":authority", "web.default.pod:80"))
GET = ((":method", "GET"), (":scheme", "https"), (":authority", "relay"), (":path", "/version"))
POST = ((":method", "POST"), *GET[1:])
OK = ((":status", "200"),)
NOT_FOUND = ((":status", "404"),)

Fields = Iterable[tuple[str | bytes, str | bytes]]


# -- bytes -----------------------------------------------------------------------------------------


def frame(kind: int, flags: int, stream_id: int, payload: bytes = b"") -> bytes:
    head = len(payload).to_bytes(3, "big") + bytes((kind, flags))
    return head + stream_id.to_bytes(4, "big") + payload


def data(stream_id: int, payload: bytes = b"", *, end: bool = False, pad: int | None = None):
    flags = END_STREAM if end else 0
    if pad is not None:
        flags |= PADDED
        payload = bytes((pad,)) + payload + bytes(pad)
    return frame(DATA, flags, stream_id, payload)


def headers(stream_id: int, fields: Fields, *, end: bool = False, whole: bool = True) -> bytes:
    flags = (END_STREAM if end else 0) | (END_HEADERS if whole else 0)
    return frame(HEADERS, flags, stream_id, block(fields))


def block(fields: Fields) -> bytes:
    """Literals without indexing (RFC 7541 §6.2.2), which need no state at either end."""
    return b"".join(b"\x00" + _string(name) + _string(value) for name, value in fields)


def _string(text: str | bytes) -> bytes:
    """A string without Huffman coding; its length is an integer of seven bits (RFC 7541 §5.1)."""
    raw = text.encode() if isinstance(text, str) else text
    if len(raw) < 127:
        return bytes((len(raw),)) + raw
    out, left = bytearray((127,)), len(raw) - 127
    while left >= 128:
        out.append(left % 128 + 128)
        left //= 128
    out.append(left)
    return bytes(out) + raw


def settings(values: dict[int, int] | None = None, *, ack: bool = False) -> bytes:
    payload = b"".join(
        code.to_bytes(2, "big") + value.to_bytes(4, "big") for code, value in (values or {}).items()
    )
    return frame(SETTINGS, ACK if ack else 0, 0, payload)


def window_update(stream_id: int, increment: int) -> bytes:
    return frame(WINDOW_UPDATE, 0, stream_id, increment.to_bytes(4, "big"))


def rst_stream(stream_id: int, code: int) -> bytes:
    return frame(RST_STREAM, 0, stream_id, code.to_bytes(4, "big"))


def goaway(last: int, code: int, reason: bytes = b"") -> bytes:
    return frame(GOAWAY, 0, 0, last.to_bytes(4, "big") + code.to_bytes(4, "big") + reason)


class Frame(NamedTuple):
    kind: int
    flags: int
    stream_id: int
    payload: bytes

    @property
    def number(self) -> int:
        """The payload as one integer: an increment, or the code of a RST_STREAM."""
        return int.from_bytes(self.payload, "big")


def frames_of(octets: bytes) -> Iterator[Frame]:
    octets = octets.removeprefix(PREFACE)
    while octets:
        length = int.from_bytes(octets[:3], "big")
        yield Frame(
            octets[3], octets[4], int.from_bytes(octets[5:9], "big"), octets[9 : 9 + length]
        )
        assert len(octets) >= 9 + length
        octets = octets[9 + length :]


# -- a side under test -----------------------------------------------------------------------------


class Side:
    """A connection under test, told bytes as a driver tells them.

    Events come as plain tuples; neighbouring pieces of payload of one stream are joined. Before a
    chunk is read, nothing of it may be gone though all earlier headrooms were overwritten.
    """

    def __init__(self, *, client: bool) -> None:
        self.connection = Http2Connection(client=client)
        self._decoder = hpack.Decoder()

    def hear(self, octets: bytes, pieces: Iterable[int] = ()) -> list[tuple[Any, ...]]:
        """Take `octets`, cut into pieces of the given lengths and the rest."""
        happened: list[tuple[Any, ...]] = []
        position = 0
        for length in (*pieces, len(octets)):
            piece = octets[position : position + length]
            position += length
            if piece:
                self._hear_piece(piece, happened)
        return happened

    def _hear_piece(self, piece: bytes, happened: list[tuple[Any, ...]]) -> None:
        buffer = memoryview(bytearray(HEADROOM) + piece)
        for event in self.connection.receive(buffer, HEADROOM, len(buffer)):
            if not isinstance(event, DataReceived):
                fields = tuple(getattr(event, name) for name in event.__slots__)
                happened.append((type(event).__name__, *fields))
                continue
            assert HEADROOM <= event.start < event.end <= len(buffer)
            chunk = bytes(buffer[event.start : event.end])
            buffer[event.start - HEADROOM : event.start] = b"\xee" * HEADROOM
            if happened and happened[-1][:2] == ("Data", event.stream_id):
                happened[-1] = ("Data", event.stream_id, happened[-1][2] + chunk)
            else:
                happened.append(("Data", event.stream_id, chunk))

    def said(self) -> list[Frame]:
        """The control frames that it wants to send."""
        return list(frames_of(self.connection.data_to_send()))

    def send(self, stream_id: int, payload: bytes) -> bytes:
        """Payload as a driver sends it: what waits, then one DATA frame around it."""
        buffer = bytearray(HEADROOM) + payload
        self.connection.frame(stream_id, len(payload), buffer, 0)
        return self.connection.data_to_send() + bytes(buffer)

    def grants(self, stream_id: int) -> int:
        """What it grants to the peer on a stream (0: the connection) since it was last asked.

        Everything else that waits is thrown away.
        """
        return sum(
            each.number
            for each in self.said()
            if each.kind == WINDOW_UPDATE and each.stream_id == stream_id
        )


def server_side(values: dict[int, int] | None = None) -> Side:
    """A server that has heard a client's preface and SETTINGS."""
    side = Side(client=False)
    side.hear(PREFACE + settings(values) + settings(ack=True))
    side.said()
    return side


def client_side(values: dict[int, int] | None = None) -> Side:
    """A client that has heard a server's SETTINGS."""
    side = Side(client=True)
    side.hear(settings(values) + settings(ack=True))
    side.said()
    return side
