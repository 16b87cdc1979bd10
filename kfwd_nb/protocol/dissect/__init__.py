"""What one direction of a connection carried, frame by frame; sans-I/O.

A dissector is fed with the very octets that were written or read, so it tells what went over the
wire, not what somebody meant to send. Any chunking of the same octets gives the same frames.
Payload is passed over unread, and of header fields only some values are told (`frame.SHOWN`).
"""

from kfwd_nb.protocol.dissect.frame import HIDDEN, SHOWN, UNREADABLE, Frame
from kfwd_nb.protocol.dissect.http2 import Http2Dissector
from kfwd_nb.protocol.dissect.reader import Dissector
from kfwd_nb.protocol.dissect.spdy import SpdyDissector
from kfwd_nb.protocol.dissect.upgrade import UpgradeDissector
from kfwd_nb.protocol.dissect.websocket import WebSocketDissector

__all__ = [
    "HIDDEN",
    "SHOWN",
    "UNREADABLE",
    "Dissector",
    "Frame",
    "Http2Dissector",
    "SpdyDissector",
    "UpgradeDissector",
    "WebSocketDissector",
    "dissector",
]


def dissector(dialect: str, *, sent: bool) -> Dissector:
    """For one direction of a new connection of that dialect: what its client sent, or received."""
    if dialect == "connect":
        return Http2Dissector(client=sent)
    inner: Dissector = SpdyDissector()
    if dialect == "websocket":
        inner = WebSocketDissector(inner, masked=sent)
    return UpgradeDissector(inner, client=sent)
