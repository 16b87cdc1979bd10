"""Whole exchanges, as transcripts: what is heard, what happens, what is said."""

from __future__ import annotations

import h2.config
import h2.connection
import h2.events
import pytest
from peers import http2 as peer
from peers.http2 import CONNECT, GET, NOT_FOUND, OK, POST, client_side, server_side

from kfwd_nb.errors import LocalProtocolError
from kfwd_nb.protocol.http2.windows import CONNECTION_WINDOW, STREAM_WINDOW

pytestmark = pytest.mark.pure


def test_what_a_client_says_first():
    side = peer.Side(client=True)
    octets = side.connection.data_to_send()
    assert octets.startswith(peer.PREFACE)
    first, second = peer.frames_of(octets)
    assert (first.kind, first.flags) == (peer.SETTINGS, 0)
    assert (
        peer.INITIAL_WINDOW_SIZE.to_bytes(2, "big") + STREAM_WINDOW.to_bytes(4, "big")
        in first.payload
    )
    assert b"\x00\x02\x00\x00\x00\x00" in first.payload, "push is switched off"
    assert (second.kind, second.stream_id) == (peer.WINDOW_UPDATE, 0)
    assert second.number == CONNECTION_WINDOW - 65_535


def test_a_server_says_settings_and_its_window_before_it_hears_anything():
    kinds = [each.kind for each in peer.Side(client=False).said()]
    assert kinds == [peer.SETTINGS, peer.WINDOW_UPDATE]


def test_connect_accepted_used_and_ended_by_both_server():
    side = server_side()
    assert side.hear(peer.headers(1, CONNECT)) == [("RequestReceived", 1, list(CONNECT))]
    side.connection.respond(1, OK)
    (answer,) = side.said()
    assert (answer.kind, answer.flags, answer.stream_id) == (peer.HEADERS, peer.END_HEADERS, 1)
    assert side.hear(peer.data(1, b"ping")) == [("Data", 1, b"ping")]
    assert side.send(1, b"pong") == peer.data(1, b"pong")
    assert side.hear(peer.data(1, end=True)) == [("StreamEnded", 1)]
    assert side.send(1, b"last words") == peer.data(1, b"last words"), "half-closed, not closed"
    side.connection.end(1)
    assert side.said() == [peer.Frame(peer.DATA, peer.END_STREAM, 1, b"")]
    assert side.connection.open_streams == 0


def test_connect_accepted_used_and_ended_by_both_client():
    side = client_side()
    stream_id = side.connection.open(CONNECT)
    assert [(each.kind, each.flags) for each in side.said()] == [(peer.HEADERS, peer.END_HEADERS)]
    assert side.hear(peer.headers(stream_id, OK)) == [("ResponseReceived", stream_id, list(OK))]
    assert side.send(stream_id, b"ping") == peer.data(stream_id, b"ping")
    side.connection.end(stream_id)
    assert side.said() == [peer.Frame(peer.DATA, peer.END_STREAM, stream_id, b"")]
    assert side.connection.sendable(stream_id) == 0
    assert side.hear(peer.data(stream_id, b"late reply", end=True)) == [
        ("Data", stream_id, b"late reply"),
        ("StreamEnded", stream_id),
    ]
    assert side.connection.open_streams == 0


def test_payload_that_comes_before_the_server_has_accepted_is_kept_in_order():
    side = server_side()
    assert side.hear(peer.headers(1, CONNECT) + peer.data(1, b"hello")) == [
        ("RequestReceived", 1, list(CONNECT)),
        ("Data", 1, b"hello"),
    ]


def test_a_refusal_may_carry_a_body_that_is_no_payload():
    side = client_side()
    stream_id = side.connection.open(CONNECT)
    assert side.hear(
        peer.headers(stream_id, NOT_FOUND) + peer.data(stream_id, b"no such pod", end=True)
    ) == [
        ("ResponseReceived", stream_id, list(NOT_FOUND)),
        ("BodyReceived", stream_id, b"no such pod", 11),
        ("StreamEnded", stream_id),
    ]


def test_request_and_response_with_bodies():
    side = server_side()
    assert side.hear(
        peer.headers(1, POST) + peer.data(1, b"abc") + peer.data(1, b"def", end=True)
    ) == [
        ("RequestReceived", 1, list(POST)),
        ("BodyReceived", 1, b"abc", 3),
        ("BodyReceived", 1, b"def", 3),
        ("StreamEnded", 1),
    ]
    side.connection.respond(1, OK)
    side.said()
    assert side.send(1, b"answer") == peer.data(1, b"answer")
    side.connection.end(1)
    assert side.connection.open_streams == 0


def test_a_request_without_a_body_ends_with_its_header_section():
    side = server_side()
    assert side.hear(peer.headers(1, GET, end=True)) == [
        ("RequestReceived", 1, list(GET)),
        ("StreamEnded", 1),
    ]
    side.connection.respond(1, NOT_FOUND, end=True)
    assert side.connection.open_streams == 0


def test_informational_answers_are_passed_over():
    side = client_side()
    stream_id = side.connection.open(GET, end=True)
    early = peer.headers(stream_id, [(":status", "103"), ("link", "x")])
    assert side.hear(early) == []
    assert side.hear(peer.headers(stream_id, OK, end=True))[0][0] == "ResponseReceived"


def test_trailers_end_a_stream():
    side = client_side()
    stream_id = side.connection.open(GET, end=True)
    side.hear(peer.headers(stream_id, OK) + peer.data(stream_id, b"x"))
    trailers = peer.headers(stream_id, [("grpc-status", "0")], end=True)
    assert side.hear(trailers) == [("StreamEnded", stream_id)]


