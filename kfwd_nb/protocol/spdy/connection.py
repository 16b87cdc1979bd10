"""One SPDY/3.1 connection, either role, sans-I/O: bytes in, events out, bytes to send.

Kubernetes uses a part of the protocol: streams, resets, PING and GOAWAY. There is no flow control:
SETTINGS and WINDOW_UPDATE are read and passed over, and none are sent.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Mapping

from kfwd_nb.errors import LimitError, LocalProtocolError, RemoteProtocolError
from kfwd_nb.protocol.spdy import frames
from kfwd_nb.protocol.spdy.events import (
    ConnectionTerminated,
    DataReceived,
    Event,
    PingAcknowledged,
    StreamEnded,
    StreamOpened,
    StreamReplied,
    StreamReset,
)
from kfwd_nb.protocol.spdy.headers import HeaderPacker, HeaderUnpacker

MAX_STREAMS = 16_384
"""Streams that a peer may have open with us at once: two for each forwarded connection."""

MAX_STREAM_ID = frames.STREAM_ID
"""The last id there is; a connection that has used it opens no more streams."""


class _Stream:
    """Which directions are over. With both, the stream is forgotten."""

    __slots__ = ("local_ended", "remote_ended")

    def __init__(self, *, local_ended: bool = False, remote_ended: bool = False) -> None:
        self.local_ended = local_ended
        self.remote_ended = remote_ended


class SpdyConnection:
    """The state of one connection.

    Every method that changes something may leave bytes in `data_to_send`; the driver sends them in
    order, and always before a data frame made by `frame`.

    Args:
        client: True for the side that opened the connection; its stream ids are odd.
    """

    def __init__(self, *, client: bool) -> None:
        self._parity = 1 if client else 0
        self._next_id = 1 if client else 2
        self._next_ping = 1 if client else 2
        self._last_remote = 0
        self._remote_streams = 0
        self._streams: dict[int, _Stream] = {}
        self._packer = HeaderPacker()
        self._unpacker = HeaderUnpacker()
        self._out = bytearray()
        self._head = bytearray()  # of a frame, until it is whole
        self._control = bytearray()  # payload of a control frame, until it is whole
        self._wanted = 0  # octets that the control frame still lacks
        self._type = self._flags = 0
        self._left = 0  # octets of a data frame's payload that have not come
        self._data_id = 0
        self._terminated = False
        self._readers: dict[int, Callable[[bytes, int, list[Event]], None]] = {
            frames.SYN_STREAM: self._syn_stream,
            frames.SYN_REPLY: self._syn_reply,
            frames.RST_STREAM: self._rst_stream,
            frames.PING: self._ping,
            frames.GOAWAY: self._goaway,
            frames.HEADERS: self._headers,
        }

    # -- bytes in ---------------------------------------------------------------------------------

    def receive(self, buffer: memoryview, start: int, end: int) -> list[Event]:
        """Take `buffer[start:end]` as it came from the peer.

        Any chunking of the same bytes gives the same events, but that payload comes in other
        pieces. Frames for streams that are over are swallowed; a peer may not know it yet.

        Raises:
            RemoteProtocolError: the peer breaks the protocol; the connection is of no use any more.
        """
        events: list[Event] = []
        while start < end:
            if self._left:
                start = self._take_payload(start, end, events)
            elif self._wanted:
                taken = min(self._wanted, end - start)
                self._control += buffer[start : start + taken]
                self._wanted -= taken
                start += taken
                if not self._wanted:
                    self._control_frame(events)
            else:
                start = self._take_head(buffer, start, end, events)
        return events

    def _take_payload(self, start: int, end: int, events: list[Event]) -> int:
        taken = min(self._left, end - start)
        stream = self._streams.get(self._data_id)
        if stream is not None and not stream.remote_ended:
            events.append(DataReceived(self._data_id, start, start + taken))
        self._left -= taken
        if not self._left and self._flags & frames.FLAG_FIN:
            self._remote_end(self._data_id, events)
        return start + taken

    def _take_head(self, buffer: memoryview, start: int, end: int, events: list[Event]) -> int:
        lacking = frames.HEADER_LENGTH - len(self._head)
        if end - start < lacking:
            self._head += buffer[start:end]
            return end
        if self._head:
            self._head += buffer[start : start + lacking]
            word, flags, length = frames.unpack_header(self._head, 0)
            self._head.clear()
        else:
            word, flags, length = frames.unpack_header(buffer, start)
        self._flags = flags
        if word & frames.CONTROL:
            self._begin_control(word, length, events)
        else:
            self._begin_data(word, length, events)
        return start + lacking

    def _begin_data(self, stream_id: int, length: int, events: list[Event]) -> None:
        self._data_id, self._left = stream_id, length
        if stream_id not in self._streams and not self._was_known(stream_id):
            raise RemoteProtocolError(f"data on stream {stream_id}, which was never opened.")
        if not length and self._flags & frames.FLAG_FIN:
            self._remote_end(stream_id, events)

    def _begin_control(self, word: int, length: int, events: list[Event]) -> None:
        version = word >> 16 & 0x7FFF
        if version != frames.VERSION:
            raise RemoteProtocolError(f"a frame of SPDY version {version}, not {frames.VERSION}.")
        if length > frames.MAX_CONTROL:
            raise RemoteProtocolError(f"a control frame of {length} octets.")
        self._type, self._wanted = word & 0xFFFF, length
        if not length:
            self._control_frame(events)

    def _control_frame(self, events: list[Event]) -> None:
        payload = bytes(self._control)
        self._control.clear()
        read = self._readers.get(self._type)
        if read is None:
            return  # SETTINGS, WINDOW_UPDATE, and what the draft does not know (§2.2.1: ignore)
        try:
            read(payload, self._flags, events)
        except struct.error:
            raise RemoteProtocolError(f"a frame of type {self._type} is cut off.") from None

    # -- control frames ---------------------------------------------------------------------------

    def _syn_stream(self, payload: bytes, flags: int, events: list[Event]) -> None:
        stream_id, _, _ = struct.unpack_from(">IIH", payload)
        stream_id &= frames.STREAM_ID
        headers = self._unpacker.unpack(payload[10:])  # always: the next block depends on it
        if stream_id % 2 == self._parity or stream_id <= self._last_remote:
            self._out += frames.rst_stream(stream_id, frames.PROTOCOL_ERROR)
            return
        self._last_remote = stream_id
        if self._remote_streams >= MAX_STREAMS:
            self._out += frames.rst_stream(stream_id, frames.REFUSED_STREAM)
            return
        ended = bool(flags & frames.FLAG_FIN)
        one_way = bool(flags & frames.FLAG_UNIDIRECTIONAL)
        self._streams[stream_id] = _Stream(local_ended=one_way, remote_ended=ended)
        self._remote_streams += 1
        events.append(StreamOpened(stream_id, headers, ended))
        self._forget_if_over(stream_id)

    def _syn_reply(self, payload: bytes, flags: int, events: list[Event]) -> None:
        stream_id = self._id(payload)
        headers = self._unpacker.unpack(payload[4:])
        if self._is_open(stream_id):
            events.append(StreamReplied(stream_id, headers))
            if flags & frames.FLAG_FIN:
                self._remote_end(stream_id, events)

    def _headers(self, payload: bytes, flags: int, events: list[Event]) -> None:
        stream_id = self._id(payload)
        self._unpacker.unpack(payload[4:])  # nobody here has use for them
        if self._is_open(stream_id) and flags & frames.FLAG_FIN:
            self._remote_end(stream_id, events)

    def _rst_stream(self, payload: bytes, _: int, events: list[Event]) -> None:
        stream_id, code = struct.unpack_from(">II", payload)
        stream_id &= frames.STREAM_ID
        if self._is_open(stream_id):
            self._forget(stream_id)
            events.append(StreamReset(stream_id, code))

    def _ping(self, payload: bytes, _: int, events: list[Event]) -> None:
        (number,) = struct.unpack_from(">I", payload)
        if number % 2 == self._parity:
            events.append(PingAcknowledged(number))
        else:
            self._out += frames.ping(number)

    def _goaway(self, payload: bytes, _: int, events: list[Event]) -> None:
        _, code = struct.unpack_from(">II", payload)
        self._terminated = True
        events.append(ConnectionTerminated(code))

    # -- what we do -------------------------------------------------------------------------------

    def open(self, headers: Mapping[str, str], *, end: bool = False) -> int:
        """Open a stream; with `end`, nothing will be sent on it. Its id.

        Raises:
            LimitError: no id is left.
            LocalProtocolError: the peer has said that it takes no more.
        """
        stream_id = self._next_id
        if self._terminated:
            raise LocalProtocolError("the peer takes no more streams.")
        if stream_id > MAX_STREAM_ID:
            raise LimitError("the SPDY connection has used all its stream ids.")
        self._next_id += 2
        self._streams[stream_id] = _Stream(local_ended=end)
        block = self._packer.pack(headers)
        self._out += frames.syn_stream(stream_id, block, frames.FLAG_FIN if end else 0)
        return stream_id

    def reply(self, stream_id: int) -> None:
        """Take a stream that the peer has opened."""
        if stream_id in self._streams:
            self._out += frames.syn_reply(stream_id, self._packer.pack({}))

    def writable(self, stream_id: int) -> bool:
        """We may send on the stream."""
        stream = self._streams.get(stream_id)
        return stream is not None and not stream.local_ended

    def frame(
        self, stream_id: int, length: int, buffer: bytearray | memoryview, offset: int
    ) -> None:
        """Write the header of a data frame, eight octets, at `offset`; its payload follows it."""
        frames.pack_data_header(buffer, offset, stream_id, 0, length)

    def end(self, stream_id: int) -> None:
        """End our direction (FIN); nothing if that was done."""
        stream = self._streams.get(stream_id)
        if stream is not None and not stream.local_ended:
            stream.local_ended = True
            self._out += frames.data(stream_id, flags=frames.FLAG_FIN)
            self._forget_if_over(stream_id)

    def reset(self, stream_id: int, code: int = frames.CANCEL) -> None:
        """End both directions (RST_STREAM); what still comes for the stream is swallowed."""
        if stream_id in self._streams:
            self._forget(stream_id)
            self._out += frames.rst_stream(stream_id, code)

    def ping(self) -> int:
        """Ask whether the peer is there; the number that will come back."""
        number = self._next_ping
        self._next_ping = (number + 2) & 0xFFFF_FFFF or 2
        self._out += frames.ping(number)
        return number

    def close(self) -> None:
        """Say that we take no more streams (GOAWAY)."""
        self._out += frames.goaway(self._last_remote)

    def data_to_send(self) -> bytes:
        """The control frames that wait, once."""
        out = bytes(self._out)
        self._out.clear()
        return out

    # -- inside -----------------------------------------------------------------------------------

    @staticmethod
    def _id(payload: bytes) -> int:
        number: int = struct.unpack_from(">I", payload)[0]
        return number & frames.STREAM_ID

    def _was_known(self, stream_id: int) -> bool:
        if stream_id % 2 == self._parity:
            return stream_id < self._next_id
        return 0 < stream_id <= self._last_remote

    def _is_open(self, stream_id: int) -> bool:
        """The stream is known; False when it was.

        Raises:
            RemoteProtocolError: it never was.
        """
        if stream_id in self._streams:
            return True
        if self._was_known(stream_id):
            return False
        raise RemoteProtocolError(f"a frame for stream {stream_id}, which was never opened.")

    def _remote_end(self, stream_id: int, events: list[Event]) -> None:
        stream = self._streams.get(stream_id)
        if stream is not None and not stream.remote_ended:
            stream.remote_ended = True
            events.append(StreamEnded(stream_id))
            self._forget_if_over(stream_id)

    def _forget_if_over(self, stream_id: int) -> None:
        stream = self._streams[stream_id]
        if stream.local_ended and stream.remote_ended:
            self._forget(stream_id)

    def _forget(self, stream_id: int) -> None:
        if self._streams.pop(stream_id, None) is not None and stream_id % 2 != self._parity:
            self._remote_streams -= 1
