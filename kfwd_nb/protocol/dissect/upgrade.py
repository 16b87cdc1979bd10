"""The HTTP/1.1 head that a connection begins with, and what it switches to (RFC 9110 §7.8)."""

from __future__ import annotations

from kfwd_nb.protocol.dissect.frame import UNREADABLE, Frame, told, without_query
from kfwd_nb.protocol.dissect.reader import Dissector

MAX_HEAD = 1 << 16
"""Octets of a message's head."""

_END = b"\r\n\r\n"


class UpgradeDissector(Dissector):
    """Reads what one side sent: a message's head, then the frames of another protocol.

    A server that does not switch sends a body, of which nothing is told.

    Args:
        inner: reads what comes after the switch.
        client: it is the client's side, which sends a request.
    """

    def __init__(self, inner: Dissector, *, client: bool) -> None:
        self._inner = inner
        self._client = client
        self._head = bytearray()
        self._switched = False
        self._over = False

    def feed(self, data: bytes | memoryview) -> list[Frame]:
        """See `Dissector.feed`."""
        if self._switched:
            return self._inner.feed(data)
        if self._over:
            return []
        self._head += data
        frames: list[Frame] = []
        while not self._done() and (end := self._head.find(_END, 0, MAX_HEAD)) >= 0:
            frames.append(self._message(bytes(self._head[:end])))
            del self._head[: end + len(_END)]
        if not self._done():
            if len(self._head) < MAX_HEAD:
                return frames
            self._over = True
            note = f"a head of more than {MAX_HEAD} octets"
            frames.append(Frame("HTTP/1.1", UNREADABLE, 0, note=note))
        rest = bytes(self._head)
        self._head.clear()
        return frames + (self._inner.feed(rest) if self._switched else [])

    def _done(self) -> bool:
        """Nothing more is HTTP/1.1, or of interest."""
        return self._switched or self._over

    def end(self) -> list[Frame]:
        """See `Dissector.end`."""
        if self._switched:
            return self._inner.end()
        over, self._over = self._over, True
        if over or not self._head:
            return []
        return [Frame("HTTP/1.1", "HEAD", len(self._head), note="cut off")]

    def _message(self, head: bytes) -> Frame:
        """A head is whole: its first line is a request's or a status."""
        first, *lines = head.decode("latin-1").split("\r\n")
        pairs = (line.partition(":") for line in lines)
        fields = told((name.lower(), value.strip()) for name, _, value in pairs)
        length = len(head) + len(_END)
        words = first.split(" ")
        if self._client:
            self._switched = True
            path = without_query(words[1]) if len(words) > 1 else ""
            line = (("request", f"{words[0]} {path}"[:300]),)
            return Frame("HTTP/1.1", "REQUEST", length, fields=line + fields)
        status = words[1] if len(words) > 1 else ""
        self._switched = status == "101"
        self._over = not status.startswith("1")
        return Frame("HTTP/1.1", "RESPONSE", length, fields=(("status", status[:10]), *fields))
