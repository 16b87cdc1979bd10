"""WebSocket connections (RFC 6455), sans-I/O; either role.

`websockets` does the handshake and the masks (in C). Frames have their own code, for `websockets`
makes generator steps and objects of each. Both sides together, a round of three small messages each
way took 50 µs of processor time by its frames and takes 32 so (4 without a WebSocket); 256 KiB
messages over TLS between two processes went up with 580 to 650 MB/s and go with 870 to 940 (1,140
to 1,190 without a WebSocket), and down with 880 to 890 (1,020 to 1,060).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from websockets.client import ClientProtocol
from websockets.datastructures import Headers
from websockets.exceptions import InvalidHandshake, ProtocolError
from websockets.frames import Close, CloseCode
from websockets.http11 import Request, Response
from websockets.server import ServerProtocol
from websockets.uri import parse_uri

from kfwd_nb.errors import KfwdError, LimitError, LostError, RemoteProtocolError, UsageError
from kfwd_nb.protocol import websocket_frames as frames
from kfwd_nb.protocol.websocket_splitter import Control, Piece, WebSocketSplitter

__all__ = [
    "ClientHandshake",
    "Piece",
    "WebSocketConnection",
    "accept_fields",
    "offered_subprotocols",
]

MAX_FRAME = 16 << 20
"""Octets of one frame. Go's peers send 32 KiB; golang.org/x/net/websocket takes 32 MiB."""

FIRST_PART = 1 << 14
"""Octets of a frame up to which head and payload are joined. It is the size of a TLS record, so
that a long message is copied no further than that, and takes no record more."""

MASKED_PART = 1 << 16
"""Octets that are masked at a time, a multiple of a mask and of a TLS record: they are encrypted
while the processor has them at hand (some 5 % of an upload)."""

_SUBPROTOCOL = "sec-websocket-protocol"
"""Not for the library: Kubernetes' name for its tunnel has a slash, and so is no token."""

_CLEAN = (CloseCode.NORMAL_CLOSURE, CloseCode.NO_STATUS_RCVD)


class ClientHandshake:
    """The client's side of the opening (RFC 6455 §4.1).

    Args:
        subprotocols: to offer, the best first; none offers none.
    """

    def __init__(self, subprotocols: Sequence[str]) -> None:
        self._protocol = ClientProtocol(parse_uri("ws://any/"))
        self._offered = list(subprotocols)

    def fields(self) -> dict[str, str]:
        """The request's fields but for `host`, names lowercase."""
        fields = {name.lower(): value for name, value in self._protocol.connect().headers.items()}
        del fields["host"]
        if self._offered:
            fields[_SUBPROTOCOL] = ", ".join(self._offered)
        return fields

    def finish(self, fields: Mapping[str, str]) -> str:
        """Check the fields of a 101; the subprotocol that was agreed on, "" for none.

        Raises:
            RemoteProtocolError: it agrees to something else, or to no subprotocol that was offered.
        """
        try:
            self._protocol.process_response(Response(101, "", _for_the_library(fields)))
        except InvalidHandshake as error:
            raise RemoteProtocolError(f"the server's WebSocket handshake fails: {error}.") from None
        agreed = fields.get(_SUBPROTOCOL, "").strip()
        if agreed not in (self._offered or [""]):
            words = f"to {agreed[:100]!r}" if agreed else "to none"
            raise RemoteProtocolError(f"the server agrees {words} of the WebSocket subprotocols.")
        return agreed


def accept_fields(method: str, fields: Mapping[str, str], subprotocol: str) -> dict[str, str]:
    """Check a client's opening; the fields of the 101 that agrees (RFC 6455 §4.2).

    Args:
        method: of the request.
        fields: of the request, by lowercase name.
        subprotocol: the one that is chosen of those offered; "" for none.

    Raises:
        UsageError: it is no proper opening.
    """
    if method != "GET":
        raise UsageError(f"a WebSocket begins with GET, not {method[:20]}.")
    protocol = ServerProtocol()
    try:
        answer = protocol.accept(Request("/", _for_the_library(fields)))
    except InvalidHandshake as error:
        raise UsageError(f"no WebSocket: {error}.") from None
    if answer.status_code != 101:
        raise UsageError(f"no WebSocket: {protocol.handshake_exc}.")
    agreed = {name.lower(): value for name, value in answer.headers.items()}
    del agreed["date"]
    return agreed | ({_SUBPROTOCOL: subprotocol} if subprotocol else {})


def _for_the_library(fields: Mapping[str, str]) -> Headers:
    """The fields of an opening; a browser's or a proxy's other ones are not judged."""
    names = ("connection", "upgrade", "host")
    return Headers(
        {
            name: value
            for name, value in fields.items()
            if name in names or (name.startswith("sec-websocket-") and name != _SUBPROTOCOL)
        }
    )


