"""WebSocket frames against wsproto and `websockets`: the same, however the octets are cut."""

from __future__ import annotations

import contextlib
import random
import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st
from websockets.frames import Frame, Opcode
from websockets.protocol import OPEN, Protocol, Side
from websockets.utils import apply_mask as pure_apply_mask
from wsproto.connection import Connection, ConnectionType
from wsproto.events import BytesMessage, CloseConnection, Ping, Pong, TextMessage

from kfwd_nb.errors import LimitError, LostError, RemoteProtocolError, UsageError
from kfwd_nb.protocol import websocket_frames as frames
from kfwd_nb.protocol.websocket import (
    FIRST_PART,
    MAX_FRAME,
    ClientHandshake,
    WebSocketConnection,
    accept_fields,
    offered_subprotocols,
)

pytestmark = pytest.mark.pure

NAME = "SPDY/3.1+portforward.k8s.io"
ROLES = pytest.mark.parametrize("client", [True, False])


def other(client: bool) -> Connection:
    """wsproto in the other role than ours."""
    return Connection(ConnectionType.SERVER if client else ConnectionType.CLIENT)


def received(connection: WebSocketConnection, wire: bytes, sizes: list[int]) -> list[object]:
    """(text, octets) of each message, and how it ended, with the wire cut at these lengths."""
    found: list[object] = []
    gathered = bytearray()
    position = turn = 0
    while position < len(wire):
        size = sizes[turn % len(sizes)]
        turn += 1
        for piece in connection.receive(memoryview(wire)[position : position + size]):
            gathered += piece.data
            if piece.last:
                found.append((piece.text, bytes(gathered)))
                gathered.clear()
        position += size
    ending = connection.error and (type(connection.error), connection.error.what)
    return [*found, connection.ended, ending]


