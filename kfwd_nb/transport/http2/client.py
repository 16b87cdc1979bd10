"""The client's end of an HTTP/2 connection: CONNECT streams and API requests, side by side."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Mapping
from dataclasses import dataclass, field

from kfwd_nb.errors import KfwdError, LostError
from kfwd_nb.protocol.connect import error_of
from kfwd_nb.protocol.http2.events import Headers
from kfwd_nb.transport.answers import REQUEST_TIMEOUT, Pieces, Reply, gathered, lines_of
from kfwd_nb.transport.endpoint import Endpoint, dial
from kfwd_nb.transport.http import error_of_response, header_lines
from kfwd_nb.transport.http2.driver import Http2Driver
from kfwd_nb.transport.http2.outbound import Outbound
from kfwd_nb.transport.http2.resets import CANCEL, reset_error
from kfwd_nb.transport.http2.tunnel_stream import TunnelStream
from kfwd_nb.transport.tls import H2, HTTP1

RETIRED_CHECK = 1.0
"""Seconds between two looks at a retired tunnel: are its streams over?"""


class NoHttp2Error(LostError):
    """The server is there, and speaks HTTP/1.1 only (`http1.client` does)."""


@dataclass(slots=True)
class _Exchange:
    """An answer on its way."""

    headers: asyncio.Future[dict[str, str]]
    pieces: asyncio.Queue[tuple[bytes, int] | KfwdError | None] = field(
        default_factory=asyncio.Queue
    )


class Tunnel:
    """One HTTP/2 connection, shared by all that goes to its server.

    Attributes:
        closed: done when the connection is over, with the error if it was not closed by us.
    """

    def __init__(self, headers: Mapping[str, str], authority: str) -> None:
        self._driver = Http2Driver(self, client=True)
        self._headers = dict(headers)
        self._authority = authority
        self._exchanges: dict[int, _Exchange] = {}
        self._unanswered: dict[int, TunnelStream] = {}
        self._retired = False
        self.closed: asyncio.Future[KfwdError | None] = asyncio.get_running_loop().create_future()

    @classmethod
    async def open(cls, endpoint: Endpoint, *, headers: Mapping[str, str] | None = None) -> Tunnel:
        """Connect; `headers` go with every request, `authorization` for one.

        Raises:
            UnavailableError: nobody answers there, or not in time.
            NoHttp2Error: the server does not speak HTTP/2; HTTP/1.1 was offered, too.
            LostError: TLS fails.
        """
        if endpoint.tls is None:
            raise NoHttp2Error(f"{endpoint} has no TLS to agree on HTTP/2 by.")
        tunnel = cls(headers or {}, str(endpoint))
        alpn = await dial(endpoint, tunnel._driver, alpn=[H2, HTTP1])
        if alpn != H2:
            tunnel._driver.abandon(LostError("HTTP/2 was not agreed on."))
            raise NoHttp2Error(f"{endpoint} does not speak HTTP/2.")
        return tunnel

    @property
    def driver(self) -> Http2Driver:
        """What drives the connection."""
        return self._driver

    @property
    def alive(self) -> bool:
        """The connection stands, and takes new streams."""
        return not (self._retired or self.closed.done() or self._driver.closing)

    def close(self, error: KfwdError | None = None) -> None:
        """End the connection at once; its streams end with `error`."""
        if error is None:
            self._driver.close()
        else:
            self._driver.abandon(error)

    def retire(self) -> None:
        """Take no new streams, and end with the last one that there is."""
        self._retired = True
        if self.closed.done() or self._driver.closing:
            return
        if self._driver.connection.open_streams:
            asyncio.get_running_loop().call_later(RETIRED_CHECK, self.retire)
        else:
            self.close()

    def renew(self, headers: Mapping[str, str]) -> None:
        """Other fields for all requests from now on: a token was renewed."""
        self._headers = dict(headers)

    # -- requests ---------------------------------------------------------------------------------

    async def request(
        self,
        method: str,
        path: str,
        *,
        body: bytes = b"",
        headers: Mapping[str, str] | None = None,
    ) -> Reply:
        """Ask, and gather the whole answer (at most `MAX_BODY` octets).

        Raises:
            LostError: the connection went, or the answer took longer than `REQUEST_TIMEOUT`.
            LimitError: the answer is larger than `MAX_BODY`.
        """
        try:
            async with asyncio.timeout(REQUEST_TIMEOUT):
                stream_id, exchange = self._ask(method, path, body, headers or {})
                try:
                    fields = await exchange.headers
                    whole = await gathered(self._pieces(stream_id, exchange), path)
                finally:
                    self._forget(stream_id)
        except TimeoutError:
            raise LostError(f"no answer to {method} {path} in {REQUEST_TIMEOUT:.0f} s.") from None
        return Reply(int(fields[":status"]), fields, whole)

    async def lines(self, path: str, *, silence: float | None = None) -> Pieces:
        """The lines of an answer that does not end by itself (a watch), without their newlines.

        Args:
            path: with its query.
            silence: see `answers.lines_of`.

        Raises:
            KfwdError: the server refuses; its kind fits the status.
            LostError: the connection went, or no head came within `REQUEST_TIMEOUT`.
            LimitError: a line is longer than `MAX_LINE`.
        """
        stream_id, exchange = self._ask("GET", path, b"", {})
        try:
            pieces = self._pieces(stream_id, exchange)
            await self._begun(exchange, pieces, path)
            async with contextlib.aclosing(lines_of(pieces, path, silence)) as lines:
                async for line in lines:
                    yield line
        finally:
            self._forget(stream_id)

    async def _begun(self, exchange: _Exchange, pieces: Pieces, path: str) -> None:
        """Wait for the head of an answer in lines; a refusal is raised."""
        try:
            async with asyncio.timeout(REQUEST_TIMEOUT):
                status = int((await exchange.headers)[":status"])
                if status >= 400:
                    raise error_of_response(status, await gathered(pieces, path))
        except TimeoutError:
            raise LostError(f"no answer to GET {path} in {REQUEST_TIMEOUT:.0f} s.") from None

    def _ask(
        self, method: str, path: str, body: bytes, headers: Mapping[str, str]
    ) -> tuple[int, _Exchange]:
        self._check_alive()
        kind = {"content-type": "application/json"} if body else {}
        fields = [
            (":method", method),
            (":scheme", "https"),
            (":authority", self._authority),
            (":path", path),
            *header_lines({**kind, **self._headers, **headers}),
        ]
        if body:
            fields.append(("content-length", str(len(body))))
        stream_id = self._driver.connection.open(fields, end=not body)
        exchange = _Exchange(asyncio.get_running_loop().create_future())
        self._exchanges[stream_id] = exchange
        self._driver.flush()
        if body:
            outbound = Outbound(self._driver, stream_id)
            outbound.write_bytes(body)
            outbound.write_eof()
        return stream_id, exchange

    async def _pieces(self, stream_id: int, exchange: _Exchange) -> Pieces:
        while (piece := await exchange.pieces.get()) is not None:
            if isinstance(piece, KfwdError):
                raise piece
            data, credit = piece
            yield data
            self._driver.acknowledge(stream_id, credit)

    def _forget(self, stream_id: int) -> None:
        """The asker is done: what has not come yet is not wanted any more."""
        if self._exchanges.pop(stream_id, None) is not None:
            self._driver.reset(stream_id, CANCEL)

    # -- CONNECT ----------------------------------------------------------------------------------

    async def connect(
        self, authority: str, *, headers: Mapping[str, str] | None = None
    ) -> TunnelStream:
        """Open a CONNECT stream; it is the caller's, and paused until it is started.

        Raises:
            KfwdError: the tunnel's other end refuses; the kind says why (`protocol.connect`).
            LostError: the connection went.
        """
        stream_id, stream = self._open_stream(authority, headers or {})
        exchange = _Exchange(asyncio.get_running_loop().create_future())
        self._exchanges[stream_id] = exchange
        self._driver.flush()
        try:
            answer = await exchange.headers
        except BaseException:
            stream.close()
            raise
        finally:
            self._exchanges.pop(stream_id, None)
        status = int(answer[":status"])
        if not 200 <= status < 300:
            stream.close()
            raise error_of(status, answer.get("proxy-status"))
        stream.headers = answer
        return stream

    def connect_early(self, authority: str) -> TunnelStream:
        """Open a CONNECT stream, and wait for no answer: what is written follows at once.

        A refusal comes as the error of `Receiver.closed`; what was written is lost then, and no
        program has read it.

        Raises:
            LostError: the connection went.
        """
        stream_id, stream = self._open_stream(authority, {})
        self._unanswered[stream_id] = stream
        self._driver.flush_soon()
        return stream

    def _open_stream(self, authority: str, headers: Mapping[str, str]) -> tuple[int, TunnelStream]:
        self._check_alive()
        fields = [
            (":method", "CONNECT"),
            (":authority", authority),
            *header_lines({**self._headers, **headers}),
        ]
        stream_id = self._driver.connection.open(fields)
        return stream_id, TunnelStream(self._driver, stream_id)

    def _answered(self, stream: TunnelStream, answer: dict[str, str], stream_id: int) -> None:
        status = int(answer[":status"])
        if 200 <= status < 300:
            stream.headers = answer
        else:
            self._driver.reset(stream_id, CANCEL)
            stream.finish(error_of(status, answer.get("proxy-status")))

    def _check_alive(self) -> None:
        if not self.alive:
            error = self.closed.result() if self.closed.done() else None
            raise error or LostError("the tunnel is closed.")

    # -- transport.http2.driver.Role --------------------------------------------------------------

    def request_received(self, stream_id: int, headers: Headers) -> None:
        """Never for a client: `h2` refuses a server's requests."""

    def response_received(self, stream_id: int, headers: Headers) -> None:
        """Wake who asked."""
        exchange = self._exchanges.get(stream_id)
        if exchange is not None and not exchange.headers.done():
            exchange.headers.set_result(dict(headers))
        elif (stream := self._unanswered.pop(stream_id, None)) is not None:
            self._answered(stream, dict(headers), stream_id)

    def body_received(self, stream_id: int, data: bytes, credit: int) -> None:
        """Queue a piece; at most one stream window is on its way."""
        exchange = self._exchanges.get(stream_id)
        if exchange is None:
            self._driver.acknowledge(stream_id, credit)
        else:
            exchange.pieces.put_nowait((data, credit))

    def body_ended(self, stream_id: int) -> None:
        """The answer is whole."""
        exchange = self._exchanges.get(stream_id)
        if exchange is not None:
            exchange.pieces.put_nowait(None)

    def stream_reset(self, stream_id: int, code: int) -> None:
        """The answer will not come, or not whole."""
        self._unanswered.pop(stream_id, None)
        exchange = self._exchanges.get(stream_id)
        if exchange is not None:
            self._end_exchange(exchange, reset_error(code))

    def going_away(self, last: int) -> None:
        """Nothing new; what the server has not begun is lost, the rest comes to its end."""
        self.retire()
        lost = LostError("the server takes no more requests on this connection.")
        for stream_id in [each for each in self._exchanges if each > last]:
            self._end_exchange(self._exchanges[stream_id], lost)
        for stream_id in [each for each in self._driver.streams if each > last]:
            self._unanswered.pop(stream_id, None)
            self._driver.streams[stream_id].finish(lost)
            self._driver.streams.pop(stream_id, None)

    def connection_over(self, error: KfwdError | None) -> None:
        """Nothing more comes for anybody."""
        self._unanswered.clear()
        for exchange in self._exchanges.values():
            self._end_exchange(exchange, error or LostError("the tunnel was closed."))
        if not self.closed.done():
            self.closed.set_result(error)

    @staticmethod
    def _end_exchange(exchange: _Exchange, error: KfwdError) -> None:
        if not exchange.headers.done():
            exchange.headers.set_exception(error)
        exchange.pieces.put_nowait(error)
