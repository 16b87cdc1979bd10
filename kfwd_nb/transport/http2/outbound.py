"""The sending half of one HTTP/2 stream: what it may not send yet, it holds."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import TYPE_CHECKING

from kfwd_nb.transport.stream import HEADROOM

if TYPE_CHECKING:
    from kfwd_nb.transport.http2.driver import Http2Driver


class Outbound:
    """Sends payload as DATA frames, within the peer's windows and as far as TLS takes it.

    What it holds is bounded by its feeder: a socket is paused after one read, a tunnel stream after
    one window.

    Args:
        drained: called when all that was held is sent.
        ended: called when END_STREAM is sent.

    Attributes:
        in_line: waits for the connection (kept by the driver).
    """

    __slots__ = ("_drained", "_driver", "_ended", "_ending", "_held", "_id", "in_line")

    def __init__(
        self,
        driver: Http2Driver,
        stream_id: int,
        drained: Callable[[], None] | None = None,
        ended: Callable[[], None] | None = None,
    ) -> None:
        self._driver = driver
        self._id = stream_id
        self._drained = drained
        self._ended = ended
        self._held: deque[bytes] = deque()
        self._ending = False
        self.in_line = False
        driver.outbounds[stream_id] = self

    @property
    def holds(self) -> int:
        """Octets that wait for a window or for TLS."""
        return sum(map(len, self._held))

    def write(self, buffer: memoryview, start: int, end: int) -> bool:
        """Send `buffer[start:end]`; the contract is `ByteStream.write`'s."""
        if self._ending or self._id not in self._driver.outbounds:
            return True
        driver, connection = self._driver, self._driver.connection
        if not self._held and not driver.writing_paused:
            count = min(end - start, connection.sendable(self._id), connection.max_frame)
            if count:
                connection.frame(self._id, count, buffer, start - HEADROOM)
                driver.write_frame(buffer[start - HEADROOM : start + count])
                start += count
        if start == end:
            return True
        self._held.append(bytes(buffer[start:end]))
        self._send_held()
        return not self._held

    def write_bytes(self, data: bytes) -> bool:
        """Send bytes that have no headroom."""
        return not data or self.write(
            memoryview(bytearray(HEADROOM) + data), HEADROOM, HEADROOM + len(data)
        )

    def write_eof(self) -> None:
        """END_STREAM once all is sent."""
        if not self._ending:
            self._ending = True
            self.serve()

    def serve(self) -> None:
        """The peer or TLS takes more: send what is held, then the end if it is due."""
        if self._id not in self._driver.outbounds:
            return
        had_held = bool(self._held)
        self._send_held()
        if self._held:
            return
        if self._ending:
            self._driver.outbounds.pop(self._id, None)
            self._driver.connection.end(self._id)
            self._driver.flush()
            if self._ended is not None:
                self._ended()
        elif had_held and self._drained is not None:
            self._drained()

    def _send_held(self) -> None:
        driver, connection = self._driver, self._driver.connection
        while self._held:
            if driver.writing_paused:
                driver.wait_to_write(self)
                return
            data = self._held[0]
            count = min(len(data), connection.sendable(self._id), connection.max_frame)
            if not count:
                if connection.exhausted:
                    driver.wait_to_write(self)
                return  # else WindowOpened of this very stream comes back here
            frame = bytearray(HEADROOM + count)
            frame[HEADROOM:] = data[:count]
            connection.frame(self._id, count, frame, 0)
            driver.write_frame(frame)
            if count == len(data):
                self._held.popleft()
            else:
                self._held[0] = data[count:]
