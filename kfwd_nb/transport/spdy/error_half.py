"""The error stream of a pair, as its client hears it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from kfwd_nb.protocol.portforward import MAX_ERROR_TEXT

if TYPE_CHECKING:
    from kfwd_nb.errors import KfwdError
    from kfwd_nb.transport.spdy.pair_stream import PairStream


class ErrorHalf:
    """The error stream of a pair.

    Attributes:
        ended: nothing more comes on it.
    """

    def __init__(self, pair: PairStream) -> None:
        self.ended = False
        self._pair = pair
        self._text = bytearray()

    def replied_to(self) -> None:
        """The server has taken the stream."""

    def deliver(self, buffer: memoryview, start: int, end: int) -> None:
        """Words have come."""
        room = MAX_ERROR_TEXT - len(self._text)
        self._text += buffer[start : min(end, start + room)]
        self._pair.error_text = self._text.decode(errors="replace")

    def deliver_eof(self) -> None:
        """That was all."""
        if not self.ended:
            self.ended = True
            self._pair.errors_ended()

    def was_reset(self, code: int) -> None:
        """The same."""
        self.deliver_eof()

    def drained(self) -> None:
        """Nothing waits to be written here."""

    def lost(self, error: KfwdError) -> None:
        """The pair is told itself."""
