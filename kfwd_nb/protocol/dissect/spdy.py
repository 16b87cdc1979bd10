"""Frames of SPDY/3.1, from the first octet of a connection: its zlib stream has a history."""

from __future__ import annotations

from kfwd_nb.errors import RemoteProtocolError
from kfwd_nb.protocol.dissect.frame import Frame, flag_names, told
from kfwd_nb.protocol.dissect.reader import FramedDissector, Head
from kfwd_nb.protocol.spdy import frames
from kfwd_nb.protocol.spdy.headers import HeaderUnpacker

_TYPES = {
    frames.SYN_STREAM: "SYN_STREAM",
    frames.SYN_REPLY: "SYN_REPLY",
    frames.RST_STREAM: "RST_STREAM",
    frames.SETTINGS: "SETTINGS",
    frames.PING: "PING",
    frames.GOAWAY: "GOAWAY",
    frames.HEADERS: "HEADERS",
    frames.WINDOW_UPDATE: "WINDOW_UPDATE",
}
_OF_A_STREAM = {"SYN_STREAM": 10, "SYN_REPLY": 4, "RST_STREAM": 4, "HEADERS": 4, "WINDOW_UPDATE": 4}
"""Types whose payload begins with a stream's id, and where the rest of it begins."""

_WITH_HEADERS = ("SYN_STREAM", "SYN_REPLY", "HEADERS")

_FLAGS = {frames.FLAG_FIN: "FIN", frames.FLAG_UNIDIRECTIONAL: "UNIDIRECTIONAL"}

_CODES = {
    1: "PROTOCOL_ERROR",
    2: "INVALID_STREAM",
    3: "REFUSED_STREAM",
    4: "UNSUPPORTED_VERSION",
    5: "CANCEL",
    6: "INTERNAL_ERROR",
    7: "FLOW_CONTROL_ERROR",
    8: "STREAM_IN_USE",
    9: "STREAM_ALREADY_CLOSED",
}
"""Codes of RST_STREAM (SPDY/3 draft, §2.6.3)."""

_ENDS = {0: "OK", 1: "PROTOCOL_ERROR", 2: "INTERNAL_ERROR"}
"""Codes of GOAWAY (§2.6.6)."""


class SpdyDissector(FramedDissector):
    """Reads what one side of a connection sent."""

    def __init__(self) -> None:
        super().__init__("SPDY", frames.HEADER_LENGTH)
        self._unpacker = HeaderUnpacker()

    def begin(self, octets: bytes) -> Head:
        """See `FramedDissector.begin`."""
        word, flags, length = frames.unpack_header(octets, 0)
        if not word & frames.CONTROL:
            data = Frame("SPDY", "DATA", length, word, flag_names(flags, _FLAGS))
            return Head(data, length, wanted=False)
        version, kind = word >> 16 & 0x7FFF, word & 0xFFFF
        if version != frames.VERSION:
            raise RemoteProtocolError(f"a frame of SPDY version {version}, not {frames.VERSION}.")
        name = _TYPES.get(kind, f"type {kind}")
        frame = Frame("SPDY", name, length, None, flag_names(flags, _FLAGS))
        return Head(frame, length, wanted=kind in _TYPES)

    def complete(self, frame: Frame, payload: bytes) -> Frame:
        """See `FramedDissector.complete`."""
        stream, start = None, _OF_A_STREAM.get(frame.type, 0)
        if len(payload) < start:
            raise RemoteProtocolError(f"a {frame.type} frame is cut off.")
        if start:
            stream = _number(payload) & frames.STREAM_ID
        fields: tuple[tuple[str, str], ...] = ()
        if frame.type in _WITH_HEADERS:
            fields = told(self._unpacker.unpack(payload[start:]).items())
        elif frame.type == "RST_STREAM":
            fields = (("code", _named(payload[4:8], _CODES)),)
        elif frame.type == "GOAWAY":
            last = _number(payload) & frames.STREAM_ID
            fields = (("last stream", str(last)), ("code", _named(payload[4:8], _ENDS)))
        elif frame.type == "PING":
            fields = (("id", str(_number(payload))),)
        elif frame.type == "WINDOW_UPDATE":
            fields = (("increment", str(_number(payload[4:]))),)
        return Frame("SPDY", frame.type, frame.length, stream, frame.flags, fields)


def _number(octets: bytes) -> int:
    return int.from_bytes(octets[:4], "big")


def _named(octets: bytes, names: dict[int, str]) -> str:
    number = _number(octets)
    return names.get(number, str(number))
