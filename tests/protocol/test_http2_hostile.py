"""A peer that breaks the rules: what ends the connection, what ends a stream, what is harmless."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from peers import http2 as peer
from peers.http2 import CONNECT, GET, OK, POST, client_side, server_side

from kfwd_nb.errors import RemoteProtocolError
from kfwd_nb.protocol.http2.connection import MAX_FRAME_SIZE, MAX_HEADER_LIST
from kfwd_nb.protocol.http2.windows import CONNECTION_WINDOW, LARGE_WINDOW, STREAM_WINDOW

pytestmark = pytest.mark.pure

PROTOCOL_ERROR, FLOW_CONTROL_ERROR, STREAM_CLOSED, FRAME_SIZE_ERROR = 1, 3, 5, 6
ENHANCE_YOUR_CALM = 11

A_MEBIBYTE = bytes(1 << 20)


def server_with_tunnel() -> peer.Side:
    side = server_side()
    side.hear(peer.headers(1, CONNECT))
    side.connection.respond(1, OK)
    side.said()
    return side


def half_closed_tunnel() -> peer.Side:
    side = server_with_tunnel()
    side.hear(peer.data(1, end=True))
    return side


def tunnel_over() -> peer.Side:
    side = half_closed_tunnel()
    side.connection.end(1)
    side.said()
    return side


ENDS_THE_CONNECTION = {
    "no preface": (peer.Side, b"GET / HTTP/1.1\r\nHost: x\r\n\r\n", None),
    "frame longer than we accept": (
        server_with_tunnel,
        (MAX_FRAME_SIZE + 1).to_bytes(3, "big") + b"\x06\x00\x00\x00\x00\x00",
        FRAME_SIZE_ERROR,
    ),
    "payload frame longer than we accept": (
        server_with_tunnel,
        (MAX_FRAME_SIZE + 1).to_bytes(3, "big") + b"\x00\x00\x00\x00\x00\x01",
        FRAME_SIZE_ERROR,
    ),
    "DATA on the connection": (server_side, peer.data(0, b"x"), PROTOCOL_ERROR),
    "DATA on an idle stream": (server_side, peer.data(1, b"x"), None),
    "DATA inside a header block": (
        server_with_tunnel,
        peer.headers(3, CONNECT, whole=False) + peer.data(1, b"x"),
        PROTOCOL_ERROR,
    ),
    "WINDOW_UPDATE inside a header block": (
        server_with_tunnel,
        peer.headers(3, CONNECT, whole=False) + peer.window_update(1, 1),
        PROTOCOL_ERROR,
    ),
    "CONTINUATION of another stream": (
        server_with_tunnel,
        peer.headers(3, CONNECT, whole=False)
        + peer.frame(peer.CONTINUATION, peer.END_HEADERS, 5, b""),
        PROTOCOL_ERROR,
    ),
    "CONTINUATION out of nowhere": (
        server_with_tunnel,
        peer.frame(peer.CONTINUATION, peer.END_HEADERS, 1, b""),
        PROTOCOL_ERROR,
    ),
    "connection window grows by 0": (server_with_tunnel, peer.window_update(0, 0), PROTOCOL_ERROR),
    "connection window overflows": (
        server_with_tunnel,
        peer.window_update(0, 2**31 - 1),
        FLOW_CONTROL_ERROR,
    ),
    "WINDOW_UPDATE of an idle stream": (server_side, peer.window_update(7, 1), PROTOCOL_ERROR),
    "WINDOW_UPDATE of three octets": (
        server_with_tunnel,
        peer.frame(peer.WINDOW_UPDATE, 0, 1, b"\x00\x00\x01"),
        FRAME_SIZE_ERROR,
    ),
    "initial window too large": (
        server_with_tunnel,
        peer.settings({peer.INITIAL_WINDOW_SIZE: 2**31}),
        FLOW_CONTROL_ERROR,
    ),
    "initial window overflows an open stream": (
        server_with_tunnel,
        peer.window_update(1, 2**31 - 1 - 65_535)
        + peer.settings({peer.INITIAL_WINDOW_SIZE: 65_536}),
        FLOW_CONTROL_ERROR,
    ),
    "SETTINGS on a stream": (
        server_with_tunnel,
        peer.frame(peer.SETTINGS, 0, 1, b""),
        PROTOCOL_ERROR,
    ),
    "SETTINGS of seven octets": (
        server_with_tunnel,
        peer.frame(peer.SETTINGS, 0, 0, b"1234567"),
        FRAME_SIZE_ERROR,
    ),
    "PING of seven octets": (
        server_with_tunnel,
        peer.frame(peer.PING, 0, 0, b"1234567"),
        FRAME_SIZE_ERROR,
    ),
    "request on a stream of ours": (server_with_tunnel, peer.headers(2, CONNECT), PROTOCOL_ERROR),
    "stream number that goes down": (
        server_with_tunnel,
        peer.headers(5, CONNECT) + peer.headers(3, CONNECT),
        None,
    ),
    "header section with an uppercase name": (
        server_with_tunnel,
        peer.headers(3, [*CONNECT, ("X-Name", "x")]),
        PROTOCOL_ERROR,
    ),
    "header block that is no HPACK": (
        server_with_tunnel,
        peer.frame(peer.HEADERS, peer.END_HEADERS, 3, b"\xff\xff\xff\xff\xff\xff\xff\xff\xff"),
        None,
    ),
    "header section too large": (
        server_with_tunnel,
        peer.headers(3, [*CONNECT, *[("x-name", "x" * 1000)] * (MAX_HEADER_LIST // 1000 + 1)]),
        ENHANCE_YOUR_CALM,
    ),
    "push to a server": (
        server_with_tunnel,
        peer.frame(peer.PUSH_PROMISE, peer.END_HEADERS, 1, b"\0\0\0\2" + peer.block(GET)),
        PROTOCOL_ERROR,
    ),
    "payload that is all padding": (
        server_with_tunnel,
        peer.frame(peer.DATA, peer.PADDED, 1, b"\x05abcd"),
        PROTOCOL_ERROR,
    ),
    "padded frame of no octets": (
        server_with_tunnel,
        peer.frame(peer.DATA, peer.PADDED, 1, b""),
        None,
    ),
    "body that is all padding": (
        server_side,
        peer.headers(1, POST) + peer.frame(peer.DATA, peer.PADDED, 1, b"\x05abcd"),
        PROTOCOL_ERROR,
    ),
}


@pytest.mark.parametrize("pieces", ["whole", "byte by byte"])
@pytest.mark.parametrize("case", ENDS_THE_CONNECTION)
def test_what_ends_the_connection(case, pieces):
    make, octets, code = ENDS_THE_CONNECTION[case]
    side = make(client=False) if make is peer.Side else make()
    side.said()
    with pytest.raises(RemoteProtocolError, match=r"^the peer breaks HTTP/2: .") as caught:
        side.hear(octets, [] if pieces == "whole" else [1] * len(octets))
    if code is not None:
        assert caught.value.code == code
    if case != "no preface":  # who speaks no HTTP/2 understands no GOAWAY (RFC 9113 §3.4)
        assert side.said()[-1].kind == peer.GOAWAY
    assert side.connection.open_streams == 0


def test_a_server_that_sends_a_request_is_refused():
    side = client_side()
    with pytest.raises(RemoteProtocolError):
        side.hear(peer.headers(2, CONNECT))


def test_a_server_that_pushes_is_refused():
    side = client_side()
    stream_id = side.connection.open(GET, end=True)
    promise = b"\0\0\0\2" + peer.block(GET)
    with pytest.raises(RemoteProtocolError):
        side.hear(peer.frame(peer.PUSH_PROMISE, peer.END_HEADERS, stream_id, promise))


def test_payload_before_the_response_is_not_payload():
    """A server that talks before it has accepted: nothing of that may reach the local program."""
    side = client_side()
    stream_id = side.connection.open(CONNECT)
    try:
        happened = side.hear(peer.data(stream_id, b"early"))
    except RemoteProtocolError:
        return
    assert not [event for event in happened if event[0] == "Data"]


# -- one stream only ------------------------------------------------------------------------------


ENDS_THE_STREAM = {
    "its window grows by 0": (peer.window_update(1, 0), PROTOCOL_ERROR),
    "its window overflows": (peer.window_update(1, 2**31 - 1), FLOW_CONTROL_ERROR),
    "more payload than its window": (
        peer.data(1, A_MEBIBYTE) + peer.data(1, b"x"),
        FLOW_CONTROL_ERROR,
    ),
}


@pytest.mark.parametrize("case", ENDS_THE_STREAM)
def test_what_ends_only_its_stream(case):
    octets, code = ENDS_THE_STREAM[case]
    side = server_with_tunnel()
    side.hear(peer.headers(3, CONNECT))
    side.connection.respond(3, OK)
    side.said()
    happened = side.hear(octets)
    assert happened[-1] == ("StreamReset", 1, code)
    resets = [each for each in side.said() if each.kind == peer.RST_STREAM]
    assert [(each.stream_id, each.number) for each in resets] == [(1, code)]
    assert side.hear(peer.data(3, b"the other one lives")) == [("Data", 3, b"the other one lives")]


@pytest.mark.parametrize("make", [half_closed_tunnel, tunnel_over])
def test_payload_after_the_peers_own_end_is_dropped(make):
    side = make()
    side.said()
    happened = side.hear(peer.data(1, b"x") + peer.headers(3, CONNECT))
    assert [event for event in happened if event[0] != "StreamReset"] == [
        ("RequestReceived", 3, list(CONNECT))
    ]
    assert (peer.RST_STREAM, 1) in [(each.kind, each.stream_id) for each in side.said()]


@pytest.mark.parametrize(
    "octets",
    [
        peer.window_update(1, 5),
        peer.rst_stream(1, 0),
        peer.rst_stream(99, 0),
        peer.frame(peer.PRIORITY, 0, 1, b"\0\0\0\0\x10"),
        peer.frame(0xBB, 0xFF, 1, b"a type that nobody knows"),
    ],
    ids=["WINDOW_UPDATE", "RST_STREAM", "RST_STREAM of an idle one", "PRIORITY", "unknown"],
)
def test_what_comes_late_to_a_stream_that_is_over_is_harmless(octets):
    assert tunnel_over().hear(octets + peer.headers(3, CONNECT)) == [
        ("RequestReceived", 3, list(CONNECT))
    ]


def test_the_rest_of_a_frame_that_broke_its_window_is_swallowed():
    side = server_with_tunnel()
    side.hear(peer.data(1, A_MEBIBYTE))
    octets = peer.data(1, b"x" * 100) + peer.headers(3, CONNECT)
    happened = side.hear(octets, [20] * 10)
    assert [event[:2] for event in happened] == [("StreamReset", 1), ("RequestReceived", 3)]


# -- the connection's window ----------------------------------------------------------------------


def test_more_payload_than_the_connection_was_granted_ends_it():
    """The connection's window is granted again on receipt, so only one step below it is left."""
    side = server_with_tunnel()
    side.connection._receive.available = 10
    with pytest.raises(RemoteProtocolError) as caught:
        side.hear(peer.data(1, b"x" * 11))
    assert caught.value.code == FLOW_CONTROL_ERROR