def test_resets_in_both_directions():
    side = server_side()
    side.hear(peer.headers(1, CONNECT) + peer.headers(3, CONNECT))
    assert side.hear(peer.rst_stream(1, 8)) == [("StreamReset", 1, 8)]
    side.connection.reset(3, 0xA)
    assert side.said() == [peer.Frame(peer.RST_STREAM, 0, 3, b"\x00\x00\x00\x0a")]
    side.connection.reset(3, 0xA)
    assert side.said() == [], "the second one says nothing"
    assert side.connection.open_streams == 0
    assert side.connection.sendable(1) == side.connection.sendable(3) == 0


def test_a_reset_that_crosses_ours_is_no_event():
    side = server_side()
    side.hear(peer.headers(1, CONNECT))
    side.connection.reset(1, 8)
    assert side.hear(peer.rst_stream(1, 8)) == []


def test_ping_is_answered_and_its_answer_reported():
    side = client_side()
    assert side.hear(peer.frame(peer.PING, 0, 0, b"12345678")) == []
    assert side.said() == [peer.Frame(peer.PING, peer.ACK, 0, b"12345678")]
    side.connection.ping(b"abcdefgh")
    assert side.said() == [peer.Frame(peer.PING, 0, 0, b"abcdefgh")]
    assert side.hear(peer.frame(peer.PING, peer.ACK, 0, b"abcdefgh")) == [
        ("PingAcknowledged", b"abcdefgh")
    ]


def test_goaway_is_reported_with_its_reason_and_nothing_after_it_counts():
    side = client_side()
    stream_id = side.connection.open(CONNECT)
    side.hear(peer.headers(stream_id, OK))
    last_words = (
        peer.goaway(stream_id, 11, b"slow down")
        + peer.data(stream_id, b"late")
        + peer.frame(peer.PING, 0, 0, b"12345678")
        + b"no frame at all"
    )
    assert side.hear(last_words) == [("ConnectionTerminated", 11, stream_id, "slow down")]


def test_a_server_that_says_goodbye_still_answers_what_it_has_begun():
    side = client_side()
    stream_id = side.connection.open(CONNECT)
    goodbye = peer.goaway(stream_id, 0) + peer.headers(stream_id, [(":status", "401")], end=True)
    assert side.hear(goodbye) == [
        ("GoingAway", stream_id),
        ("ResponseReceived", stream_id, [(":status", "401")]),
        ("StreamEnded", stream_id),
    ]
    with pytest.raises(LocalProtocolError, match="no further stream"):
        side.connection.open(CONNECT)


@pytest.mark.parametrize("who", ["we", "the peer", "an error"])
def test_after_the_end_every_call_is_harmless(who):
    side = server_side()
    side.hear(peer.headers(1, CONNECT) + peer.headers(3, POST) + peer.data(3, b"body"))
    connection = side.connection
    connection.respond(1, OK)
    if who == "we":
        connection.close(reason="enough")
        assert side.said()[-1].payload.endswith(b"enough")
    elif who == "the peer":
        side.hear(peer.goaway(0, 0))
    else:
        with pytest.raises(Exception, match="window grows by 0"):
            side.hear(peer.window_update(0, 0))
    side.said()
    assert connection.sendable(1) == 0
    connection.respond(3, OK)
    connection.end(1)
    connection.reset(1, 8)
    connection.acknowledge(3, 4)
    connection.delivered(1, 5)
    connection.ping(b"12345678")
    assert side.hear(peer.data(1, b"late")) == []
    assert side.said() == []


def test_a_client_opens_no_stream_on_a_connection_that_is_over():
    side = client_side()
    side.hear(peer.goaway(0, 0))
    with pytest.raises(LocalProtocolError, match="no further stream"):
        side.connection.open(CONNECT)


def test_a_peer_that_takes_few_streams_is_not_sent_more():
    side = client_side({peer.MAX_CONCURRENT_STREAMS: 2})
    first, _ = side.connection.open(CONNECT), side.connection.open(CONNECT)
    with pytest.raises(LocalProtocolError, match="no further stream"):
        side.connection.open(CONNECT)
    side.hear(peer.rst_stream(first, 8))
    assert side.connection.open(CONNECT)


def test_header_values_that_are_no_utf8_come_through():
    side = server_side()
    ((_, _, fields),) = side.hear(peer.headers(1, [*CONNECT, ("x-name", b"caf\xe9")]))
    assert dict(fields)["x-name"].startswith("caf")


def test_h2_and_this_connection_understand_each_other():
    """`h2` whole, its own flow control too, as the peer of both roles."""
    ours = peer.Side(client=False)
    theirs = h2.connection.H2Connection(h2.config.H2Configuration(client_side=True))
    theirs.initiate_connection()
    theirs.send_headers(1, CONNECT)
    theirs.send_data(1, b"x" * 1000)
    assert ours.hear(theirs.data_to_send())[1:] == [("Data", 1, b"x" * 1000)]
    ours.connection.respond(1, OK)
    payload = b"y" * 60_000
    octets = ours.connection.data_to_send()
    for start in range(0, len(payload), ours.connection.max_frame):
        octets += ours.send(1, payload[start : start + ours.connection.max_frame])
    ours.connection.end(1)
    gathered = bytearray()
    for event in theirs.receive_data(octets + ours.connection.data_to_send()):
        if isinstance(event, h2.events.DataReceived):
            gathered += event.data
            theirs.acknowledge_received_data(event.flow_controlled_length, 1)
    assert bytes(gathered) == payload
    theirs.end_stream(1)
    assert ("StreamEnded", 1) in ours.hear(theirs.data_to_send())
    assert ours.connection.open_streams == 0
