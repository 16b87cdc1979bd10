"""Frames out of octets: what is told of each, what is not, and the same however they are cut."""

from __future__ import annotations

from collections.abc import Callable, Iterable

import h2.config
import h2.connection
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from peers import http2, spdy
from websockets.frames import Frame as LibraryFrame
from websockets.frames import Opcode

from kfwd_nb.protocol.dissect import (
    HIDDEN,
    UNREADABLE,
    Dissector,
    Frame,
    Http2Dissector,
    SpdyDissector,
    UpgradeDissector,
    WebSocketDissector,
    dissector,
)
from kfwd_nb.protocol.dissect.frame import MAX_TOLD
from kfwd_nb.protocol.dissect.reader import MAX_GATHERED
from kfwd_nb.protocol.dissect.upgrade import MAX_HEAD
from kfwd_nb.protocol.dissect.websocket import MAX_HELD
from kfwd_nb.protocol.http2 import Http2Connection
from kfwd_nb.protocol.portforward import DATA, ERROR, pair_headers
from kfwd_nb.protocol.spdy import SpdyConnection
from kfwd_nb.protocol.spdy.dictionary import DICTIONARY
from kfwd_nb.protocol.websocket import WebSocketConnection
from kfwd_nb.transport.stream import HEADROOM

pytestmark = pytest.mark.pure

SECRET = "kfwd-secret-7f3a"


def dissected(reader: Dissector, octets: bytes, pieces: Iterable[int] = ()) -> list[Frame]:
    """All frames, with the octets cut into pieces of these lengths and the rest."""
    found: list[Frame] = []
    position = 0
    for length in (*pieces, len(octets)):
        found += reader.feed(memoryview(octets)[position : position + length])
        position += length
    return found + reader.end()


def message(payload: bytes, *, mask: bool, opcode: Opcode = Opcode.BINARY, fin: bool = True):
    return LibraryFrame(opcode, payload, fin).serialize(mask=mask)


# -- conversations ---------------------------------------------------------------------------------


CLIENT_FIELDS = [*http2.CONNECT, ("authorization", f"Bearer {SECRET}"), ("x", "y" * 200)]


def from_a_client() -> tuple[Dissector, bytes]:
    fields = CLIENT_FIELDS
    return Http2Dissector(client=True), (
        http2.PREFACE
        + http2.settings({http2.INITIAL_WINDOW_SIZE: 10, 0x99: 7})
        + http2.settings(ack=True)
        + http2.headers(1, fields)
        + http2.data(1, b"first ")
        + http2.data(1, b"second ", pad=3)
        + http2.data(1)
        + http2.window_update(0, 70_000)
        + http2.frame(http2.HEADERS, 0, 5, http2.block(fields)[:50])
        + http2.frame(http2.CONTINUATION, http2.END_HEADERS, 5, http2.block(fields)[50:])
        + http2.frame(http2.PING, 0, 0, b"12345678")
        + http2.frame(0x2A, 0x80, 3, b"an extension")
        + http2.data(1, b"x" * 3000, end=True)
        + http2.rst_stream(5, 8)
        + http2.rst_stream(5, 0x1234)
        + http2.goaway(5, 0, b"good bye")
        + http2.data(7, b"cut off")[:-3]
    )


def spdy_octets() -> bytes:
    peer = spdy.Peer(DICTIONARY)
    headers = {"streamtype": "error", "port": "80", "requestid": "0", "x-token": SECRET}
    return (
        peer.syn(1, headers, fin=True)
        + peer.syn(3, {"streamtype": "data", "port": "80", "requestid": "0"})
        + peer.reply(3)
        + spdy.data(3, b"payload" * 50)
        + spdy.data(3)
        + spdy.control(4, bytes(4))
        + spdy.control(9, bytes(8))
        + spdy.control(99, b"unknown")
        + spdy.ping(1)
        + spdy.data(3, fin=True)
        + spdy.rst(3)
        + spdy.goaway(3)
    )


REQUEST = (
    f"GET /portforward?token={SECRET} HTTP/1.1\r\nHost: relay\r\nAuthorization: Basic {SECRET}\r\n"
    f"Upgrade: websocket\r\nCookie: {SECRET}\r\n\r\n"
).encode()
SWITCHED = b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: SPDY/3.1\r\n\r\n"


