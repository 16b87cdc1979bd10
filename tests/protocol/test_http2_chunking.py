"""The same bytes, whole, byte by byte and in any pieces, give the same events."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from peers import http2 as peer
from peers.http2 import CONNECT, GET, NOT_FOUND, OK, POST

from kfwd_nb.protocol.http2 import DataReceived
from kfwd_nb.transport.stream import HEADROOM

pytestmark = pytest.mark.pure


def told_to_a_server() -> tuple[peer.Side, bytes]:
    fields = [*CONNECT, ("x", "y" * 200)]
    return peer.Side(client=False), (
        peer.PREFACE
        + peer.settings({peer.INITIAL_WINDOW_SIZE: 10, peer.MAX_FRAME_SIZE: 20_000})
        + peer.headers(1, CONNECT)
        + peer.data(1, b"first ")
        + peer.data(1, b"second ", pad=3)
        + peer.data(1)
        + peer.data(1, b"", pad=0)
        + peer.window_update(0, 70_000)
        + peer.headers(3, POST)
        + peer.data(3, b"a body", pad=2)
        + peer.data(1, b"third")
        + peer.window_update(1, 5)
        + peer.settings({peer.INITIAL_WINDOW_SIZE: 30})
        + peer.frame(peer.HEADERS, 0, 5, peer.block(fields)[:50])
        + peer.frame(peer.CONTINUATION, 0, 5, peer.block(fields)[50:60])
        + peer.frame(peer.CONTINUATION, peer.END_HEADERS, 5, peer.block(fields)[60:])
        + peer.data(5, b"x" * 3000)
        + peer.frame(peer.PING, 0, 0, b"12345678")
        + peer.data(1, b" and last", end=True)
        + peer.data(5, end=True)
        + peer.data(3, b" of two parts", end=True)
        + peer.rst_stream(5, 10)
        + peer.data(5, b"after its own reset")
        + peer.goaway(5, 0, b"good bye")
        + peer.data(1, b"nobody listens")
    )


def told_to_a_client() -> tuple[peer.Side, bytes]:
    side = peer.Side(client=True)
    for headers in (CONNECT, CONNECT, CONNECT):
        side.connection.open(headers)
    side.connection.open(GET, end=True)
    return side, (
        peer.settings({peer.INITIAL_WINDOW_SIZE: 1 << 20})
        + peer.settings(ack=True)
        + peer.headers(1, OK)
        + peer.headers(3, NOT_FOUND)
        + peer.data(3, b"no such pod", end=True)
        + peer.data(1, b"payload" * 100)
        + peer.rst_stream(5, 10)
        + peer.headers(7, [(":status", "103")])
        + peer.headers(7, OK)
        + peer.data(7, b"body", pad=100)
        + peer.window_update(1, 1)
        + peer.data(1, b"x" * 70, pad=255, end=True)
        + peer.headers(7, [("trailer", "1")], end=True)
        + peer.frame(peer.PING, peer.ACK, 0, b"87654321")
    )


Conversation = Callable[[], tuple[peer.Side, bytes]]
both = pytest.mark.parametrize("conversation", [told_to_a_server, told_to_a_client])


def test_the_conversations_are_what_they_seem():
    """Guards the tests below: every kind of event happens, to the end of the bytes."""
    happened = [event for make in (told_to_a_server, told_to_a_client) for event in whole(make)]
    assert {event[0] for event in happened} == {
        "RequestReceived",
        "ResponseReceived",
        "Data",
        "BodyReceived",
        "StreamEnded",
        "StreamReset",
        "WindowOpened",
        "PingAcknowledged",
        "ConnectionTerminated",
    }
    payload = b"".join(event[2] for event in whole(told_to_a_server) if event[:2] == ("Data", 1))
    assert payload == b"first second third and last"


def whole(conversation: Conversation) -> list[tuple]:
    side, octets = conversation()
    return side.hear(octets)


@both
def test_byte_by_byte(conversation: Conversation):
    side, octets = conversation()
    assert side.hear(octets, [1] * len(octets)) == whole(conversation)


@both
@settings(max_examples=60)
@given(data=st.data())
def test_in_any_pieces(conversation: Conversation, data: st.DataObject):
    side, octets = conversation()
    pieces = data.draw(st.lists(st.integers(1, 60) | st.integers(1, len(octets)), max_size=120))
    assert side.hear(octets, pieces) == whole(conversation)


@both
@pytest.mark.parametrize("length", range(2, 24))
def test_in_equal_pieces(conversation: Conversation, length: int):
    side, octets = conversation()
    assert side.hear(octets, [length] * (len(octets) // length)) == whole(conversation)


@settings(max_examples=50)
@given(
    st.lists(st.tuples(st.integers(1, 40), st.none() | st.integers(0, 20)), max_size=20),
    st.integers(0, 12),
)
def test_a_chunk_and_its_headroom_touch_no_other_chunk(shapes, lead):
    """What a receiver may write before its chunk is never another chunk's payload."""
    side = peer.server_side()
    side.hear(peer.headers(1, CONNECT))
    octets = peer.data(1, b"." * 12) + b"".join(
        peer.data(1, b"." * length, pad=pad) for length, pad in shapes
    )
    side.hear(octets[:lead])  # the buffer may begin in the middle of a frame or of its header
    buffer = memoryview(bytearray(HEADROOM) + octets[lead:])
    free = 0
    for event in side.connection.receive(buffer, HEADROOM, len(buffer)):
        assert isinstance(event, DataReceived)
        assert event.start - HEADROOM >= free
        free = event.end
