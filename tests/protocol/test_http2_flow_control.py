"""Windows in both directions, over longer times than a test can wait."""

from __future__ import annotations

import pytest
from peers import http2 as peer
from peers.http2 import CONNECT, OK, POST, client_side, server_side

from kfwd_nb.errors import RemoteProtocolError
from kfwd_nb.protocol.http2.windows import (
    CONNECTION_WINDOW,
    LARGE_WINDOW,
    PROVEN,
    STREAM_WINDOW,
)

pytestmark = pytest.mark.pure

A_MEBIBYTE = bytes(1 << 20)


def tunnel(values: dict[int, int] | None = None) -> tuple[peer.Side, int]:
    side = client_side(values)
    stream_id = side.connection.open(CONNECT)
    side.hear(peer.headers(stream_id, OK))
    side.said()
    return side, stream_id


# -- what we may send -----------------------------------------------------------------------------


def test_the_smaller_of_two_windows_counts():
    side, stream_id = tunnel()
    assert side.connection.sendable(stream_id) == 65_535
    side.send(stream_id, bytes(16_000))
    assert side.connection.sendable(stream_id) == 49_535
    assert side.hear(peer.window_update(stream_id, 100_000)) == [("WindowOpened", stream_id)]
    assert side.connection.sendable(stream_id) == 49_535, "the connection's is smaller now"
    assert side.hear(peer.window_update(0, 200_000)) == [("WindowOpened", 0)]
    assert side.connection.sendable(stream_id) == 149_535


def test_the_connections_window_is_shared_and_its_end_is_told():
    side, first = tunnel({peer.INITIAL_WINDOW_SIZE: 1 << 20, peer.MAX_FRAME_SIZE: 1 << 17})
    second = side.connection.open(CONNECT)
    side.send(first, bytes(65_535))
    assert side.connection.exhausted
    assert side.connection.sendable(first) == side.connection.sendable(second) == 0
    side.hear(peer.window_update(0, 10))
    assert not side.connection.exhausted
    assert side.connection.sendable(second) == 10


def test_a_change_of_the_initial_window_moves_every_open_stream_by_the_difference():
    side, first = tunnel({peer.INITIAL_WINDOW_SIZE: 1000})
    second = side.connection.open(CONNECT)
    side.send(first, bytes(900))
    changed = side.hear(peer.settings({peer.INITIAL_WINDOW_SIZE: 400}))
    assert sorted(changed) == [("WindowOpened", first), ("WindowOpened", second)]
    assert side.connection.sendable(first) == 0, "its window is negative now (RFC 9113 §6.9.2)"
    assert side.connection.sendable(second) == 400
    side.hear(peer.window_update(first, 500))
    assert side.connection.sendable(first) == 0
    side.hear(peer.window_update(first, 1))
    assert side.connection.sendable(first) == 1
    side.hear(peer.settings({peer.INITIAL_WINDOW_SIZE: 1400}))
    assert side.connection.sendable(first) == 1001
    third = side.connection.open(CONNECT)
    assert side.connection.sendable(third) == 1400


def test_settings_that_come_after_a_request_reach_back_to_it():
    """A client may ask before it has heard the server's SETTINGS."""
    side = peer.Side(client=True)
    stream_id = side.connection.open(CONNECT)
    side.hear(peer.settings({peer.INITIAL_WINDOW_SIZE: 7, peer.MAX_FRAME_SIZE: 50_000}))
    assert side.connection.sendable(stream_id) == 7
    assert side.connection.max_frame == 50_000


def test_an_end_needs_no_window():
    side, stream_id = tunnel({peer.INITIAL_WINDOW_SIZE: 5})
    side.send(stream_id, b"12345")
    side.hear(peer.settings({peer.INITIAL_WINDOW_SIZE: 0}))
    side.connection.end(stream_id)
    assert side.said()[-1] == peer.Frame(peer.DATA, peer.END_STREAM, stream_id, b"")


def test_a_window_may_grow_to_its_limit_and_no_further():
    side, stream_id = tunnel()
    side.hear(peer.window_update(stream_id, 2**31 - 1 - 65_535))
    side.hear(peer.window_update(0, 2**31 - 1 - 65_535))
    assert side.connection.sendable(stream_id) == 2**31 - 1
    assert side.hear(peer.window_update(stream_id, 1)) == [("StreamReset", stream_id, 3)]
    with pytest.raises(RemoteProtocolError, match=r"2\^31-1"):
        side.hear(peer.window_update(0, 1))


