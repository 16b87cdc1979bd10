"""Drives one `SpdyConnection`: events to its streams, and when the whole connection must wait.

SPDY as Kubernetes speaks it has no flow control: whoever stops reading one stream stops them all.
So a client gives each connection one pair of streams, and pauses the transport with it. A server
has no choice but to take what its client opens: there, a stream that is paused may hold up to
`MAX_HELD`, and only then everything waits.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from kfwd_nb.errors import KfwdError, LostError
from kfwd_nb.protocol.spdy import (
    ConnectionTerminated,
    DataReceived,
    Event,
    PingAcknowledged,
    SpdyConnection,
    StreamEnded,
    StreamOpened,
    StreamReplied,
    StreamReset,
)
from kfwd_nb.transport.driver import ConnectionDriver

MAX_HELD_ALL = 64 << 20
"""The same for all streams of a connection together."""

CHUNK_COST = 128
"""Octets that a chunk takes besides its payload, while it is held."""

MAX_HELD = 4 << 20
"""Octets that a paused stream of a server may hold before its whole connection is paused."""


class Half(Protocol):
    """What the driver tells one stream."""

    def replied_to(self) -> None:
        """The peer has taken the stream."""

    def deliver(self, buffer: memoryview, start: int, end: int) -> None:
        """Payload has come."""

    def deliver_eof(self) -> None:
        """The peer has ended its direction."""

    def was_reset(self, code: int) -> None:
        """The peer has ended both directions."""

    def drained(self) -> None:
        """The connection takes more."""

    def lost(self, error: KfwdError) -> None:
        """The connection is gone."""


class Role(Protocol):
    """What the owner of a connection makes of it: `transport.spdy.client`."""

    def stream_opened(self, stream_id: int, headers: dict[str, str], *, ended: bool) -> None:
        """The peer has opened a stream; `ended`: it will send nothing on it."""

    def pinged(self, number: int) -> None:
        """A PING of ours came back."""

    def terminated(self) -> None:
        """The peer takes no more streams."""

    def connection_over(self, error: KfwdError | None) -> None:
        """The connection is gone; called once, after all streams were told."""


class SpdyDriver(ConnectionDriver):
    """One SPDY connection on the event loop.

    Attributes:
        connection: the protocol's state.
        streams: who hears of each stream.
        may_hold: octets that a paused stream may hold before it must `stop_reading`.
        held: octets that all streams hold, `CHUNK_COST` for each chunk among them.
    """

    def __init__(self, role: Role, *, client: bool) -> None:
        self.connection = SpdyConnection(client=client)
        super().__init__(self.connection)
        self.streams: dict[int, Half] = {}
        self.may_hold = 0 if client else MAX_HELD
        self.held = 0
        self._role = role
        self._waiting: dict[Half, None] = {}
        self._stopping: set[Half] = set()

    # -- transport.driver.ConnectionDriver --------------------------------------------------------

    def act(self, buffer: memoryview, event: Event) -> None:
        """Pass an event on to its stream."""
        match event:
            case DataReceived(stream_id, start, end):
                stream = self.streams.get(stream_id)
                if stream is not None:
                    stream.deliver(buffer, start, end)
            case StreamOpened(stream_id, headers, ended):
                self._role.stream_opened(stream_id, headers, ended=ended)
            case PingAcknowledged(number):
                self._role.pinged(number)
            case ConnectionTerminated():
                self._role.terminated()
            case StreamReplied() | StreamEnded() | StreamReset():
                self._tell(event)

    def _tell(self, event: StreamReplied | StreamEnded | StreamReset) -> None:
        stream = self.streams.get(event.stream_id)
        if stream is None:
            return
        match event:
            case StreamReplied():
                stream.replied_to()
            case StreamEnded():
                stream.deliver_eof()
            case StreamReset(_, code):
                stream.was_reset(code)

    def nobody_waits(self, events: Sequence[Event]) -> bool:
        """Pairs were opened, and payload is here for each: their client has not waited for replies.

        Of the two streams of a pair, the client ends one as it opens it (`protocol.portforward`).
        """
        opened = [event for event in events if isinstance(event, StreamOpened)]
        if not opened:
            return False
        sent = {event.stream_id for event in events if isinstance(event, DataReceived)}
        data = [event for event in opened if not event.ended and event.stream_id in sent]
        return 2 * len(data) == len(opened)

    def ask(self) -> None:
        """PING."""
        self.connection.ping()

    def resume_writing(self) -> None:
        """Let the streams that wait send in turn, until the transport is full again."""
        super().resume_writing()
        for stream in list(self._waiting):
            if self.writing_paused:
                return
            if stream in self._waiting:  # it may have been forgotten on account of another one
                del self._waiting[stream]
                stream.drained()

    def ended(self, error: KfwdError | None) -> None:
        """Tell every stream, then the owner."""
        streams, self.streams = self.streams, {}
        self._waiting.clear()
        for stream in dict.fromkeys(streams.values()):
            stream.lost(error or LostError("the connection was closed."))
        self._role.connection_over(error)

    # -- what streams ask for ---------------------------------------------------------------------

    def wait_to_write(self, stream: Half) -> None:
        """Tell `stream` when the connection takes more."""
        self._waiting[stream] = None

    def forget(self, stream_id: int, stream: Half) -> None:
        """The stream wants to hear nothing more."""
        self.streams.pop(stream_id, None)
        self._waiting.pop(stream, None)
        self.go_on_reading(stream)

    def limit_holding(self, octets: int) -> None:
        """How much a paused stream may hold from now on."""
        self.may_hold = octets
        for stream in list(self._stopping):
            self.go_on_reading(stream)  # what comes next is held, and stops it when it is full

    def stop_reading(self, stream: Half) -> None:
        """The stream can hold no more: nothing is read from the connection until it can."""
        self._stopping.add(stream)
        if self._transport is not None:
            self._transport.pause_reading()

    def go_on_reading(self, stream: Half) -> None:
        """The stream can take what comes."""
        if stream in self._stopping:
            self._stopping.remove(stream)
            if not self._stopping and self._transport is not None:
                self._transport.resume_reading()
