"""Flow control (RFC 9113 §5.2): who may send how much, and when more is granted.

Two rules keep a stalled reader from harming anybody else:

* the connection's window is given back on receipt, so stalled streams never use it up;
* a stream's window is given back on delivery, so a stalled stream holds at most `STREAM_WINDOW`
  bytes at each hop; `LARGE_WINDOW` if `PROVEN` of its bytes had been read before it stalled.
"""

from __future__ import annotations

from h2.errors import ErrorCodes

from kfwd_nb.errors import RemoteProtocolError

DEFAULT_WINDOW = 65_535
"""Octets that may be sent before any grant (RFC 9113 §6.9.2)."""

MAX_WINDOW = 2**31 - 1
"""Octets; no window may grow beyond (RFC 9113 §6.9.1)."""

STREAM_WINDOW = 1 << 20
"""Octets that one stream may have in flight towards us: the memory that a stalled reader costs at
each hop. nghttp2's proxy gives 64 KiB, Chromium 6 MiB, Envoy 256 MiB."""

LARGE_WINDOW = 4 << 20
"""The same for a stream that has shown that it is read. With 1 MiB the sender of a large download
stands still for every other window; this takes a fifth of its processor time away."""

PROVEN = 16 << 20
"""Octets of a stream that were delivered before it gets the large window: more than the sockets on
the way swallow for a reader that never reads."""

CONNECTION_WINDOW = 64 << 20
"""Octets that a connection may have in flight towards us, all streams together."""

CONNECTION_GRANT = 1 << 20
"""Octets received on a connection before they are granted again in one WINDOW_UPDATE."""


class SendWindow:
    """Octets that the peer lets us send."""

    __slots__ = ("available",)

    def __init__(self, available: int = DEFAULT_WINDOW) -> None:
        self.available = available

    def widen(self, increment: int) -> None:
        """The peer grants `increment` octets (WINDOW_UPDATE), or changes its initial window.

        Raises:
            RemoteProtocolError: the window would pass 2**31 - 1 (RFC 9113 §6.9.1).
        """
        if self.available + increment > MAX_WINDOW:
            raise RemoteProtocolError(
                "the peer grants a window of more than 2^31-1 octets.",
                code=ErrorCodes.FLOW_CONTROL_ERROR,
            )
        self.available += increment


class ReceiveWindow:
    """Octets that we let the peer send, and the grants that renew it.

    Args:
        size: the window, octets.
        grant: the least number of octets that is worth a WINDOW_UPDATE.
        grows: octets that it grows by, once `PROVEN` were released.
    """

    __slots__ = ("_grant", "_grows", "_owed", "_unproven", "available")

    def __init__(self, size: int, grant: int, *, grows: int = 0) -> None:
        self.available = size
        self._grant = grant
        self._grows = grows
        self._unproven = PROVEN if grows else 0
        self._owed = 0

    def consume(self, count: int) -> None:
        """The peer has sent `count` octets.

        Raises:
            RemoteProtocolError: more than was granted (RFC 9113 §6.9.1).
        """
        self.available -= count
        if self.available < 0:
            raise RemoteProtocolError(
                "the peer has sent more than its window.", code=ErrorCodes.FLOW_CONTROL_ERROR
            )

    def release(self, count: int) -> int:
        """`count` octets may be sent again.

        Returns:
            The increment to announce now; 0 while it is not worth a frame.
        """
        self._owed += count
        if self._owed < self._grant:
            return 0
        owed, self._owed = self._owed, 0
        if self._unproven:
            self._unproven = max(0, self._unproven - owed)
            if not self._unproven:
                owed += self._grows
                self._grant += self._grows // 2
        self.available += owed
        return owed
