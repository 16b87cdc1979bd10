"""SPDY/3.1: transcripts, any chunking, and peers that break the rules."""

from __future__ import annotations

import contextlib
import zlib

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from peers import spdy as by_hand

from kfwd_nb.errors import LocalProtocolError, RemoteProtocolError
from kfwd_nb.protocol.spdy import (
    ConnectionTerminated,
    DataReceived,
    PingAcknowledged,
    SpdyConnection,
    StreamEnded,
    StreamOpened,
    StreamReplied,
    StreamReset,
)
from kfwd_nb.protocol.spdy import connection as connection_module
from kfwd_nb.protocol.spdy.dictionary import DICTIONARY
from kfwd_nb.protocol.spdy.frames import MAX_CONTROL
from kfwd_nb.protocol.spdy.headers import MAX_BLOCK, MAX_HEADERS

pytestmark = pytest.mark.pure

HEADERS = {"streamtype": "data", "port": "80", "requestid": "0"}
Seen = list[object]


def feed(connection: SpdyConnection, wire: bytes, sizes: list[int] | None = None) -> Seen:
    """What happens; payload of one stream that comes in a row is joined."""
    seen: Seen = []
    at, turn = 0, 0
    while at < len(wire):
        size = sizes[turn % len(sizes)] if sizes else len(wire)
        piece = memoryview(bytearray(8) + wire[at : at + size])
        for event in connection.receive(piece, 8, len(piece)):
            if not isinstance(event, DataReceived):
                seen.append(event)
                continue
            payload = bytes(piece[event.start : event.end])
            last = seen[-1] if seen else None
            if isinstance(last, tuple) and last[0] == event.stream_id:
                seen[-1] = (event.stream_id, last[1] + payload)
            else:
                seen.append((event.stream_id, payload))
        at, turn = at + size, turn + 1
    return seen


def server() -> tuple[SpdyConnection, by_hand.Peer]:
    return SpdyConnection(client=False), by_hand.Peer(DICTIONARY)


def client(streams: int = 1) -> tuple[SpdyConnection, by_hand.Peer]:
    made = SpdyConnection(client=True)
    for _ in range(streams):
        made.open(HEADERS)
    made.data_to_send()
    return made, by_hand.Peer(DICTIONARY)


def test_the_dictionary_is_that_of_the_specification():
    assert len(DICTIONARY) == 1423
    assert zlib.adler32(DICTIONARY) == 0xE3C6A7C2


def test_the_first_block_begins_as_on_the_wire_of_others():
    made = SpdyConnection(client=True)
    made.open(HEADERS)
    assert made.data_to_send()[18:24] == bytes.fromhex("78f9e3c6a7c2")


def test_what_we_open_is_what_a_peer_reads():
    made = SpdyConnection(client=True)
    assert made.open({"streamtype": "error"}, end=True) == 1
    assert made.open(HEADERS) == 3
    seen = feed(SpdyConnection(client=False), made.data_to_send())
    assert seen == [
        StreamOpened(1, {"streamtype": "error"}, True),
        StreamOpened(3, HEADERS, False),
    ]


def transcript() -> bytes:
    peer = by_hand.Peer(DICTIONARY)
    return b"".join(
        [
            peer.syn(1, {"streamtype": "error"}, fin=True),
            peer.syn(3, HEADERS),
            by_hand.data(3, b"hello"),
            by_hand.control(4, bytes(4)),  # SETTINGS
            by_hand.ping(1),
            by_hand.data(3, bytes(range(256)) * 40),
            by_hand.control(9, bytes(8)),  # WINDOW_UPDATE
            by_hand.data(3, b"end", fin=True),
            by_hand.data(3, b"after the end", fin=True),
            peer.syn(5, HEADERS),
            by_hand.rst(5),
            by_hand.data(5, b"late"),
            by_hand.goaway(),
        ]
    )


EVENTS: Seen = [
    StreamOpened(1, {"streamtype": "error"}, True),
    StreamOpened(3, HEADERS, False),
    (3, b"hello" + bytes(range(256)) * 40 + b"end"),
    StreamEnded(3),
    StreamOpened(5, HEADERS, False),
    StreamReset(5, 5),
    ConnectionTerminated(0),
]


@given(st.lists(st.integers(1, 700), min_size=1, max_size=20))
@settings(max_examples=150)
def test_any_chunking_gives_the_same_events(sizes):
    made, _ = server()
    assert feed(made, transcript(), sizes) == EVENTS
    assert made.data_to_send() == by_hand.ping(1)


@given(st.binary(max_size=600), st.booleans())
@settings(max_examples=400)
def test_random_bytes_raise_nothing_else(wire, as_client):
    made = client()[0] if as_client else server()[0]
    with contextlib.suppress(RemoteProtocolError):
        feed(made, wire)


@given(st.data())
@settings(max_examples=400)
def test_a_broken_transcript_raises_nothing_else(data):
    wire = bytearray(transcript())
    for _ in range(data.draw(st.integers(1, 4))):
        wire[data.draw(st.integers(0, len(wire) - 1))] = data.draw(st.integers(0, 255))
    made, _ = server()
    with contextlib.suppress(RemoteProtocolError):
        feed(made, bytes(wire))


@given(st.lists(st.tuples(st.sampled_from([1, 2, 3, 6, 7, 8]), st.binary(max_size=40)), max_size=8))
@settings(max_examples=300)
def test_control_frames_with_any_payload_raise_nothing_else(control):
    for made in (client()[0], server()[0]):
        with contextlib.suppress(RemoteProtocolError):
            feed(made, b"".join(by_hand.control(kind, payload) for kind, payload in control))


