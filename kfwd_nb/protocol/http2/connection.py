"""One HTTP/2 connection, either role, sans-I/O: bytes in, events out, bytes to send."""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterable
from typing import Any

import h2.events
from h2.config import H2Configuration
from h2.connection import H2Connection
from h2.errors import ErrorCodes
from h2.exceptions import ProtocolError as H2ProtocolError
from h2.settings import SettingCodes, Settings

from kfwd_nb.errors import LocalProtocolError, RemoteProtocolError
from kfwd_nb.protocol.http2 import frames
from kfwd_nb.protocol.http2.events import (
    BodyReceived,
    ConnectionTerminated,
    DataReceived,
    Event,
    GoingAway,
    Headers,
    PingAcknowledged,
    RequestReceived,
    ResponseReceived,
    StreamEnded,
    StreamReset,
    WindowOpened,
)
from kfwd_nb.protocol.http2.splitter import MAX_FRAME_SIZE, FrameSplitter
from kfwd_nb.protocol.http2.windows import (
    CONNECTION_GRANT,
    CONNECTION_WINDOW,
    DEFAULT_WINDOW,
    LARGE_WINDOW,
    STREAM_WINDOW,
    ReceiveWindow,
    SendWindow,
)

MAX_STREAMS = 16_384
"""Streams that a peer may have open with us at once; h2's default is 100."""

MAX_HEADER_LIST = 1 << 16
"""Octets of one header section, as RFC 9113 §6.5.2 counts them."""

CLIENT_PREFACE_LENGTH = 24
"""Octets that a client sends before its first frame (RFC 9113 §3.4)."""


RECOUNT = 256
"""Streams that are opened between two counts of all streams."""


class _H2(H2Connection):
    """`h2` walks all its streams whenever one is opened, milliseconds where thousands are held.

    Here it does so once in `RECOUNT` times, and whenever the peer's or our own limit may be near;
    in between, every stream opened since counts as open still.
    """

    def __init__(self, config: H2Configuration) -> None:
        super().__init__(config)
        self._counted = {0: (0, RECOUNT), 1: (0, RECOUNT)}  # open then, opened since

    def _open_streams(self, remainder: int) -> int:
        open_then, since = self._counted[remainder]
        ours = bool(remainder) == self.config.client_side
        limit = (self.remote_settings if ours else self.local_settings).max_concurrent_streams
        if since >= RECOUNT or open_then + since >= limit:
            open_then, since = super()._open_streams(remainder), 0
        self._counted[remainder] = open_then, since + 1
        return open_then + since


class _Stream:
    """The two windows of a stream, and whether its DATA takes the short road."""

    __slots__ = ("connects", "local_ended", "receive", "remote_ended", "send", "tunnel", "unread")

    def __init__(self, send: int, *, connects: bool, tunnel: bool) -> None:
        self.send = SendWindow(send)
        self.receive = ReceiveWindow(
            STREAM_WINDOW, STREAM_WINDOW // 2, grows=LARGE_WINDOW - STREAM_WINDOW
        )
        self.connects = connects
        self.tunnel = tunnel
        self.unread = 0  # credit of body pieces that nobody has acknowledged yet
        self.local_ended = False
        self.remote_ended = False


