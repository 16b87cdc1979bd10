"""What a peer did, as `Http2Connection.receive` reports it."""

from __future__ import annotations

from dataclasses import dataclass

Headers = list[tuple[str, str]]
"""Field lines in order, names in lowercase, pseudo-header fields first."""


@dataclass(frozen=True, slots=True)
class RequestReceived:
    """A request's header section (server role)."""

    stream_id: int
    headers: Headers


@dataclass(frozen=True, slots=True)
class ResponseReceived:
    """A final response's header section (client role)."""

    stream_id: int
    headers: Headers


@dataclass(slots=True)
class DataReceived:
    """Payload of a CONNECT stream: `buffer[start:end]` of the buffer that was given to `receive`.

    The nine bytes before `start` are free to be overwritten.
    """

    stream_id: int
    start: int
    end: int


@dataclass(frozen=True, slots=True)
class BodyReceived:
    """A piece of the body of an ordinary request or response; `acknowledge` it once it is used.

    `credit` is its length with padding, in bytes.
    """

    stream_id: int
    data: bytes
    credit: int


@dataclass(frozen=True, slots=True)
class StreamEnded:
    """The peer has ended its direction of the stream (END_STREAM)."""

    stream_id: int


@dataclass(frozen=True, slots=True)
class StreamReset:
    """The stream is over at once, in both directions (RST_STREAM, or our reaction to an error)."""

    stream_id: int
    code: int


@dataclass(frozen=True, slots=True)
class WindowOpened:
    """The peer takes more bytes on this stream; on all of them if `stream_id` is 0."""

    stream_id: int


@dataclass(frozen=True, slots=True)
class PingAcknowledged:
    """The peer has answered our PING; `payload` is what that PING carried."""

    payload: bytes


@dataclass(frozen=True, slots=True)
class GoingAway:
    """The server takes no more streams; those up to `last_stream_id` come to their end.

    GOAWAY with NO_ERROR, in the client's role (RFC 9113 §6.8).
    """

    last_stream_id: int


@dataclass(frozen=True, slots=True)
class ConnectionTerminated:
    """The peer has sent GOAWAY. `h2` goes no further then, so its streams are over, too."""

    code: int
    last_stream_id: int
    reason: str


Event = (
    RequestReceived
    | ResponseReceived
    | DataReceived
    | BodyReceived
    | StreamEnded
    | StreamReset
    | WindowOpened
    | PingAcknowledged
    | ConnectionTerminated
    | GoingAway
)
