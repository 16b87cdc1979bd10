"""Raw v4 channels: ports of a pod inside one WebSocket, as old clients speak it; sans-I/O.

Byte 0 of a message is its channel: port *i* has data on 2i and its error on 2i+1. The server first
sends the port on each, two bytes, little-endian. In the base64 variant the channel is a digit and
the rest is base64 (Kubernetes: k8s.io/apimachinery `httpstream/wsstream`, kubelet
`portforward/websocket.go`). There is no half-close.
"""

from __future__ import annotations

import base64
import binascii
from dataclasses import dataclass, field
from typing import NamedTuple
from urllib.parse import parse_qs, urlsplit

from kfwd_nb.errors import LimitError, RemoteProtocolError, UsageError

BINARY = "v4.channel.k8s.io"
BASE64 = "v4.base64.channel.k8s.io"

SUBPROTOCOLS = (BINARY, BASE64)
"""A client may offer none at all: then it speaks `BINARY`."""

MAX_PORTS = 39
"""Ports of one connection; the base64 variant has no characters for the channels of more."""

MAX_MESSAGE = 16 << 20
"""Octets of a message. golang.org/x/net/websocket takes 32 MiB."""

MAX_ERROR = 1 << 16
"""Octets of an error's text."""

_PREFIX = 2


class ChannelData(NamedTuple):
    """Bytes for the port that stands at `place` of the request's."""

    place: int
    data: memoryview


class ChannelError(NamedTuple):
    """More of the error text of that port."""

    place: int
    text: str


Event = ChannelData | ChannelError


def ports_of(path: str) -> list[int]:
    """The ports that a request's query asks for: `ports=` or `port=`, repeated or in a list.

    Raises:
        UsageError: there are none, or one is no port; in the kubelet's words.
        LimitError: there are more than `MAX_PORTS`.
    """
    query = parse_qs(urlsplit(path).query)
    words = [
        word
        for name in ("ports", "port")
        for text in query.get(name, ())
        for word in text.split(",")
    ]
    if not words:
        raise UsageError('query parameter "port" is required')
    if len(words) > MAX_PORTS:
        raise LimitError(f"{len(words)} ports in one request; at most {MAX_PORTS} are served.")
    for word in words:
        if not (word.isascii() and word.isdigit() and len(word) <= 5 and int(word) <= 0xFFFF):
            raise UsageError(f'unable to parse "{word[:100]}" as a port')
        if int(word) == 0:
            raise UsageError(f'port "{word}" must be > 0')
    return [int(word) for word in words]


def chosen_subprotocol(offered: list[str]) -> str | None:
    """What to agree on; "" where none was offered, None where nothing fits."""
    if not offered:
        return ""
    return next((name for name in offered if name in SUBPROTOCOLS), None)


@dataclass(slots=True)
class _Channel:
    """One direction of one channel, as we read it."""

    prefix_left: int
    prefix: bytearray = field(default_factory=bytearray)


class ChannelCodec:
    """Messages of one connection.

    Args:
        ports: in the order of the request.
        client: which role is ours.
        encoded: the base64 variant.
    """

    def __init__(self, ports: list[int], *, client: bool, encoded: bool) -> None:
        self.text = encoded
        self._ports = ports
        self._encoded = encoded
        self._gathered = bytearray()
        self._errors = [0] * len(ports)
        awaited = _PREFIX if client else 0
        self._channels = [_Channel(awaited) for _ in range(2 * len(ports))]

    # -- sending ----------------------------------------------------------------------------------

    def greeting(self) -> list[bytes]:
        """What a server sends first."""
        return [
            self.message(channel, self._ports[channel // 2].to_bytes(_PREFIX, "little"))
            for channel in range(2 * len(self._ports))
        ]

    def message(self, channel: int, data: bytes | memoryview) -> bytes:
        """A message on a channel."""
        if self._encoded:
            return bytes((ord("0") + channel,)) + base64.b64encode(data)
        return bytes((channel,)) + data

    def data_message(
        self, place: int, buffer: memoryview, start: int, end: int
    ) -> bytes | memoryview:
        """A message of `buffer[start:end]` for a port; the byte before `start` is overwritten."""
        if self._encoded:
            return self.message(2 * place, buffer[start:end])
        buffer[start - 1] = 2 * place
        return buffer[start - 1 : end]

    def error_message(self, place: int, text: str) -> bytes:
        """A message that tells why a port failed."""
        return self.message(2 * place + 1, text.encode()[:MAX_ERROR])

    # -- receiving --------------------------------------------------------------------------------

    def receive(self, data: bytes, *, last: bool) -> list[Event]:
        """Take a message, or a part of it.

        Raises:
            RemoteProtocolError: it is for no channel that there is, or it is no base64.
            LimitError: it exceeds `MAX_MESSAGE`, or an error text `MAX_ERROR`.
        """
        if not last or self._gathered:
            self._gathered += data
            if len(self._gathered) > MAX_MESSAGE:
                raise LimitError(f"a message exceeds {MAX_MESSAGE} octets.")
            if not last:
                return []
            data = bytes(self._gathered)
            self._gathered.clear()
        return self._whole(data)

    def _whole(self, data: bytes) -> list[Event]:
        if not data:
            return []  # a keep-alive of some clients
        number = data[0] - ord("0") if self._encoded else data[0]
        if not 0 <= number < len(self._channels):
            raise RemoteProtocolError(f"a message for channel {number}, which does not exist.")
        payload = self._decode(data) if self._encoded else memoryview(data)[1:]
        payload = self._without_prefix(number, payload)
        if not payload:
            return []
        place, is_error = divmod(number, 2)
        if not is_error:
            return [ChannelData(place, payload)]
        self._errors[place] += len(payload)
        if self._errors[place] > MAX_ERROR:
            raise LimitError(f"an error text exceeds {MAX_ERROR} octets.")
        return [ChannelError(place, bytes(payload).decode(errors="replace"))]

    @staticmethod
    def _decode(data: bytes) -> memoryview:
        try:
            return memoryview(base64.b64decode(data[1:], validate=True))
        except binascii.Error as error:
            raise RemoteProtocolError(f"a message is no base64: {error}.") from None

    def _without_prefix(self, number: int, payload: memoryview) -> memoryview:
        """Take the port off the beginning of a channel."""
        channel = self._channels[number]
        if not channel.prefix_left:
            return payload
        taken = payload[: channel.prefix_left]
        channel.prefix += taken
        channel.prefix_left -= len(taken)
        port = self._ports[number // 2]
        if not channel.prefix_left and int.from_bytes(channel.prefix, "little") != port:
            raise RemoteProtocolError(f"channel {number} is not that of port {port}.")
        return payload[len(taken) :]