def from_a_websocket_client() -> tuple[Dissector, bytes]:
    inside = spdy_octets()
    wire = bytearray(REQUEST)
    for start in range(0, len(inside), 37):  # no message is a frame
        wire += message(inside[start : start + 37], mask=True)
    wire += message(b"?", mask=True, opcode=Opcode.PING)
    wire += message(spdy.ping(3), mask=True, fin=False)
    wire += message(b"!", mask=True, opcode=Opcode.PONG)
    wire += message(spdy.ping(5), mask=True, opcode=Opcode.CONT)
    wire += message((1000).to_bytes(2, "big") + b"bye", mask=True, opcode=Opcode.CLOSE)
    return dissector("websocket", sent=True), bytes(wire)


def from_a_spdy_server() -> tuple[Dissector, bytes]:
    early = b"HTTP/1.1 103 Early Hints\r\n\r\n"
    return dissector("spdy", sent=False), early + SWITCHED + spdy_octets()


def from_a_liar() -> tuple[Dissector, bytes]:
    return SpdyDissector(), spdy_octets() + spdy.control(1, b"no block", version=2) + spdy.ping(1)


CONVERSATIONS = [from_a_client, from_a_websocket_client, from_a_spdy_server, from_a_liar]
every = pytest.mark.parametrize("conversation", CONVERSATIONS)
Conversation = Callable[[], tuple[Dissector, bytes]]


@every
def test_byte_by_byte(conversation: Conversation):
    reader, octets = conversation()
    assert dissected(reader, octets, [1] * len(octets)) == dissected(*conversation())


@every
@settings(max_examples=80)
@given(data=st.data())
def test_in_any_pieces(conversation: Conversation, data: st.DataObject):
    reader, octets = conversation()
    pieces = data.draw(st.lists(st.integers(1, 60) | st.integers(1, len(octets)), max_size=120))
    assert dissected(reader, octets, pieces) == dissected(*conversation())


@settings(max_examples=60)
@given(octets=st.binary(max_size=300), pieces=st.lists(st.integers(1, 20), max_size=30))
@pytest.mark.parametrize("dialect", ["connect", "spdy", "websocket"])
@pytest.mark.parametrize("sent", [True, False])
def test_what_makes_no_sense_harms_nobody(dialect: str, sent: bool, octets, pieces):
    start = b"" if dialect == "connect" else (REQUEST if sent else SWITCHED)
    whole = dissected(dissector(dialect, sent=sent), start + octets)
    assert dissected(dissector(dialect, sent=sent), start + octets, pieces) == whole


@every
def test_no_secret_and_no_payload_is_told(conversation: Conversation):
    words = repr(dissected(*conversation()))
    assert SECRET not in words
    assert "payload" not in words
    assert HIDDEN in words


# -- what is told ----------------------------------------------------------------------------------


def shown(frames: Iterable[Frame]) -> list[tuple[object, ...]]:
    return [(each.type, each.stream, each.length, each.flags, each.details) for each in frames]


def test_http2():
    told = ":method: CONNECT, :authority: web.default.pod:80, authorization: (hidden), x: (hidden)"
    length = len(http2.block(CLIENT_FIELDS))
    assert shown(dissected(*from_a_client())) == [
        ("PREFACE", None, 24, (), ""),
        ("SETTINGS", 0, 12, (), "INITIAL_WINDOW_SIZE: 10, setting 0x99: 7"),
        ("SETTINGS", 0, 0, ("ACK",), ""),
        ("HEADERS", 1, length, ("END_HEADERS",), told),
        ("DATA", 1, 6, (), ""),
        ("DATA", 1, 11, ("PADDED",), ""),
        ("DATA", 1, 0, (), ""),
        ("WINDOW_UPDATE", 0, 4, (), "increment: 70000"),
        ("HEADERS", 5, 50, (), ""),
        ("CONTINUATION", 5, length - 50, ("END_HEADERS",), told),
        ("PING", 0, 8, (), "data: 3132333435363738"),
        ("type 0x2a", 3, 12, ("0x80",), ""),
        ("DATA", 1, 3000, ("END_STREAM",), ""),
        ("RST_STREAM", 5, 4, (), "code: CANCEL"),
        ("RST_STREAM", 5, 4, (), "code: 4660"),
        ("GOAWAY", 0, 16, (), "last stream: 5, code: NO_ERROR"),
        ("DATA", 7, 4, (), "cut off: 7 bytes were announced"),
    ]


