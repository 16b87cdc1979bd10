"""A stream pair as its server has it.

The roles differ in who speaks on the error stream, and in what a reset of the data stream says: a
client that gives a pair up means what `close()` means to a socket.
"""

from __future__ import annotations

from kfwd_nb.errors import KfwdError, ResetError
from kfwd_nb.protocol.portforward import MAX_ERROR_TEXT, text_of_error
from kfwd_nb.protocol.spdy import frames
from kfwd_nb.transport.spdy.pair_stream import PairStream


class ServedPair(PairStream):
    """A pair as its server has it.

    Attributes:
        pod: its name, for texts.
    """

    pod = ""
    _abandoned = False  # the client has closed both directions

    def write(self, buffer: memoryview, start: int, end: int) -> bool:
        if self._abandoned:
            self._finish(ResetError("the client closed before it had read all."))
            return True
        return super().write(buffer, start, end)

    def was_reset(self, code: int) -> None:
        """The client has closed, as a socket is closed: what it sent still counts."""
        self._abandoned = self.errors.ended = True
        self.deliver_eof()

    def _tell_eof(self) -> None:
        self.errors.ended = True
        super()._tell_eof()

    def _flush(self) -> None:
        """Who has closed waits for no answer."""
        if self._abandoned:
            self._driver.flush_late()
        else:
            super()._flush()

    def take_early(self, data: bytes, *, ended: bool) -> None:
        """What came on the data stream before there was a pair."""
        if data:
            self.deliver(memoryview(data), 0, len(data))
        if ended:
            self.deliver_eof()

    def _finish(self, error: KfwdError | None) -> None:
        self._driver.connection.end(self._error_id)
        super()._finish(error)

    def _say_end(self) -> None:
        """First that all is well, then the end: so clients know it for one."""
        self._driver.connection.end(self._error_id)
        super()._say_end()

    def _say_why(self, error: KfwdError | None) -> None:
        """A reset needs no words; kubectl would end its whole forward at them."""
        if error is not None and not isinstance(error, ResetError):
            text = text_of_error(error, self.port, self.pod).encode()[:MAX_ERROR_TEXT]
            if self._driver.connection.writable(self._error_id):
                self._driver.write_frame(frames.data(self._error_id, text))
        self._driver.connection.end(self._error_id)