class Http2Connection:
    """The state of one connection.

    Args:
        client: True for the side that opened the connection.

    Every method that changes something may leave bytes in `data_to_send`; the driver sends them in
    order, and always before a DATA frame made by `frame`.
    """

    def __init__(self, *, client: bool) -> None:
        self._client = client
        self._h2 = _H2(H2Configuration(client_side=client))
        settings = {
            SettingCodes.INITIAL_WINDOW_SIZE: STREAM_WINDOW,
            SettingCodes.MAX_FRAME_SIZE: MAX_FRAME_SIZE,
            SettingCodes.MAX_CONCURRENT_STREAMS: MAX_STREAMS,
            SettingCodes.MAX_HEADER_LIST_SIZE: MAX_HEADER_LIST,
        }
        if client:
            settings[SettingCodes.ENABLE_PUSH] = 0
        self._h2.local_settings = Settings(client=client, initial_values=settings)
        self._h2.max_inbound_frame_size = MAX_FRAME_SIZE
        self._h2.decoder.max_header_list_size = MAX_HEADER_LIST
        self._h2.initiate_connection()
        self._h2.increment_flow_control_window(CONNECTION_WINDOW - DEFAULT_WINDOW)
        self._out = bytearray()  # our own WINDOW_UPDATE frames
        self._streams: dict[int, _Stream] = {}
        self._send = SendWindow()
        self._receive = ReceiveWindow(CONNECTION_WINDOW, CONNECTION_GRANT)
        self._peer_window = DEFAULT_WINDOW
        self._translations: dict[type[h2.events.Event], Callable[[Any, list[Event]], None]] = {
            h2.events.RequestReceived: self._request,
            h2.events.ResponseReceived: self._response,
            h2.events.DataReceived: self._body,
            h2.events.StreamEnded: self._ended,
            h2.events.StreamReset: self._was_reset,
            h2.events.RemoteSettingsChanged: self._settings,
            h2.events.PingAckReceived: self._pong,
            h2.events.ConnectionTerminated: self._goaway,
        }
        self._splitter = FrameSplitter(self, preface=0 if client else CLIENT_PREFACE_LENGTH)
        self._over = False  # GOAWAY was sent, or received with an error
        self._peer_leaves = False  # GOAWAY was received without one

    # -- bytes in ---------------------------------------------------------------------------------

    def receive(self, buffer: memoryview, start: int, end: int) -> list[Event]:
        """Take `buffer[start:end]` as it came from the peer.

        Any chunking of the same bytes gives the same events, but that DATA comes in other pieces.
        What comes after a GOAWAY is ignored.

        Raises:
            RemoteProtocolError: the connection is beyond repair; `data_to_send` holds a GOAWAY.
        """
        events: list[Event] = []
        self._splitter.split(buffer, start, end, events)
        return events

    # -- protocol.http2.splitter.FrameOwner -------------------------------------------------------

    def on_short_road(self, stream_id: int) -> bool:
        """DATA of this stream is payload, and may come."""
        stream = self._streams.get(stream_id)
        return stream is not None and stream.tunnel and not stream.remote_ended

    def payload(self, piece: DataReceived, events: list[Event]) -> None:
        """A piece of a DATA frame on the short road has come."""
        if piece.stream_id in self._streams:
            events.append(piece)

    def payload_ended(self, stream_id: int, events: list[Event]) -> None:
        """A DATA frame with END_STREAM is complete: `h2` has to know."""
        if stream_id in self._streams:
            self.frame_received(frames.end_of_stream(stream_id), events)

    def padding(self, stream_id: int, count: int) -> None:
        """Padding counts in the windows (RFC 9113 §6.1); nobody reads it, so grant it again."""
        self.delivered(stream_id, count)

    def payload_begins(self, stream_id: int, length: int, events: list[Event]) -> None:
        """A DATA frame on the short road: charge both windows, renew the connection's at once."""
        try:
            self._receive.consume(length)
        except RemoteProtocolError as error:
            raise self.fail(error.what, ErrorCodes.FLOW_CONTROL_ERROR) from None
        self._announce(0, self._receive.release(length))
        stream = self._streams.get(stream_id)
        if stream is None:
            return
        try:
            stream.receive.consume(length)
        except RemoteProtocolError:
            self.reset(stream_id, ErrorCodes.FLOW_CONTROL_ERROR)
            events.append(StreamReset(stream_id, ErrorCodes.FLOW_CONTROL_ERROR))

    def window_updated(self, frame: bytes, events: list[Event]) -> bool:
        """Take a WINDOW_UPDATE of a stream of ours; all others are for `h2` to judge."""
        length, _, _, stream_id = frames.unpack_header(frame, 0)
        stream = self._streams.get(stream_id)
        if length != 4 or (stream_id and stream is None):
            return False
        increment = int.from_bytes(frame[frames.HEADER_LENGTH :], "big") & 0x7FFF_FFFF
        window = self._send if stream is None else stream.send
        try:
            if increment == 0:
                raise RemoteProtocolError("a window grows by 0.", code=ErrorCodes.PROTOCOL_ERROR)
            window.widen(increment)
        except RemoteProtocolError as error:
            code = ErrorCodes(error.code or ErrorCodes.PROTOCOL_ERROR)
            if not stream_id:
                raise self.fail(error.what, code) from None
            self.reset(stream_id, code)
            events.append(StreamReset(stream_id, code))
        else:
            events.append(WindowOpened(stream_id))
        return True

    def going_away(self, frame: bytes, events: list[Event]) -> bool:
        """A server that only says goodbye: `h2` would refuse all that still comes for us."""
        if not self._client or len(frame) < frames.HEADER_LENGTH + 8:
            return False
        last, code = struct.unpack_from(">II", frame, frames.HEADER_LENGTH)
        if code != ErrorCodes.NO_ERROR:
            return False
        self._peer_leaves = True
        events.append(GoingAway(last & 0x7FFF_FFFF))
        return True

    # -- h2 and its events ------------------------------------------------------------------------

    def frame_received(self, data: bytes, events: list[Event]) -> None:
        """Whole bytes for `h2`: a frame, or a part of the client's preface."""
        try:
            happened = self._h2.receive_data(data)
        except H2ProtocolError as error:
            code = getattr(error, "error_code", ErrorCodes.PROTOCOL_ERROR)
            self._end()
            raise RemoteProtocolError(
                f"the peer breaks HTTP/2: {str(error) or type(error).__name__}", code=int(code)
            ) from None
        for event in happened:
            translate = self._translations.get(type(event))
            if translate is not None:
                translate(event, events)

    def _request(self, event: h2.events.RequestReceived, events: list[Event]) -> None:
        if self._client:
            raise self.fail("a server sends a request.", ErrorCodes.PROTOCOL_ERROR)
        headers = _decoded(event.headers)
        connects = (":method", "CONNECT") in headers
        stream = _Stream(self._peer_window, connects=connects, tunnel=connects)
        self._streams[event.stream_id] = stream
        events.append(RequestReceived(event.stream_id, headers))

    def _response(self, event: h2.events.ResponseReceived, events: list[Event]) -> None:
        headers = _decoded(event.headers)
        stream = self._streams.get(event.stream_id)
        if stream is not None:
            # A refusal may carry a body, which is no payload.
            stream.tunnel = stream.connects and _successful(headers)
        events.append(ResponseReceived(event.stream_id, headers))

    def _body(self, event: h2.events.DataReceived, events: list[Event]) -> None:
        credit = event.flow_controlled_length or 0
        data = event.data or b""
        stream = self._streams.get(event.stream_id)
        if data or credit:
            if stream is None:
                self._h2.acknowledge_received_data(credit, event.stream_id)
            else:
                stream.unread += credit
                events.append(BodyReceived(event.stream_id, data, credit))

    def _ended(self, event: h2.events.StreamEnded, events: list[Event]) -> None:
        stream = self._streams.get(event.stream_id)
        if stream is None:
            return
        stream.remote_ended = True
        events.append(StreamEnded(event.stream_id))
        self._forget_if_over(event.stream_id, stream)

    def _was_reset(self, event: h2.events.StreamReset, events: list[Event]) -> None:
        if self._forget(event.stream_id):
            events.append(StreamReset(event.stream_id, int(event.error_code or 0)))

    def _settings(self, event: h2.events.RemoteSettingsChanged, events: list[Event]) -> None:
        change = event.changed_settings.get(SettingCodes.INITIAL_WINDOW_SIZE)
        if change is None:
            return
        delta = int(change.new_value) - self._peer_window
        self._peer_window = int(change.new_value)
        for stream_id, stream in self._streams.items():
            try:
                stream.send.widen(delta)
            except RemoteProtocolError as error:
                raise self.fail(error.what, ErrorCodes.FLOW_CONTROL_ERROR) from None
            events.append(WindowOpened(stream_id))

    def _pong(self, event: h2.events.PingAckReceived, events: list[Event]) -> None:
        events.append(PingAcknowledged(event.ping_data or b""))

    def _goaway(self, event: h2.events.ConnectionTerminated, events: list[Event]) -> None:
        self._end()
        reason = (event.additional_data or b"").decode("utf-8", "replace")
        events.append(
            ConnectionTerminated(int(event.error_code or 0), event.last_stream_id or 0, reason)
        )

    def fail(self, what: str, code: int) -> RemoteProtocolError:
        """End the connection, because the peer broke the protocol; the error to raise."""
        self.close(code)
        return RemoteProtocolError(f"the peer breaks HTTP/2: {what}", code=int(code))

    # -- bytes out --------------------------------------------------------------------------------

    def data_to_send(self) -> bytes:
        """Control frames that wait to be sent; each is handed out once."""
        data = self._h2.data_to_send()
        if self._out:
            data += bytes(self._out)
            self._out.clear()
        return data

    def open(self, headers: Iterable[tuple[str, str]], *, end: bool = False) -> int:
        """Send a request's header section on a new stream (client role).

        Returns:
            The stream's id.

        Raises:
            LocalProtocolError: the connection takes no more streams (ids or concurrency used up).
        """
        headers = list(headers)
        if self._peer_leaves:
            raise LocalProtocolError("no further stream on this connection: its server leaves.")
        try:
            stream_id = self._h2.get_next_available_stream_id()
            self._h2.send_headers(stream_id, headers, end_stream=end)
        except H2ProtocolError as error:
            raise LocalProtocolError(f"no further stream on this connection: {error}") from None
        connects = (":method", "CONNECT") in headers
        stream = _Stream(self._peer_window, connects=connects, tunnel=False)
        stream.local_ended = end
        self._streams[stream_id] = stream
        return stream_id

    def respond(
        self, stream_id: int, headers: Iterable[tuple[str, str]], *, end: bool = False
    ) -> None:
        """Send a response's header section (server role); on a stream that is over, nothing."""
        stream = self._streams.get(stream_id)
        if stream is None:
            return
        self._h2.send_headers(stream_id, list(headers), end_stream=end)
        if end:
            stream.local_ended = True
            self._forget_if_over(stream_id, stream)

    def sendable(self, stream_id: int) -> int:
        """Octets of payload that the peer takes now; 0 for a stream that is over."""
        stream = self._streams.get(stream_id)
        if stream is None or stream.local_ended:
            return 0
        return max(0, min(stream.send.available, self._send.available))

    @property
    def exhausted(self) -> bool:
        """The connection's own window is used up: no stream can send."""
        return self._send.available <= 0

    @property
    def max_frame(self) -> int:
        """Octets of payload that the peer accepts in one frame."""
        return self._h2.max_outbound_frame_size

    def frame(
        self, stream_id: int, length: int, buffer: bytearray | memoryview, offset: int
    ) -> None:
        """Write the header of a DATA frame at `offset`, and charge the windows for its payload.

        `length` is at most `sendable` and `max_frame`; the payload follows the header on the wire.
        """
        stream = self._streams[stream_id]
        stream.send.available -= length
        self._send.available -= length
        frames.pack_header(buffer, offset, length, frames.DATA, 0, stream_id)

    def end(self, stream_id: int) -> None:
        """End our direction (END_STREAM)."""
        stream = self._streams.get(stream_id)
        if stream is None or stream.local_ended:
            return
        self._h2.end_stream(stream_id)
        stream.local_ended = True
        self._forget_if_over(stream_id, stream)

    def reset(self, stream_id: int, code: int) -> None:
        """End both directions at once (RST_STREAM)."""
        if stream_id in self._streams:
            self._h2.reset_stream(stream_id, code)
            self._forget(stream_id)

    def delivered(self, stream_id: int, count: int) -> None:
        """`count` octets of CONNECT payload have reached their reader: grant them again."""
        stream = self._streams.get(stream_id)
        if stream is not None and not stream.remote_ended:
            self._announce(stream_id, stream.receive.release(count))

    def acknowledge(self, stream_id: int, credit: int) -> None:
        """The body piece that carried `credit` octets is used: grant them again.

        What is not acknowledged when its stream ends is granted to the connection then.
        """
        stream = self._streams.get(stream_id)
        if stream is not None and credit:
            stream.unread -= credit
            self._h2.acknowledge_received_data(credit, stream_id)

    def ping(self, payload: bytes) -> None:
        """Ask for a sign of life; `payload` is eight octets."""
        if not self._over:
            self._h2.ping(payload)

    def close(self, code: int = 0, reason: str = "") -> None:
        """Say that the connection ends (GOAWAY): its streams do, too, and calls do nothing."""
        self._end()
        self._h2.close_connection(code, additional_data=reason.encode() or None)

    @property
    def open_streams(self) -> int:
        """Streams that are not over in both directions."""
        return len(self._streams)

    def _announce(self, stream_id: int, increment: int) -> None:
        if increment:
            self._out += frames.window_update(stream_id, increment)

    def _forget_if_over(self, stream_id: int, stream: _Stream) -> None:
        if stream.local_ended and stream.remote_ended:
            self._forget(stream_id)

    def _forget(self, stream_id: int) -> bool:
        """Drop a stream, and grant to the connection what of its bodies will not be read."""
        stream = self._streams.pop(stream_id, None)
        if stream is not None and stream.unread:
            self._h2.acknowledge_received_data(stream.unread, stream_id)
        return stream is not None

    def _end(self) -> None:
        self._over = self._splitter.stopped = True
        self._streams.clear()


def _decoded(headers: Iterable[tuple[bytes, bytes]] | None) -> Headers:
    """Field lines as text; what is no UTF-8 comes through as it may (RFC 9110 §5.5)."""
    return [
        (bytes(name).decode("utf-8", "replace"), bytes(value).decode("utf-8", "replace"))
        for name, value in headers or ()
    ]


def _successful(headers: Headers) -> bool:
    return any(name == ":status" and value.startswith("2") for name, value in headers)