SPDY = [
    ("SYN_STREAM", 1, ("FIN",), "streamtype: error, port: 80, requestid: 0, x-token: (hidden)"),
    ("SYN_STREAM", 3, (), "streamtype: data, port: 80, requestid: 0"),
    ("SYN_REPLY", 3, (), ""),
    ("DATA", 3, (), ""),
    ("DATA", 3, (), ""),
    ("SETTINGS", None, (), ""),
    ("WINDOW_UPDATE", 0, (), "increment: 0"),
    ("type 99", None, (), ""),
    ("PING", None, (), "id: 1"),
    ("DATA", 3, ("FIN",), ""),
    ("RST_STREAM", 3, (), "code: CANCEL"),
    ("GOAWAY", None, (), "last stream: 3, code: OK"),
]


def without_length(frames: Iterable[Frame]) -> list[tuple[object, ...]]:
    return [(each.type, each.stream, each.flags, each.details) for each in frames]


def test_spdy_after_its_upgrade():
    frames = dissected(*from_a_spdy_server())
    assert without_length(frames) == [
        ("RESPONSE", None, (), "status: 103"),
        ("RESPONSE", None, (), "status: 101, upgrade: SPDY/3.1"),
        *SPDY,
    ]
    assert sum(each.length for each in frames if each.type == "DATA") == 350


def test_a_websocket_and_the_spdy_inside():
    frames = dissected(*from_a_websocket_client())
    assert frames[0].type == "REQUEST"
    assert frames[0].details == (
        "request: GET /portforward?(hidden), host: relay, authorization: (hidden), "
        "upgrade: websocket, cookie: (hidden)"
    )
    assert without_length(each for each in frames if each.layer == "SPDY") == [
        *SPDY,
        ("PING", None, (), "id: 3"),
        ("PING", None, (), "id: 5"),
    ]
    messages = [each for each in frames if each.layer == "WebSocket"]
    inside = len(spdy_octets())
    assert sum(each.length for each in messages if each.type == "BINARY") == inside + 24
    assert shown(frames[-6:]) == [
        ("PING", None, 1, (), ""),
        ("PONG", None, 1, (), ""),
        ("BINARY", None, 24, (), ""),
        ("PING", None, 4, (), "id: 3"),
        ("PING", None, 4, (), "id: 5"),
        ("CLOSE", None, 5, (), "code: 1000"),
    ]


def test_a_server_that_does_not_switch_sends_a_body_of_which_nothing_is_told():
    octets = b"HTTP/1.1 403 Forbidden\r\nContent-Length: 9\r\n\r\n" + b"forbidden"
    reader = dissector("spdy", sent=False)
    assert without_length(dissected(reader, octets)) == [
        ("RESPONSE", None, (), "status: 403, content-length: 9")
    ]


def test_padding_and_priority_are_no_part_of_a_header_section():
    block = http2.block(http2.OK)
    padded = bytes((3,)) + bytes(5) + block + bytes(3)
    reader = Http2Dissector(client=False)
    frames = dissected(reader, http2.frame(http2.HEADERS, 0x2C, 1, padded))
    assert shown(frames) == [
        ("HEADERS", 1, len(padded), ("END_HEADERS", "PADDED", "PRIORITY"), ":status: 200")
    ]


WRONG = [
    (Http2Dissector(client=True), b"x" * 24, "preface"),
    (Http2Dissector(client=False), http2.frame(1, 4, 1, b"\xff" * 9), "header section"),
    (Http2Dissector(client=False), http2.frame(1, 0xC, 1, b"\x09x"), "padding"),
    (Http2Dissector(client=False), (MAX_GATHERED + 1).to_bytes(3, "big") + bytes(6), ""),
    (SpdyDissector(), spdy.control(6, bytes(4), version=2), "version 2"),
    (SpdyDissector(), spdy.control(2, b"x"), "cut off"),
    (SpdyDissector(), spdy.control(1, bytes(10) + b"no zlib"), "unpacked"),
    (SpdyDissector(), b"\x80\x03\x00\x01\x00\xff\xff\xff", "SYN_STREAM of"),
    (WebSocketDissector(SpdyDissector(), masked=True), message(b"x", mask=False), "mask"),
    (UpgradeDissector(SpdyDissector(), client=True), b"x" * MAX_HEAD, "a head of more than"),
]