@ROLES
@given(
    messages=st.lists(st.tuples(st.binary(max_size=300), st.integers(1, 3)), max_size=8),
    sizes=st.lists(st.integers(1, 400), min_size=1, max_size=6),
)
def test_any_cutting_of_the_octets_gives_the_same_messages(client, messages, sizes):
    peer = other(client)
    wire = b""
    for data, parts in messages:
        step = max(1, -(-len(data) // parts))
        cut = [data[at : at + step] for at in range(0, len(data), step)] or [b""]
        for number, part in enumerate(cut, 1):
            wire += peer.send(BytesMessage(part, message_finished=number == len(cut)))
            wire += peer.send(Ping(b"between"))
    wire += peer.send(CloseConnection(1000))
    expected = [*((False, data) for data, _ in messages), True, None]
    assert received(WebSocketConnection(client=client), wire, sizes) == expected
    assert received(WebSocketConnection(client=client), wire, [1]) == expected
    assert received(WebSocketConnection(client=client), wire, [1 << 20]) == expected


@ROLES
@pytest.mark.parametrize("size", [0, 1, 125, 126, 16_377, 65_535, 65_536, 300_000])
def test_what_we_send_another_implementation_reads(client, size):
    data = random.Random(size).randbytes(size)
    ours, peer = WebSocketConnection(client=client), other(client)
    buffer = bytearray(data)
    peer.receive_data(b"".join(ours.message(memoryview(buffer))))
    peer.receive_data(b"".join(ours.message(b"words", text=True)))
    ours.close()
    assert not list(ours.message(b"too late"))
    peer.receive_data(ours.data_to_send())
    events = list(peer.events())
    gathered = b"".join(bytes(each.data) for each in events if isinstance(each, BytesMessage))
    assert gathered == data
    assert [each.data for each in events if isinstance(each, TextMessage)] == ["words"]
    assert isinstance(events[-1], CloseConnection)
    assert events[-1].code == 1000


@ROLES
@given(
    messages=st.lists(
        st.tuples(st.sampled_from([0, 1, 125, 126, 300, 65_535, 65_536, 70_000]), st.booleans()),
        max_size=5,
    ),
    sizes=st.lists(st.sampled_from([1, 2, 3, 7, 14, 1000, 40_000]), min_size=1, max_size=5),
)
def test_websockets_reads_what_we_send_and_sends_what_we_read(client, messages, sizes):
    """A peer of another family than wsproto, with lengths of each form."""
    ours = WebSocketConnection(client=client)
    theirs = Protocol(Side.SERVER if client else Side.CLIENT, state=OPEN)
    expected = []
    for length, text in messages:
        data = random.Random(length).randbytes(length)
        expected.append((text, data))
        theirs.receive_data(b"".join(ours.message(memoryview(bytearray(data)), text=text)))
        (theirs.send_text if text else theirs.send_binary)(data)
    got = [
        (event.opcode is Opcode.TEXT, bytes(event.data))
        for event in theirs.events_received()
        if isinstance(event, Frame)
    ]
    assert got == expected
    wire = b"".join(theirs.data_to_send())
    found = received(ours, wire, [*sizes, 100_000])
    assert found == [*expected, False, None]


@ROLES
@pytest.mark.parametrize("over", [0, 1, 5, 100_000])
def test_a_long_message_is_joined_to_its_head_no_further_than_one_tls_record(client, over):
    head = 8 if client else 4
    data = memoryview(bytearray(FIRST_PART - head + over))
    first, *rest = WebSocketConnection(client=client).message(data)
    assert len(first) == FIRST_PART
    assert sum(len(each) for each in rest) == over + (6 if len(data) > 65_535 else 0)
    assert all(len(each) % FIRST_PART == 0 for each in rest[:-1]), "as few records as can be"
    if not client:
        assert all(isinstance(each, memoryview) and each.obj is data.obj for each in rest)


@ROLES
def test_pings_and_closes_are_answered(client):
    ours, peer = WebSocketConnection(client=client), other(client)
    ours.receive(peer.send(Ping(b"p")) + peer.send(CloseConnection(1001, "moving")))
    peer.receive_data(ours.data_to_send())
    pong, close = peer.events()
    assert isinstance(pong, Pong)
    assert pong.payload == b"p"
    assert isinstance(close, CloseConnection)
    assert close.code == 1001
    assert ours.ended
    assert isinstance(ours.error, LostError)
    assert "1001 (moving)" in ours.error.what
    assert ours.receive(b"more") == []


def test_an_end_without_a_close_is_a_loss():
    ours = WebSocketConnection(client=True)
    ours.receive_eof()
    assert isinstance(ours.error, LostError)


def test_a_long_reason_is_cut_between_characters():
    ours, peer = WebSocketConnection(client=True), other(True)
    ours.close(1011, "ä" * 100)
    peer.receive_data(ours.data_to_send())
    (close,) = peer.events()
    assert isinstance(close, CloseConnection)
    assert close.reason == "ä" * 61


@pytest.mark.parametrize(
    ("wire", "kind"),
    [
        (b"\x82\x80" + bytes(4), RemoteProtocolError),  # a server's frame with a mask
        (b"\xc2\x00", RemoteProtocolError),  # a bit of an extension
        (b"\x83\x00", RemoteProtocolError),  # an opcode that does not exist
        (b"\x09\x00", RemoteProtocolError),  # a control frame in parts
        (b"\x89\x7e\x00\x7e" + bytes(126), RemoteProtocolError),  # a control frame too long
        (b"\x80\x00", RemoteProtocolError),  # a continuation of nothing
        (b"\x02\x00\x82\x00", RemoteProtocolError),  # a message inside a message
        (b"\x88\x01\x03", RemoteProtocolError),  # half a close code
        (b"\x88\x02\x03\xed", RemoteProtocolError),  # a close code that never is sent
        (b"\x82\x7f" + struct.pack("!Q", 1 << 62), LimitError),
        (b"\x82\x7f" + struct.pack("!Q", MAX_FRAME + 1), LimitError),
        (b"\x82\x7f" + struct.pack("!Q", 1 << 63), RemoteProtocolError),  # the top bit
        (b"\x82\x7e\x00\x7d" + bytes(125), RemoteProtocolError),  # a length too long a way
        (b"\x82\x7f" + struct.pack("!Q", 65_535), RemoteProtocolError),
        (b"\x8b\x00", RemoteProtocolError),  # a control opcode that does not exist
        (b"\x02\x00\x88\x00", RemoteProtocolError),  # a close inside a message
        (b"\x88\x04\x03\xe8\xff\xff", RemoteProtocolError),  # a reason that is no UTF-8
    ],
)
def test_hostile_frames(wire, kind):
    for sizes in ([1], [len(wire)]):
        ours = WebSocketConnection(client=True)
        outcome = received(ours, wire, sizes)
        assert outcome[-2] is True
        assert isinstance(ours.error, kind)
        assert ours.data_to_send()[0] == 0x88, "the peer is told"
        assert not list(ours.message(b"more"))


@pytest.mark.parametrize(
    ("wire", "code"),
    [
        (b"\xc2\x00", 1002),
        (b"\x88\x04\x03\xe8\xff\xff", 1007),
        (b"\x82\x7f" + struct.pack("!Q", 1 << 62), 1009),
    ],
)
def test_the_code_that_a_hostile_server_is_told(wire, code):
    ours, peer = WebSocketConnection(client=True), other(True)
    ours.receive(wire)
    peer.receive_data(ours.data_to_send())
    (close,) = peer.events()
    assert isinstance(close, CloseConnection)
    assert close.code == code


@pytest.mark.parametrize(
    "head", [b"\x82\x01", b"\x89\x00", b"\x82\x7e\x01\x00", b"\x88\x02\x03\xe8"]
)
def test_a_client_whose_frame_has_no_mask(head):
    ours = WebSocketConnection(client=False)
    assert ours.receive(head + bytes(256)) == []
    assert isinstance(ours.error, RemoteProtocolError)


@ROLES
def test_what_comes_after_a_close_is_ignored_however_it_is_cut(client):
    first, later = other(client), other(client)
    wire = first.send(CloseConnection(1000)) + later.send(BytesMessage(b"x")) + b"\xff\xff"
    for sizes in ([1], [100]):
        ours = WebSocketConnection(client=client)
        assert received(ours, wire, sizes) == [True, None]


def test_our_own_close_is_answered_once():
    ours, peer = WebSocketConnection(client=True), other(True)
    ours.close()
    peer.receive_data(ours.data_to_send())
    (asked,) = peer.events()
    assert isinstance(asked, CloseConnection)
    ours.receive(peer.send(asked.response()))
    assert ours.ended
    assert ours.error is None
    assert ours.data_to_send() == b""


def test_masks_without_the_c_of_a_wheel():
    data, key = random.Random(1).randbytes(1001), b"\x01\x82\x03\x84"
    assert frames.apply_mask(memoryview(data), key) == pure_apply_mask(data, key)
    cut = frames.apply_mask(data[:7], key) + frames.apply_mask(data[7:], frames.turned(key, 7))
    assert cut == pure_apply_mask(data, key)


@ROLES
@given(wire=st.binary(max_size=200), sizes=st.lists(st.integers(1, 50), min_size=1, max_size=4))
def test_noise_gives_the_same_however_it_is_cut(client, wire, sizes):
    whole = received(WebSocketConnection(client=client), wire, [1 << 20])
    assert received(WebSocketConnection(client=client), wire, sizes) == whole


# -- openings -------------------------------------------------------------------------------------


def test_an_opening_is_agreed_on_with_a_name_that_is_no_token():
    handshake = ClientHandshake([NAME, "x"])
    fields = handshake.fields()
    assert offered_subprotocols(fields) == [NAME, "x"]
    answer = accept_fields("GET", {"host": "h", **fields}, NAME)
    assert handshake.finish(answer) == NAME


@pytest.mark.parametrize(
    "change",
    [
        {"sec-websocket-protocol": "y"},
        {"sec-websocket-protocol": f"{NAME}, x"},
        {"sec-websocket-protocol": ""},
        {"sec-websocket-accept": "x"},
        {"sec-websocket-extensions": "permessage-deflate"},
        {"upgrade": "h2c"},
    ],
)
def test_an_answer_that_agrees_to_something_else(change):
    handshake = ClientHandshake([NAME, "x"])
    answer = accept_fields("GET", {"host": "h", **handshake.fields()}, NAME)
    with pytest.raises(RemoteProtocolError):
        handshake.finish(answer | change)


@pytest.mark.parametrize("method", ["POST", "PUT"])
def test_an_opening_by_another_method(method):
    with pytest.raises(UsageError):
        accept_fields(method, ClientHandshake([]).fields(), "")


@given(st.dictionaries(st.sampled_from(["connection", "upgrade", "sec-websocket-key"]), st.text()))
def test_an_opening_that_is_nonsense_is_a_typed_error(change):
    fields = {"host": "h", "user-agent": "\xe9\u0100", **ClientHandshake([]).fields()}
    accept_fields("GET", fields, "")
    with contextlib.suppress(UsageError):
        accept_fields("GET", fields | change, "")