TWICE = by_hand.block([(b"port", b"1"), (b"port", b"2")])


@pytest.mark.parametrize(
    "plain",
    [
        by_hand.block([(b"Port", b"1")]),
        by_hand.block([(b"", b"1")]),
        TWICE,
        by_hand.block([(b"port", b"1")], count=2),
        by_hand.block([], count=MAX_HEADERS + 1),
        by_hand.block([(b"%d" % n, b"") for n in range(MAX_HEADERS + 1)]),
        by_hand.number(1) + by_hand.number(0xFFFF_FFFF) + b"port",
        by_hand.block([(b"port", b"1")]) + b"more",
        by_hand.block([(b"bomb", bytes(MAX_BLOCK))]),
        by_hand.block([(b"bomb", bytes(8 << 20))]),
        b"",
    ],
)
def test_a_bad_header_block_ends_the_connection(plain):
    made, peer = server()
    with pytest.raises(RemoteProtocolError):
        feed(made, peer.syn_of(1, plain))


def test_a_full_header_block_is_taken():
    made, peer = server()
    many = [(b"%d" % n, b"") for n in range(MAX_HEADERS)]
    (opened,) = feed(made, peer.syn_of(1, by_hand.block(many)))
    assert isinstance(opened, StreamOpened)
    assert len(opened.headers) == MAX_HEADERS


@pytest.mark.parametrize(
    "wire",
    [
        by_hand.control(6, by_hand.number(1), version=2),
        by_hand.control(6, by_hand.number(1), version=4),
        by_hand.control(6, b"\0"),
        by_hand.control(3, bytes(7)),
        by_hand.control(7, bytes(7)),
        by_hand.control(1, bytes(9)),
        by_hand.control(1, bytes(10) + b"no zlib"),
        by_hand.control(4, bytes(MAX_CONTROL + 1)),
        by_hand.data(1, b"before SYN"),
        by_hand.data(2, b"of ours, never opened"),
        by_hand.rst(7),
    ],
)
def test_a_frame_that_cannot_be_ends_the_connection(wire):
    with pytest.raises(RemoteProtocolError):
        feed(server()[0], wire)


@pytest.mark.parametrize("bad_id", [1, 3, 4])
def test_an_id_that_goes_backwards_or_is_ours_is_reset(bad_id):
    made, peer = server()
    feed(made, peer.syn(3, fin=True))
    assert feed(made, peer.syn(bad_id)) == []
    assert made.data_to_send() == by_hand.rst(bad_id, 1)
    assert feed(made, peer.syn(5, HEADERS)) == [StreamOpened(5, HEADERS, False)]


def test_one_stream_too_many_is_refused_and_a_place_comes_free(monkeypatch):
    monkeypatch.setattr(connection_module, "MAX_STREAMS", 2)
    made, peer = server()
    feed(made, peer.syn(1) + peer.syn(3))
    assert feed(made, peer.syn(5)) == []
    assert made.data_to_send() == by_hand.rst(5, 3)
    feed(made, by_hand.rst(1))
    assert len(feed(made, peer.syn(7))) == 1


ENDS = {"ours": lambda c: c.end(1), "theirs": lambda c: feed(c, by_hand.data(1, fin=True))}


@pytest.mark.parametrize("order", [(), ("ours",), ("theirs",), ("ours", "theirs")])
def test_rst_in_every_state(order):
    made, peer = client()
    assert feed(made, peer.reply(1)) == [StreamReplied(1, {})]
    for end in order:
        ENDS[end](made)
    expected = [] if len(order) == 2 else [StreamReset(1, 5)]
    assert feed(made, by_hand.rst(1)) == expected
    assert feed(made, by_hand.rst(1) + by_hand.data(1, b"late", fin=True)) == []
    assert not made.writable(1)


def test_fin_twice_is_told_once():
    made, _ = client()
    wire = by_hand.data(1, fin=True)
    assert feed(made, wire + wire) == [StreamEnded(1)]


def test_after_our_reset_all_that_comes_is_swallowed():
    made, peer = client()
    made.reset(1)
    assert made.data_to_send() == by_hand.rst(1, 5)
    late = peer.reply(1) + by_hand.data(1, b"x" * 9000) + by_hand.data(1, fin=True)
    assert feed(made, late + by_hand.rst(1)) == []
    made.end(1)
    made.reset(1)
    assert made.data_to_send() == b""


def test_pings_of_the_other_parity_are_answered_and_of_ours_are_told():
    made, _ = client()
    assert made.ping() == 1
    assert made.data_to_send() == by_hand.ping(1)
    assert feed(made, by_hand.ping(2) + by_hand.ping(1)) == [PingAcknowledged(1)]
    assert made.data_to_send() == by_hand.ping(2)


def test_nothing_is_opened_after_goaway():
    made, _ = client()
    feed(made, by_hand.goaway())
    with pytest.raises(LocalProtocolError):
        made.open(HEADERS)


def test_a_data_frame_is_made_in_place():
    made, _ = client()
    buffer = bytearray(8) + b"payload"
    made.frame(1, 7, buffer, 0)
    assert bytes(buffer) == by_hand.data(1, b"payload")


@pytest.mark.parametrize("size", [MAX_BLOCK - 12, 8 << 20])
def test_a_header_bomb_is_named(size):
    made, peer = server()
    with pytest.raises(RemoteProtocolError, match="exceed"):
        feed(made, peer.syn_of(1, by_hand.block([(b"bomb", bytes(size))])))
