"""What a peer did, as `SpdyConnection.receive` reports it."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class StreamOpened:
    """The peer has opened a stream (SYN_STREAM); `ended`: it will send nothing on it."""

    stream_id: int
    headers: dict[str, str]
    ended: bool


@dataclass(frozen=True, slots=True)
class StreamReplied:
    """The peer has taken a stream of ours (SYN_REPLY)."""

    stream_id: int
    headers: dict[str, str]


@dataclass(slots=True)
class DataReceived:
    """Payload: `buffer[start:end]` of the buffer that was given to `receive`.

    The eight octets before `start` are free to be overwritten.
    """

    stream_id: int
    start: int
    end: int


@dataclass(frozen=True, slots=True)
class StreamEnded:
    """The peer has ended its direction of the stream (FIN)."""

    stream_id: int


@dataclass(frozen=True, slots=True)
class StreamReset:
    """The stream is over in both directions (RST_STREAM)."""

    stream_id: int
    code: int


@dataclass(frozen=True, slots=True)
class PingAcknowledged:
    """A PING of ours came back."""

    number: int


@dataclass(frozen=True, slots=True)
class ConnectionTerminated:
    """The peer takes no more streams, and will close (GOAWAY)."""

    code: int


Event = (
    StreamOpened
    | StreamReplied
    | DataReceived
    | StreamEnded
    | StreamReset
    | PingAcknowledged
    | ConnectionTerminated
)
