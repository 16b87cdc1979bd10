"""The one read buffer of an event loop.

What a read brings is passed on before the loop reads again, so all connections of a loop share one
buffer: a connection that only waits costs no buffer at all.
"""

from __future__ import annotations

import threading

from kfwd_nb.transport.stream import HEADROOM

READ_SIZE = 1 << 18
"""Octets of one read. The TLS of asyncio decrypts at most this much at a time."""


CHUNK = READ_SIZE - 64
"""Octets of one read from a socket without TLS. Whatever is put before them on their way (HTTP/2 9
octets, SPDY 8, a WebSocket 14 besides), they fill whole TLS records: a last one of a few octets
would wake every hop once more for each chunk."""


class _Local(threading.local):
    def __init__(self) -> None:
        self.buffer = memoryview(bytearray(HEADROOM + READ_SIZE))


_local = _Local()


def read_buffer() -> memoryview:
    """The calling thread's buffer of `HEADROOM + READ_SIZE` octets; reads go in after `HEADROOM`.

    What it holds is valid until the running callback returns to the event loop.
    """
    return _local.buffer
