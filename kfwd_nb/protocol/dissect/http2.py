"""Frames of HTTP/2 (RFC 9113 §6), from the first octet of a connection: HPACK has a history."""

from __future__ import annotations

from h2.errors import ErrorCodes
from h2.settings import SettingCodes
from hpack import Decoder, HPACKError

from kfwd_nb.errors import RemoteProtocolError
from kfwd_nb.protocol.dissect.frame import Frame, flag_names, told
from kfwd_nb.protocol.dissect.reader import MAX_GATHERED, FramedDissector, Head
from kfwd_nb.protocol.http2 import frames

PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
"""What a client sends before its first frame (RFC 9113 §3.4)."""

MAX_TABLE = 1 << 16
"""Octets of the dynamic table that a peer's encoder may take. How much it may take in truth was
agreed on in the other direction."""

_TYPES = (
    *("DATA", "HEADERS", "PRIORITY", "RST_STREAM", "SETTINGS", "PUSH_PROMISE", "PING", "GOAWAY"),
    *("WINDOW_UPDATE", "CONTINUATION"),
)
_ACK = {0x1: "ACK"}
_HEADER_FLAGS = {0x1: "END_STREAM", 0x4: "END_HEADERS", 0x8: "PADDED", 0x20: "PRIORITY"}
_FLAGS: dict[str, dict[int, str]] = {
    "DATA": {0x1: "END_STREAM", 0x8: "PADDED"},
    "HEADERS": _HEADER_FLAGS,
    "PUSH_PROMISE": {0x4: "END_HEADERS", 0x8: "PADDED"},
    "CONTINUATION": {0x4: "END_HEADERS"},
    "SETTINGS": _ACK,
    "PING": _ACK,
}
_READ = frozenset(_TYPES) - {"DATA", "PRIORITY"}


class Http2Dissector(FramedDissector):
    """Reads what one side of a connection sent.

    Args:
        client: it is the client's side, which begins with the preface.
    """

    def __init__(self, *, client: bool) -> None:
        super().__init__("HTTP/2", len(PREFACE) if client else frames.HEADER_LENGTH)
        self._preface = client
        self._decoder = Decoder()
        self._decoder.max_allowed_table_size = MAX_TABLE
        self._block = bytearray()

    def begin(self, octets: bytes) -> Head:
        """See `FramedDissector.begin`."""
        if self._preface:
            self._preface = False
            self._head_length = frames.HEADER_LENGTH
            if octets != PREFACE:
                raise RemoteProtocolError("this is no HTTP/2: it does not begin with its preface.")
            return Head(Frame("HTTP/2", "PREFACE", len(PREFACE)), 0, wanted=False)
        length, kind, flags, stream = frames.unpack_header(octets, 0)
        name = _TYPES[kind] if kind < len(_TYPES) else f"type 0x{kind:02x}"
        frame = Frame("HTTP/2", name, length, stream, flag_names(flags, _FLAGS.get(name, {})))
        return Head(frame, length, wanted=name in _READ)

    def complete(self, frame: Frame, payload: bytes) -> Frame:
        """See `FramedDissector.complete`."""
        match frame.type:
            case "HEADERS" | "PUSH_PROMISE" | "CONTINUATION":
                return self._headers(frame, payload)
            case "SETTINGS":
                fields = tuple(_setting(payload[at : at + 6]) for at in range(0, len(payload), 6))
            case "RST_STREAM":
                fields = (("code", _code(payload)),)
            case "GOAWAY":
                last = int.from_bytes(payload[:4], "big") & 0x7FFF_FFFF
                fields = (("last stream", str(last)), ("code", _code(payload[4:8])))
            case "WINDOW_UPDATE":
                fields = (("increment", str(int.from_bytes(payload, "big") & 0x7FFF_FFFF)),)
            case "PING":
                fields = (("data", payload.hex()),)
            case _:
                return frame
        return _with(frame, fields)

    def _headers(self, frame: Frame, payload: bytes) -> Frame:
        self._block += _fragment(frame, payload)
        if len(self._block) > MAX_GATHERED:
            raise RemoteProtocolError(f"a header section of more than {MAX_GATHERED} octets.")
        if "END_HEADERS" not in frame.flags:
            return frame
        block = bytes(self._block)
        self._block.clear()
        try:
            lines = self._decoder.decode(block, raw=True)
        except HPACKError as error:
            words = str(error) or type(error).__name__
            raise RemoteProtocolError(f"a header section cannot be read: {words}.") from None
        texts = ((_text(line[0]), _text(line[1])) for line in lines)
        return _with(frame, told(texts))


def _with(frame: Frame, fields: tuple[tuple[str, str], ...]) -> Frame:
    return Frame(frame.layer, frame.type, frame.length, frame.stream, frame.flags, fields)


def _text(octets: bytes | str) -> str:
    return octets if isinstance(octets, str) else octets.decode("utf-8", "replace")


def _fragment(frame: Frame, payload: bytes) -> bytes:
    """The part of a header section in a frame: without padding, priority and promised stream."""
    start, padding = 0, 0
    if "PADDED" in frame.flags and payload:
        start, padding = 1, payload[0]
    if frame.type == "PUSH_PROMISE":
        start += 4
    elif "PRIORITY" in frame.flags:
        start += 5
    if start + padding > len(payload):
        raise RemoteProtocolError(f"a {frame.type} frame is shorter than its own padding.")
    return payload[start : len(payload) - padding]


def _setting(octets: bytes) -> tuple[str, str]:
    number, value = int.from_bytes(octets[:2], "big"), int.from_bytes(octets[2:], "big")
    try:
        return SettingCodes(number).name, str(value)
    except ValueError:
        return f"setting 0x{number:02x}", str(value)


def _code(octets: bytes) -> str:
    number = int.from_bytes(octets, "big")
    try:
        return ErrorCodes(number).name
    except ValueError:
        return str(number)
