"""Raw v4 channels, message by message."""

from __future__ import annotations

import base64
import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kfwd_nb.errors import KfwdError, LimitError, RemoteProtocolError, UsageError
from kfwd_nb.protocol import channels
from kfwd_nb.protocol.channels import (
    BASE64,
    BINARY,
    ChannelCodec,
    ChannelData,
    ChannelError,
    chosen_subprotocol,
    ports_of,
)

pytestmark = pytest.mark.pure


@pytest.mark.parametrize(
    ("query", "ports"),
    [
        ("?ports=80", [80]),
        ("?ports=80&ports=443", [80, 443]),
        ("?ports=80,443", [80, 443]),
        ("?ports=80%2C443&ports=9", [80, 443, 9]),
        ("?port=65535", [65535]),
        ("?pretty=1&port=1,1", [1, 1]),
    ],
)
def test_ports(query, ports):
    assert ports_of("/x" + query) == ports


@pytest.mark.parametrize(
    "query", ["", "?ports=", "?ports=a", "?ports=0", "?ports=-1", "?ports=65536", "?ports=1,,2"]
)
def test_no_ports(query):
    with pytest.raises(UsageError):
        ports_of("/x" + query)


def test_too_many_ports():
    with pytest.raises(LimitError):
        ports_of("/x?ports=" + ",".join(["1"] * (channels.MAX_PORTS + 1)))


@pytest.mark.parametrize(
    ("offered", "chosen"),
    [([], ""), ([BASE64, BINARY], BASE64), (["x", BINARY], BINARY), (["x"], None)],
)
def test_subprotocols(offered, chosen):
    assert chosen_subprotocol(offered) == chosen


@pytest.mark.parametrize(
    ("encoded", "greeting"),
    [
        (False, [b"\x00\x50\x00", b"\x01\x50\x00", b"\x02\xbb\x01", b"\x03\xbb\x01"]),
        (True, [b"0UAA=", b"1UAA=", b"2uwE=", b"3uwE="]),
    ],
)
def test_a_server_says_which_channel_is_whose(encoded, greeting):
    server = ChannelCodec([80, 443], client=False, encoded=encoded)
    assert server.greeting() == greeting
    client = ChannelCodec([80, 443], client=True, encoded=encoded)
    assert [client.receive(each, last=True) for each in greeting] == [[]] * 4


def test_a_greeting_and_bytes_may_share_a_message_or_be_cut():
    client = ChannelCodec([80], client=True, encoded=False)
    assert client.receive(b"\x00\x50\x00abc", last=True) == [ChannelData(0, memoryview(b"abc"))]
    assert client.receive(b"\x01\x50", last=True) == []
    assert client.receive(b"\x01\x00oops", last=True) == [ChannelError(0, "oops")]


@pytest.mark.parametrize(
    ("encoded", "message"),
    [
        (False, b"\x00\x51\x00"),
        (False, b"\x02\x50\x00"),
        (True, b"2UAA="),
        (True, b"/UAA="),
        (True, b"0U*A="),
        (True, b"0UAA"),
    ],
)
def test_messages_that_make_no_sense(encoded, message):
    client = ChannelCodec([80], client=True, encoded=encoded)
    with pytest.raises(RemoteProtocolError):
        client.receive(message, last=True)


def test_limits(monkeypatch):
    monkeypatch.setattr(channels, "MAX_MESSAGE", 10)
    monkeypatch.setattr(channels, "MAX_ERROR", 10)
    server = ChannelCodec([80], client=False, encoded=False)
    with pytest.raises(LimitError):
        for _ in range(3):
            server.receive(b"\x0012345", last=False)
    client = ChannelCodec([80], client=True, encoded=False)
    with pytest.raises(LimitError):
        client.receive(b"\x01\x50\x00" + b"x" * 11, last=True)
    assert len(server.error_message(0, "x" * 100)) == 11


@given(
    st.lists(st.tuples(st.integers(0, 2), st.binary(min_size=1, max_size=50)), max_size=20),
    st.booleans(),
    st.randoms(),
)
def test_what_one_side_sends_the_other_gets_however_messages_are_cut(sent, encoded, random):
    ports = [80, 443, 9]
    server = ChannelCodec(ports, client=False, encoded=encoded)
    client = ChannelCodec(ports, client=True, encoded=encoded)
    got: dict[int, bytes] = {}
    messages = server.greeting()
    for place, data in sent:
        buffer = memoryview(bytearray(9) + data)
        messages.append(bytes(server.data_message(place, buffer, 9, len(buffer))))
    for message in messages:
        cuts = sorted(random.sample(range(len(message)), min(2, len(message) - 1)))
        pieces = [message[a:b] for a, b in zip([0, *cuts], [*cuts, len(message)], strict=True)]
        for number, piece in enumerate(pieces, 1):
            for event in client.receive(piece, last=number == len(pieces)):
                assert isinstance(event, ChannelData)
                got[event.place] = got.get(event.place, b"") + bytes(event.data)
    wanted: dict[int, bytes] = {}
    for place, data in sent:
        wanted[place] = wanted.get(place, b"") + data
    assert got == wanted


@given(st.binary(max_size=40), st.booleans(), st.booleans(), st.booleans())
def test_noise_is_a_typed_error_or_nothing(data, client, encoded, last):
    codec = ChannelCodec([80, 443], client=client, encoded=encoded)
    with contextlib.suppress(KfwdError):
        codec.receive(data, last=last)


def test_base64_is_the_standard_alphabet():
    codec = ChannelCodec([80], client=False, encoded=True)
    assert codec.message(0, b"\xff\xfe\xfd") == b"0" + base64.b64encode(b"\xff\xfe\xfd")