@pytest.mark.parametrize(("reader", "octets", "words"), WRONG, ids=range(len(WRONG)))
def test_what_cannot_be_read_is_said_once(reader: Dissector, octets: bytes, words: str):
    frames = dissected(reader, octets + octets)
    unreadable = [each for each in frames if each.type == UNREADABLE]
    if words:
        assert len(unreadable) == 1
        assert words in unreadable[0].note
        assert frames == unreadable
    else:
        assert not unreadable  # DATA of any length is passed over


def test_a_header_section_that_never_ends_is_not_gathered_for_ever():
    reader = Http2Dissector(client=False)
    more = http2.frame(http2.CONTINUATION, 0, 1, bytes(1 << 19))
    frames = [frame for _ in range(9) for frame in reader.feed(more)]
    assert [each.type for each in frames] == ["CONTINUATION", "CONTINUATION", UNREADABLE]


def test_values_and_fields_are_cut():
    reader = Http2Dissector(client=False)
    fields = [(":status", "2" * 1000), *((f"x{n}", "") for n in range(MAX_TOLD + 9))]
    (frame,) = dissected(reader, http2.headers(1, fields))
    assert frame.fields[0] == (":status", "2" * MAX_TOLD)
    assert len(frame.fields) == MAX_TOLD + 1
    assert frame.fields[-1] == ("…", "more fields")


def test_a_message_without_end_holds_few_frames():
    reader = WebSocketDissector(SpdyDissector(), masked=False)
    pings = spdy.ping(1) * (MAX_HELD + 5)
    frames = reader.feed(message(pings, mask=False, fin=False))
    assert len(frames) >= MAX_HELD
    frames += reader.feed(message(b"", mask=False, opcode=Opcode.CONT))
    assert [each.type for each in frames].count("PING") == MAX_HELD + 5


# -- what real codecs send -------------------------------------------------------------------------


def test_h2_with_its_dynamic_table():
    client = h2.connection.H2Connection(h2.config.H2Configuration(client_side=True))
    client.initiate_connection()
    fields = [*http2.CONNECT, ("authorization", SECRET), ("kfwd-pod", "default/web")]
    for stream in (1, 3, 5):
        client.send_headers(stream, fields)
    client.send_data(5, b"payload", end_stream=True)
    client.ping(b"12345678")
    client.reset_stream(1, 8)
    client.close_connection()
    frames = dissected(Http2Dissector(client=True), client.data_to_send())
    assert [each.type for each in frames] == [
        *("PREFACE", "SETTINGS", "HEADERS", "HEADERS", "HEADERS"),
        *("DATA", "PING", "RST_STREAM", "GOAWAY"),
    ]
    told = [each.fields for each in frames if each.type == "HEADERS"]
    assert told[0] == told[1] == told[2]
    assert told[0][-2:] == (("authorization", HIDDEN), ("kfwd-pod", "default/web"))
    assert frames[4].length < frames[2].length  # the table was used


def test_our_own_http2():
    connection = Http2Connection(client=True)
    stream = connection.open(http2.CONNECT)
    connection.reset(stream, 8)
    frames = dissected(Http2Dissector(client=True), connection.data_to_send())
    assert [each.type for each in frames] == [
        *("PREFACE", "SETTINGS", "WINDOW_UPDATE", "HEADERS", "RST_STREAM")
    ]


def test_our_own_spdy_in_our_own_websocket():
    inside, outside = SpdyConnection(client=True), WebSocketConnection(client=True)
    inside.open(pair_headers(ERROR, 80, 7), end=True)
    stream = inside.open(pair_headers(DATA, 80, 7))
    payload = bytearray(HEADROOM) + b"p" * 40_000
    inside.frame(stream, 40_000, payload, HEADROOM - 8)
    octets = inside.data_to_send() + bytes(payload[HEADROOM - 8 :])
    wire = b"".join(outside.message(octets))
    frames = dissected(WebSocketDissector(SpdyDissector(), masked=True), wire)
    assert without_length(frames) == [
        ("BINARY", None, (), ""),
        ("SYN_STREAM", 1, ("FIN",), "streamtype: error, port: 80, requestid: 7"),
        ("SYN_STREAM", 3, (), "streamtype: data, port: 80, requestid: 7"),
        ("DATA", 3, (), ""),
    ]
    assert frames[-1].length == 40_000
