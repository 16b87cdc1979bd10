"""Listens to a connection between its transport and its protocol, which notice nothing of it.

Only connections that were opened with a tap have one; all others pass nothing here.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any, Protocol

READ_SIZE = 1 << 16
"""Octets of one read for a protocol that has no buffer of its own."""


class Tap(Protocol):
    """Hears what passes. Calls are made on the connection's event loop; none may raise."""

    def sent(self, data: memoryview) -> None:
        """Octets that are handed to the transport, valid during the call."""

    def received(self, data: memoryview) -> None:
        """Octets that were read, valid during the call."""

    def closed(self) -> None:
        """The connection is over."""


MakeTap = Callable[[], Tap]
"""Makes what listens to one new connection."""


class TappedProtocol(asyncio.BufferedProtocol):
    """Stands before a protocol, buffered or not.

    Attributes:
        inner: the protocol that is called; `TappedTransport.set_protocol` changes it.
    """

    def __init__(self, inner: asyncio.BaseProtocol, tap: Tap) -> None:
        self.inner = inner
        self._tap = tap
        self._buffer = memoryview(b"")

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Introduce the protocol to a transport that is tapped, too."""
        assert isinstance(transport, asyncio.Transport)
        self.inner.connection_made(TappedTransport(transport, self, self._tap))

    def get_buffer(self, sizehint: int) -> memoryview:
        """The protocol's own, if it has one."""
        if isinstance(self.inner, asyncio.BufferedProtocol):
            self._buffer = memoryview(self.inner.get_buffer(sizehint))
        else:
            self._buffer = memoryview(bytearray(READ_SIZE))
        return self._buffer

    def buffer_updated(self, nbytes: int) -> None:
        """Tell the tap, then the protocol."""
        data = self._buffer[:nbytes]
        self._tap.received(data)
        if isinstance(self.inner, asyncio.BufferedProtocol):
            self.inner.buffer_updated(nbytes)
        else:
            assert isinstance(self.inner, asyncio.Protocol)
            self.inner.data_received(bytes(data))

    def eof_received(self) -> bool | None:
        """Pass it on."""
        assert isinstance(self.inner, asyncio.Protocol | asyncio.BufferedProtocol)
        return self.inner.eof_received()

    def pause_writing(self) -> None:
        """Pass it on."""
        self.inner.pause_writing()

    def resume_writing(self) -> None:
        """Pass it on."""
        self.inner.resume_writing()

    def connection_lost(self, exc: Exception | None) -> None:
        """Pass it on."""
        self._tap.closed()
        self.inner.connection_lost(exc)


class TappedTransport(asyncio.Transport):
    """What the protocol sees in the place of its transport."""

    def __init__(self, transport: asyncio.Transport, before: TappedProtocol, tap: Tap) -> None:
        super().__init__()
        self._transport = transport
        self._before = before
        self._tap = tap

    def write(self, data: bytes | bytearray | memoryview) -> None:
        """Tell the tap what will be written, then write it."""
        if not self._transport.is_closing():
            self._tap.sent(memoryview(data))
        self._transport.write(data)

    def set_protocol(self, protocol: asyncio.BaseProtocol) -> None:
        """Hand the connection over to another protocol; the tap stays."""
        self._before.inner = protocol

    def get_protocol(self) -> asyncio.BaseProtocol:
        """The protocol that is called now."""
        return self._before.inner

    def pause_reading(self) -> None:
        """Pass it on."""
        self._transport.pause_reading()

    def resume_reading(self) -> None:
        """Pass it on."""
        self._transport.resume_reading()

    def is_reading(self) -> bool:
        """Pass it on."""
        return self._transport.is_reading()

    def set_write_buffer_limits(self, high: int | None = None, low: int | None = None) -> None:
        """Pass it on."""
        self._transport.set_write_buffer_limits(high, low)

    def get_write_buffer_limits(self) -> tuple[int, int]:
        """Pass it on."""
        return self._transport.get_write_buffer_limits()

    def get_write_buffer_size(self) -> int:
        """Pass it on."""
        return self._transport.get_write_buffer_size()

    def can_write_eof(self) -> bool:
        """Pass it on."""
        return self._transport.can_write_eof()

    def write_eof(self) -> None:
        """Pass it on."""
        self._transport.write_eof()

    def is_closing(self) -> bool:
        """Pass it on."""
        return self._transport.is_closing()

    def close(self) -> None:
        """Pass it on."""
        self._transport.close()

    def abort(self) -> None:
        """Pass it on."""
        self._transport.abort()

    def get_extra_info(self, name: str, default: Any = None) -> Any:
        """Pass it on."""
        return self._transport.get_extra_info(name, default)
