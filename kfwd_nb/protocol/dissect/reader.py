"""Heads and payloads out of octets that come in any pieces: what all dissectors share."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import replace
from typing import NamedTuple

from kfwd_nb.errors import RemoteProtocolError
from kfwd_nb.protocol.dissect.frame import UNREADABLE, Frame, Layer

MAX_GATHERED = 1 << 20
"""Octets of payload of one frame that are gathered to be read; DATA is never gathered."""


class Dissector(ABC):
    """Reads one direction of one connection."""

    @abstractmethod
    def feed(self, data: bytes | memoryview) -> list[Frame]:
        """The frames whose last octet is in `data`. Never raises: see `UNREADABLE`."""

    @abstractmethod
    def end(self) -> list[Frame]:
        """The connection is over: a frame that has not come whole."""


class Head(NamedTuple):
    """A frame has begun.

    Attributes:
        frame: as far as its head tells.
        left: octets of its payload.
        wanted: the payload is to be gathered.
    """

    frame: Frame
    left: int
    wanted: bool


class FramedDissector(Dissector):
    """Reads heads of a fixed size, each with a length in it.

    Args:
        layer: for what cannot be read.
        head_length: octets of a head; of the next one, where that changes.
    """

    def __init__(self, layer: Layer, head_length: int) -> None:
        self._layer = layer
        self._head_length = head_length
        self._octets = bytearray()  # of the head, until it is whole
        self._head: Head | None = None
        self._left = 0
        self._payload = bytearray()
        self._over = False

    @abstractmethod
    def begin(self, octets: bytes) -> Head:
        """A head is whole.

        Raises:
            RemoteProtocolError: it is none.
        """

    @abstractmethod
    def complete(self, frame: Frame, payload: bytes) -> Frame:
        """A frame is whole whose payload was wanted.

        Raises:
            RemoteProtocolError: the payload makes no sense.
        """

    def feed(self, data: bytes | memoryview) -> list[Frame]:
        """See `Dissector.feed`."""
        frames: list[Frame] = []
        view = memoryview(data)
        try:
            while view and not self._over:
                view = self._payload_in(view) if self._head else self._head_in(view)
                if self._head is not None and not self._left:
                    frames.append(self._finished(self._head))
        except RemoteProtocolError as error:
            self._over = True
            frames.append(Frame(self._layer, UNREADABLE, 0, note=error.what))
        return frames

    def end(self) -> list[Frame]:
        """See `Dissector.end`."""
        over, self._over = self._over, True
        if over or self._head is None:
            return []
        frame = self._head.frame
        note = f"cut off: {frame.length} bytes were announced"
        return [replace(frame, length=frame.length - self._left, note=note)]

    def _head_in(self, view: memoryview) -> memoryview:
        lacking = self._head_length - len(self._octets)
        self._octets += view[:lacking]
        if len(self._octets) == self._head_length:
            octets = bytes(self._octets)
            self._octets.clear()
            head = self.begin(octets)
            if head.wanted and head.left > MAX_GATHERED:
                raise RemoteProtocolError(f"a {head.frame.type} of {head.left} octets.")
            self._head, self._left = head, head.left
        return view[lacking:]

    def _payload_in(self, view: memoryview) -> memoryview:
        assert self._head is not None
        taken = view[: self._left]
        if self._head.wanted:
            self._payload += taken
        self._left -= len(taken)
        return view[len(taken) :]

    def _finished(self, head: Head) -> Frame:
        payload = bytes(self._payload)
        self._payload.clear()
        self._head = None
        return self.complete(head.frame, payload) if head.wanted else head.frame