def test_windows_that_are_refilled_for_ever_never_overflow():
    """Eight times 2 GiB out, granted again each time to the last octet."""
    side, stream_id = tunnel({peer.MAX_FRAME_SIZE: 1 << 20})
    side.hear(peer.window_update(stream_id, 2**31 - 1 - 65_535))
    side.hear(peer.window_update(0, 2**31 - 1 - 65_535))
    header = bytearray(9)
    for _ in range(8):
        left = 2**31 - 1
        side.connection.frame(stream_id, 1 << 20, header, 0)
        # The other frames of this round, without their payload and without 2,047 calls.
        side.connection._streams[stream_id].send.available -= left - (1 << 20)
        side.connection._send.available -= left - (1 << 20)
        assert side.connection.sendable(stream_id) == 0
        side.hear(peer.window_update(stream_id, left) + peer.window_update(0, left))
        assert side.connection.sendable(stream_id) == left


# -- what we let the peer send --------------------------------------------------------------------


def test_a_stream_is_granted_what_was_delivered_and_no_more():
    side = server_side()
    side.hear(peer.headers(1, CONNECT) + peer.data(1, A_MEBIBYTE))
    assert side.grants(1) == 0, "nobody has read it"
    granted = 0
    for _ in range(8):
        side.connection.delivered(1, STREAM_WINDOW // 8)
        granted += side.grants(1)
    assert granted == STREAM_WINDOW
    assert side.hear(peer.data(1, A_MEBIBYTE))[0][0] == "Data"


def test_small_deliveries_are_granted_together():
    side = server_side()
    side.hear(peer.headers(1, CONNECT) + peer.data(1, A_MEBIBYTE))
    frames = 0
    for _ in range(1 << 10):
        side.connection.delivered(1, 1 << 10)
        frames += len(side.said())
    assert 0 < frames <= 4


def test_a_stream_that_the_peer_has_ended_is_granted_nothing():
    side = server_side()
    side.hear(peer.headers(1, CONNECT) + peer.data(1, A_MEBIBYTE, end=True))
    side.connection.delivered(1, STREAM_WINDOW)
    assert side.grants(1) == 0


def test_more_than_two_gibibytes_come_in_through_one_connection():
    side = server_side()
    side.hear(peer.headers(1, CONNECT))
    octets = memoryview(bytearray(9) + peer.data(1, A_MEBIBYTE))
    ours, stream = CONNECTION_WINDOW, STREAM_WINDOW
    for mebibytes in range(1, 2101):
        for event in side.connection.receive(octets, 9, len(octets)):
            side.connection.delivered(1, event.end - event.start)
        ours, stream = ours - STREAM_WINDOW, stream - STREAM_WINDOW
        for each in side.said():
            ours, stream = (
                (ours, stream + each.number) if each.stream_id else (ours + each.number, stream)
            )
        assert 0 <= ours <= CONNECTION_WINDOW
        if mebibytes << 20 < PROVEN:
            assert stream == STREAM_WINDOW
        else:
            assert LARGE_WINDOW // 4 < stream <= LARGE_WINDOW


def test_a_stream_is_trusted_with_the_large_window_once_it_has_shown_that_it_is_read():
    side = server_side()
    side.hear(peer.headers(1, CONNECT))
    for _ in range(PROVEN // STREAM_WINDOW):
        side.hear(peer.data(1, A_MEBIBYTE))
        side.connection.delivered(1, STREAM_WINDOW)
    assert side.grants(1) == PROVEN + LARGE_WINDOW - STREAM_WINDOW
    for _ in range(LARGE_WINDOW // STREAM_WINDOW):
        assert side.hear(peer.data(1, A_MEBIBYTE))[0][0] == "Data"
    assert side.hear(peer.data(1, b"x"))[-1][0] == "StreamReset"


def test_a_stream_that_stalls_before_that_keeps_the_small_one():
    side = server_side()
    side.hear(peer.headers(1, CONNECT))
    for _ in range(PROVEN // STREAM_WINDOW - 1):
        side.hear(peer.data(1, A_MEBIBYTE))
        side.connection.delivered(1, STREAM_WINDOW)
    assert side.hear(peer.data(1, A_MEBIBYTE))[0][0] == "Data"
    assert side.hear(peer.data(1, b"x"))[-1][0] == "StreamReset"


def test_a_body_of_many_windows_comes_in_if_it_is_acknowledged():
    side = server_side()
    side.hear(peer.headers(1, POST))
    ours, stream = CONNECTION_WINDOW, STREAM_WINDOW
    octets = peer.data(1, bytes(1 << 19), pad=1)
    for _ in range(3 * CONNECTION_WINDOW // (1 << 19)):
        ((_, _, _, credit),) = side.hear(octets)
        assert credit == (1 << 19) + 2
        side.connection.acknowledge(1, credit)
        ours, stream = ours - credit, stream - credit
        for each in side.said():
            ours, stream = (
                (ours, stream + each.number) if each.stream_id else (ours + each.number, stream)
            )
        assert min(ours, stream) > 0


def test_bodies_of_the_largest_frames_that_we_announce_are_taken():
    side = server_side()
    side.hear(peer.headers(1, POST))
    assert side.hear(peer.data(1, A_MEBIBYTE, end=True)) == [
        ("BodyReceived", 1, A_MEBIBYTE, 1 << 20),
        ("StreamEnded", 1),
    ]
