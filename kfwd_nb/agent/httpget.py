"""One HTTP GET over a `ByteStream`, as a readiness probe makes it: only the status counts."""

from __future__ import annotations

import asyncio

import h11

from kfwd_nb.errors import KfwdError, RemoteProtocolError, UsageError
from kfwd_nb.transport.stream import HEADROOM, ByteStream


async def get_status(stream: ByteStream, path: str, host: str) -> int:
    """GET `path`; the answer's status. The stream stays the caller's to close.

    Raises:
        KfwdError: the path or the host cannot be sent, the connection broke, or what came is not
            HTTP.
    """
    probe = _Receiver()
    try:
        request = h11.Request(
            method="GET",
            target=path or "/",
            headers=[("host", host), ("user-agent", "kube-probe/kfwd"), ("connection", "close")],
        )
    except (h11.LocalProtocolError, UnicodeError) as error:
        raise UsageError(f"httpGet path {path!r}: {error}") from None
    data = bytes(HEADROOM) + (probe.connection.send(request) or b"")
    probe.connection.send(h11.EndOfMessage())
    stream.start(probe)
    stream.write(memoryview(bytearray(data)), HEADROOM, len(data))
    return await probe.status


class _Receiver:
    """Reads until the status line and the headers are whole."""

    def __init__(self) -> None:
        self.connection = h11.Connection(h11.CLIENT)
        self.status: asyncio.Future[int] = asyncio.get_running_loop().create_future()

    def data_received(self, buffer: memoryview, start: int, end: int) -> None:
        self._feed(bytes(buffer[start:end]))

    def eof_received(self) -> None:
        self._feed(b"")

    def writable(self) -> None:
        """A request is small: nothing waits."""

    def closed(self, error: KfwdError | None) -> None:
        self._fail(error or RemoteProtocolError("the connection ended before an answer."))

    def _feed(self, data: bytes) -> None:
        if self.status.done():
            return
        try:
            self.connection.receive_data(data)
            event = self.connection.next_event()
            while isinstance(event, h11.InformationalResponse):
                event = self.connection.next_event()
        except h11.RemoteProtocolError as error:
            self._fail(RemoteProtocolError(f"no HTTP: {error}"))
            return
        if isinstance(event, h11.Response):
            self.status.set_result(event.status_code)
        elif isinstance(event, h11.ConnectionClosed):
            self.closed(None)

    def _fail(self, error: KfwdError) -> None:
        if not self.status.done():
            self.status.set_exception(error)
            self.status.exception()  # the asker may have run out of time
