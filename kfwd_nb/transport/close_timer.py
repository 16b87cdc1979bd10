"""A close waits for a peer that reads what is left, however slowly, and for no other."""

from __future__ import annotations

import asyncio
import socket
import struct
import sys

CLOSE_TIMEOUT = 5.0
"""Seconds without progress after which a close waits no more for the peer to read what is left."""

_BYTES_ACKED = 120
"""Where `struct tcp_info` of linux/tcp.h has `tcpi_bytes_acked`, of 8 octets."""


class CloseTimer:
    """Aborts a transport that closes, when its peer has read nothing for `CLOSE_TIMEOUT`.

    So it does when nothing is left to be read: then the peer does not close its own side.
    """

    def __init__(self, transport: asyncio.Transport) -> None:
        self._transport = transport
        self._loop = asyncio.get_running_loop()
        self._allow_time()

    def _allow_time(self) -> None:
        self._before = self._progress()
        self._timer = self._loop.call_later(CLOSE_TIMEOUT, self._look)

    def _look(self) -> None:
        if self._transport.get_write_buffer_size() and self._progress() != self._before:
            self._allow_time()
        else:
            self._transport.abort()

    def _progress(self) -> tuple[int, int]:
        """What stands still while the peer reads nothing.

        What waits for the kernel stands still much longer for a slow one: a kernel asks for more
        only when a third of its buffer is free, which may be a MiB.
        """
        transport = self._transport
        return transport.get_write_buffer_size(), _acknowledged(transport.get_extra_info("socket"))

    def cancel(self) -> None:
        """The transport is closed."""
        self._timer.cancel()


def _acknowledged(sock: socket.socket | None) -> int:
    """Octets of which the peer's kernel has said that it has them; 0 where that is not told."""
    if sys.platform != "linux" or sock is None:
        return 0
    try:
        info = sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, _BYTES_ACKED + 8)
        return int(struct.unpack_from("=Q", info, _BYTES_ACKED)[0])
    except (OSError, struct.error):  # no TCP, closed, or a kernel before 4.1
        return 0
