"""Cuts the peer's bytes into frames (RFC 9113 §4.1): whole ones, and CONNECT payload in pieces."""

from __future__ import annotations

from typing import Protocol

from h2.errors import ErrorCodes

from kfwd_nb.errors import RemoteProtocolError
from kfwd_nb.protocol.http2 import frames
from kfwd_nb.protocol.http2.events import DataReceived, Event

MAX_FRAME_SIZE = 1 << 20
"""Octets of one frame that we accept. CONNECT payload is passed on piece by piece; only the other
frames are gathered before they are read."""


class FrameOwner(Protocol):
    """Who decides about frames; all of it may add events."""

    def on_short_road(self, stream_id: int) -> bool:
        """DATA of this stream is payload, and may come."""

    def payload_begins(self, stream_id: int, length: int, events: list[Event]) -> None:
        """A DATA frame of `length` octets, padding included, begins on the short road."""

    def padding(self, stream_id: int, count: int) -> None:
        """`count` octets of that frame are padding."""

    def payload(self, piece: DataReceived, events: list[Event]) -> None:
        """A piece of it has come."""

    def payload_ended(self, stream_id: int, events: list[Event]) -> None:
        """It is complete, and was the last of its stream."""

    def window_updated(self, frame: bytes, events: list[Event]) -> bool:
        """Take a whole WINDOW_UPDATE frame; False leaves it to `frame_received`."""

    def going_away(self, frame: bytes, events: list[Event]) -> bool:
        """Take a whole GOAWAY frame; False leaves it to `frame_received`."""

    def frame_received(self, data: bytes, events: list[Event]) -> None:
        """Any other frame, whole; or a part of the client's preface."""

    def fail(self, what: str, code: int) -> RemoteProtocolError:
        """End the connection; the error to raise."""


class FrameSplitter:
    """Where we are in the peer's bytes.

    Args:
        owner: decides about frames.
        preface: octets that come before the first frame.

    Attributes:
        stopped: what still comes is ignored.
    """

    def __init__(self, owner: FrameOwner, *, preface: int) -> None:
        self.stopped = False
        self._owner = owner
        self._preface_left = preface
        self._gathered = bytearray()  # a frame, or its header, that has not come whole
        self._in_header_block = False
        self._stream = 0  # the DATA frame on the short road that we are in
        self._left = 0
        self._padded = False  # its first octet, still to come, says how many of the last are
        self._padding = 0
        self._ends = False

    def split(self, buffer: memoryview, start: int, end: int, events: list[Event]) -> None:
        """Take `buffer[start:end]`.

        Raises:
            RemoteProtocolError: a frame that cannot be.
        """
        position = start
        while position < end and not self.stopped:
            if self._left:
                position = self._pass_payload(buffer, position, end, events)
            elif self._preface_left:
                count = min(self._preface_left, end - position)
                self._preface_left -= count
                self._owner.frame_received(bytes(buffer[position : position + count]), events)
                position += count
            else:
                position = self._gather(buffer, position, end, events)

    def _pass_payload(
        self, buffer: memoryview, position: int, end: int, events: list[Event]
    ) -> int:
        """Hand on what has come of the DATA frame we are in, without its padding."""
        if self._padded:
            self._read_pad_length(buffer[position])
            position += 1
        stop = min(position + self._left, end)
        payload = min(stop, position + self._left - self._padding)
        self._left -= stop - position
        if payload > position:
            self._owner.payload(DataReceived(self._stream, position, payload), events)
        if self._ends and not self._left:
            self._owner.payload_ended(self._stream, events)
        return stop

    def _read_pad_length(self, length: int) -> None:
        self._padded = False
        if length >= self._left:
            raise self._owner.fail("a frame is all padding.", ErrorCodes.PROTOCOL_ERROR)
        self._left -= 1
        self._padding = length
        self._owner.padding(self._stream, 1 + length)

    def _gather(self, buffer: memoryview, position: int, end: int, events: list[Event]) -> int:
        """Gather a frame header, and the rest of the frame unless it is CONNECT payload."""
        gathered = self._gathered
        if not gathered and end - position >= frames.HEADER_LENGTH:
            header = frames.unpack_header(buffer, position)
            if self._begins_payload(header, events):
                return position + frames.HEADER_LENGTH
        missing = frames.HEADER_LENGTH - len(gathered)
        if missing > 0:
            taken = min(missing, end - position)
            gathered += buffer[position : position + taken]
            if taken < missing:
                return end
            position += taken
            if self._begins_payload(frames.unpack_header(gathered, 0), events):
                gathered.clear()
                return position
        length, kind, flags, _ = frames.unpack_header(gathered, 0)
        if length > MAX_FRAME_SIZE:
            raise self._owner.fail("a frame is too long.", ErrorCodes.FRAME_SIZE_ERROR)
        taken = min(frames.HEADER_LENGTH + length - len(gathered), end - position)
        gathered += buffer[position : position + taken]
        if len(gathered) == frames.HEADER_LENGTH + length:
            frame = bytes(gathered)
            gathered.clear()
            self._whole_frame(frame, kind, flags, events)
        return position + taken

    def _begins_payload(self, header: tuple[int, int, int, int], events: list[Event]) -> bool:
        length, kind, flags, stream_id = header
        if kind != frames.DATA or self._in_header_block or length == 0:
            return False
        if not self._owner.on_short_road(stream_id):
            return False
        if length > MAX_FRAME_SIZE:
            raise self._owner.fail("a frame is too long.", ErrorCodes.FRAME_SIZE_ERROR)
        self._stream = stream_id
        self._left = length
        self._padded = bool(flags & frames.PADDED)
        self._padding = 0
        self._ends = bool(flags & frames.END_STREAM)
        self._owner.payload_begins(stream_id, length, events)
        return True

    def _whole_frame(self, frame: bytes, kind: int, flags: int, events: list[Event]) -> None:
        if kind in (frames.HEADERS, frames.PUSH_PROMISE, frames.CONTINUATION):
            self._in_header_block = not flags & frames.END_HEADERS
        elif not self._in_header_block and self._taken(frame, kind, events):
            return
        self._owner.frame_received(frame, events)

    def _taken(self, frame: bytes, kind: int, events: list[Event]) -> bool:
        """The owner takes the frame itself."""
        if kind == frames.WINDOW_UPDATE:
            return self._owner.window_updated(frame, events)
        return kind == frames.GOAWAY and self._owner.going_away(frame, events)
