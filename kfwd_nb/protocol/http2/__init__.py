"""HTTP/2 (RFC 9113) as this project uses it: CONNECT streams, and API requests beside them.

`h2` owns the state machine: every frame that opens, ends, resets or configures passes through it.
DATA of CONNECT streams and all flow control have a road of their own, because a frame through `h2`
costs more than the bytes in it:

    bytes in ─▶ connection.receive ─┬─▶ h2 ───────────────▶ events (requests, ends, resets, …)
                                    ├─▶ DATA, piece by piece ─▶ DataReceived (offsets, no copy)
                                    └─▶ WINDOW_UPDATE ───────▶ windows.SendWindow
"""

from kfwd_nb.protocol.http2.connection import Http2Connection
from kfwd_nb.protocol.http2.events import (
    BodyReceived,
    ConnectionTerminated,
    DataReceived,
    Event,
    GoingAway,
    PingAcknowledged,
    RequestReceived,
    ResponseReceived,
    StreamEnded,
    StreamReset,
    WindowOpened,
)

__all__ = [
    "BodyReceived",
    "ConnectionTerminated",
    "DataReceived",
    "Event",
    "GoingAway",
    "Http2Connection",
    "PingAcknowledged",
    "RequestReceived",
    "ResponseReceived",
    "StreamEnded",
    "StreamReset",
    "WindowOpened",
]