def offered_subprotocols(fields: Mapping[str, str]) -> list[str]:
    """What a client's `Sec-WebSocket-Protocol` offers, in its order (RFC 6455 §11.3.4)."""
    names = fields.get(_SUBPROTOCOL, "").split(",")
    return [name.strip() for name in names if name.strip()]


class WebSocketConnection:
    """Frames of an opened connection.

    Attributes:
        ended: nothing more is received; the close is agreed on, or failed.
        error: why it ended, None after a close with code 1000 or without a code.
    """

    def __init__(self, *, client: bool) -> None:
        self.ended = False
        self.error: KfwdError | None = None
        self._client = client
        self._closing = False  # a close frame is sent
        self._splitter = WebSocketSplitter(masked=not client, max_frame=MAX_FRAME)
        self._out: list[bytes] = []

    # -- receiving --------------------------------------------------------------------------------

    def receive(self, data: bytes | bytearray | memoryview) -> list[Piece]:
        """Take octets of the peer; the payload in them.

        `ended` may be set after this, and there may be something to send.
        """
        pieces: list[Piece] = []
        if self.ended:
            return pieces
        found: list[Piece | Control] = []
        wrong: KfwdError | None = None
        try:
            self._splitter.split(memoryview(data), found)
        except KfwdError as error:
            wrong = error
        for part in found:
            if isinstance(part, Piece):
                pieces.append(part)
            elif part.opcode == frames.PING:
                self._add(frames.PONG, part.data)
            elif part.opcode == frames.CLOSE:
                self._close_came(part.data)
        if wrong is not None:
            too_big = isinstance(wrong, LimitError)
            self._fail(wrong, CloseCode.MESSAGE_TOO_BIG if too_big else CloseCode.PROTOCOL_ERROR)
        return pieces

    def receive_eof(self) -> None:
        """The connection under it has ended."""
        self._end(LostError("the connection was closed without a word."))

    def _close_came(self, data: bytes) -> None:
        try:
            close = Close.parse(data)
        except UnicodeDecodeError:
            error = RemoteProtocolError("no WebSocket: the reason of a close is no UTF-8.")
            self._fail(error, CloseCode.INVALID_DATA)
            return
        except ProtocolError as wrong:
            error = RemoteProtocolError(f"no WebSocket: {wrong}.")
            self._fail(error, CloseCode.PROTOCOL_ERROR)
            return
        self._send_close(data)
        words = f" ({close.reason})" if close.reason else ""
        lost = LostError(f"the peer closed the WebSocket with code {close.code}{words}.")
        self._end(None if close.code in _CLEAN else lost)

    def _fail(self, error: KfwdError, code: CloseCode) -> None:
        self.close(code, error.what)
        self._end(error)

    def _end(self, error: KfwdError | None) -> None:
        if not self.ended:
            self.ended = True
            self.error = error

    # -- sending ----------------------------------------------------------------------------------

    def message(
        self, data: bytes | bytearray | memoryview, *, text: bool = False
    ) -> Iterator[bytes | memoryview]:
        """What to write for a message, after `data_to_send`: nothing, once the close has begun.

        It comes as one part, or as one of `FIRST_PART` octets and the rest; without a mask the rest
        is a view of `data`.
        """
        if self._closing:
            return
        opcode = frames.TEXT if text else frames.BINARY
        key = frames.new_key() if self._client else b""
        head = frames.head(opcode, len(data), key)
        count = FIRST_PART - len(head)
        if len(data) <= count:
            yield head + (frames.apply_mask(data, key) if key else data)
            return
        view = memoryview(data)
        if not key:
            yield head + view[:count]
            yield view[count:]
            return
        yield head + frames.apply_mask(view[:count], key)
        key = frames.turned(key, count)
        for start in range(count, len(view), MASKED_PART):
            yield frames.apply_mask(view[start : start + MASKED_PART], key)

    def close(self, code: int = CloseCode.NORMAL_CLOSURE, reason: str = "") -> None:
        """Begin the close; what still comes is for nobody."""
        self._send_close(Close(code, _cut(reason)).serialize())

    def data_to_send(self) -> bytes:
        """The control frames that wait, once."""
        out = b"".join(self._out)
        self._out.clear()
        return out

    def _send_close(self, data: bytes) -> None:
        if not self._closing:
            self._closing = True
            self._add(frames.CLOSE, data)

    def _add(self, opcode: int, data: bytes) -> None:
        self._out.append(frames.frame(opcode, data, frames.new_key() if self._client else b""))


def _cut(reason: str) -> str:
    """A close frame holds 123 octets of reason (RFC 6455 §5.5)."""
    return reason.encode()[:123].decode(errors="ignore")
