"""SPDY/3.1, sans-I/O: the wire between `kubectl port-forward` and a node's container runtime."""

from kfwd_nb.protocol.spdy.connection import SpdyConnection
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

__all__ = [
    "ConnectionTerminated",
    "DataReceived",
    "Event",
    "PingAcknowledged",
    "SpdyConnection",
    "StreamEnded",
    "StreamOpened",
    "StreamReplied",
    "StreamReset",
]