def test_stalled_streams_never_use_up_the_connections_window():
    """Twice as many stalled streams as the connection's window has room for."""
    side = server_side()
    granted = CONNECTION_WINDOW
    for number in range(2 * CONNECTION_WINDOW // STREAM_WINDOW):
        stream_id = 2 * number + 1
        side.hear(peer.headers(stream_id, CONNECT))
        side.hear(peer.data(stream_id, A_MEBIBYTE))  # nobody calls `delivered`
        granted += side.grants(0) - STREAM_WINDOW
        assert granted >= CONNECTION_WINDOW - STREAM_WINDOW


def test_late_payload_of_a_reset_stream_is_harmless_and_its_window_comes_back():
    side = server_side()
    given_back = 0
    rounds = 2 * CONNECTION_WINDOW // STREAM_WINDOW
    for number in range(rounds):
        stream_id = 2 * number + 1
        side.hear(peer.headers(stream_id, CONNECT))
        side.connection.reset(stream_id, 8)
        late = peer.data(stream_id, A_MEBIBYTE, end=True) + peer.window_update(stream_id, 5)
        assert side.hear(late) == []
        given_back += side.grants(0)
    assert given_back >= rounds * STREAM_WINDOW - CONNECTION_WINDOW // 2
    assert side.connection.open_streams == 0


def test_payload_in_the_middle_of_a_reset_is_harmless():
    side = server_with_tunnel()
    octets = peer.data(1, b"x" * 1000, end=True) + peer.headers(3, CONNECT)
    assert side.hear(octets[:500]) == [("Data", 1, b"x" * 491)]
    side.connection.reset(1, 8)
    assert side.hear(octets[500:]) == [("RequestReceived", 3, list(CONNECT))]


@pytest.mark.parametrize("end", ["our reset", "the peer's reset", "both ends"])
def test_the_window_of_bodies_that_nobody_reads_comes_back_when_their_stream_ends(end):
    side = client_side()
    granted = 0
    rounds = 2 * CONNECTION_WINDOW // STREAM_WINDOW
    for _ in range(rounds):
        stream_id = side.connection.open(GET, end=True)
        side.hear(peer.headers(stream_id, OK))
        side.hear(peer.data(stream_id, A_MEBIBYTE, end=end == "both ends"))
        if end == "our reset":
            side.connection.reset(stream_id, 8)
        elif end == "the peer's reset":
            side.hear(peer.rst_stream(stream_id, 8))
        side.connection.acknowledge(stream_id, STREAM_WINDOW)  # too late, and harmless
        granted += side.grants(0)
    assert granted >= rounds * STREAM_WINDOW - CONNECTION_WINDOW // 2


def test_padding_costs_the_peer_nothing_for_good():
    """Padded payload, many times either window: both are granted again, and all of it arrives."""
    side = server_with_tunnel()
    connection, stream = CONNECTION_WINDOW, STREAM_WINDOW
    octets = peer.data(1, bytes(16_000), pad=255)
    cost = len(octets) - 9
    for _ in range(2 * CONNECTION_WINDOW // cost):
        assert side.hear(octets) == [("Data", 1, bytes(16_000))]
        side.connection.delivered(1, 16_000)
        connection, stream = connection - cost, stream - cost
        for each in side.said():
            assert each.kind == peer.WINDOW_UPDATE
            if each.stream_id:
                stream += each.number
            else:
                connection += each.number
        assert cost < stream <= LARGE_WINDOW
        assert cost < connection <= CONNECTION_WINDOW


def test_too_many_streams_at_once_are_refused(monkeypatch):
    monkeypatch.setattr("kfwd_nb.protocol.http2.connection.MAX_STREAMS", 3)
    side = server_side()
    for stream_id in (1, 3, 5):
        side.hear(peer.headers(stream_id, CONNECT))
    try:
        happened = side.hear(peer.headers(7, CONNECT))
    except RemoteProtocolError:
        return
    assert not [event for event in happened if event[0] == "RequestReceived"]


# -- anything at all ------------------------------------------------------------------------------

FRAMES = st.builds(
    peer.frame,
    st.integers(0, 10),
    st.sampled_from([0, 1, 4, 5, 8, 9, 0x20, 0x2D]),
    st.sampled_from([0, 1, 2, 3, 5, 2**31 - 1]),
    st.one_of(
        st.binary(max_size=20),
        st.just(peer.block(CONNECT)),
        st.just(peer.block(POST)),
        st.just(peer.block(OK)),
        st.integers(0, 2**32 - 1).map(lambda number: number.to_bytes(4, "big")),
    ),
)


@settings(max_examples=300)
@given(st.lists(FRAMES, max_size=12), st.booleans(), st.data())
def test_no_bytes_raise_anything_but_a_protocol_error(frames, client, data):
    side = peer.Side(client=client)
    if client:
        side.connection.open(CONNECT)
        side.connection.open(GET, end=True)
    octets = (b"" if client else peer.PREFACE) + peer.settings() + b"".join(frames)
    cut = data.draw(st.integers(0, len(octets)))
    try:
        side.hear(octets[:cut])
        side.connection.reset(1, 8)
        side.hear(octets[cut:])
    except RemoteProtocolError:
        assert side.connection.open_streams == 0
        assert side.hear(octets) == []


@settings(max_examples=100)
@given(st.binary(max_size=200))
def test_noise_raises_nothing_but_a_protocol_error(noise):
    side = server_with_tunnel()
    try:
        side.hear(noise)
    except RemoteProtocolError:
        assert side.connection.open_streams == 0
