"""The server's end of an HTTP/1.1 connection (RFC 9112), over `h11`: API requests only."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import AsyncGenerator

import h11

from kfwd_nb.errors import KfwdError, LimitError, RemoteProtocolError
from kfwd_nb.transport.http import (
    MAX_BODY,
    Handler,
    Identity,
    Request,
    Response,
    status_response,
)

log = logging.getLogger(__name__)

IDLE_TIMEOUT = 120.0
"""Seconds that a connection may wait for its next request. Go's client keeps idle ones for 90 s."""


class Http1Server(asyncio.StreamReaderProtocol):
    """One connection of a peer: its requests are answered one after the other.

    Attributes:
        over: done when the connection is gone.
    """

    def __init__(self, handler: Handler, identity: Identity | None) -> None:
        loop = asyncio.get_running_loop()
        self.over: asyncio.Future[None] = loop.create_future()
        self._handler = handler
        self._identity = identity
        self._http = h11.Connection(h11.SERVER)
        self._reader_of_requests = asyncio.StreamReader(limit=1 << 16, loop=loop)
        self._serving: asyncio.Task[None] | None = None
        super().__init__(self._reader_of_requests, self._serve, loop=loop)

    def close(self) -> None:
        """End the connection."""
        if self._serving is not None:
            self._serving.cancel()

    def connection_lost(self, exc: Exception | None) -> None:
        """Nobody waits for an answer any more."""
        super().connection_lost(exc)
        if not self.over.done():
            self.over.set_result(None)
        self.close()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._serving = asyncio.current_task()
        try:
            while await self._serve_one(reader, writer):
                self._http.start_next_cycle()
        except (ConnectionError, TimeoutError, h11.ProtocolError, asyncio.CancelledError):
            pass  # the peer is gone, silent, or speaks no HTTP: there is nobody to tell
        finally:
            writer.close()
            with contextlib.suppress(OSError):
                await writer.wait_closed()

    async def _serve_one(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        """Answer one request; False when the connection is not to be used again."""
        bodiless = False
        try:
            request = await self._read(reader, writer)
            if request is None:
                return False
            response = await self._answer(request)
        except h11.RemoteProtocolError as error:
            response = status_response(RemoteProtocolError(f"bad request: {error}"))
        except LimitError as error:
            response = status_response(error)
        else:
            bodiless = request.method == "HEAD"
        await self._write(writer, response, bodiless=bodiless)
        return self._http.our_state is h11.DONE and self._http.their_state is h11.DONE

    async def _answer(self, request: Request) -> Response:
        try:
            return await self._handler.request(request)
        except KfwdError as error:
            return status_response(error)
        except Exception:
            log.exception("%s %s", request.method, request.path)
            return status_response(KfwdError("an internal error; see the log."))

    async def _read(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> Request | None:
        head: h11.Request | None = None
        body = bytearray()
        while True:
            event = self._http.next_event()
            if event is h11.NEED_DATA:
                if self._http.they_are_waiting_for_100_continue:  # curl, before a large body
                    go_on = h11.InformationalResponse(status_code=100, headers=[])
                    writer.write(self._http.send(go_on) or b"")
                async with asyncio.timeout(IDLE_TIMEOUT):
                    self._http.receive_data(await reader.read(1 << 16))
            elif isinstance(event, h11.Request):
                head = event
            elif isinstance(event, h11.Data):
                body += event.data
                if len(body) > MAX_BODY:
                    raise LimitError(f"the body exceeds {MAX_BODY} octets.")
            elif isinstance(event, h11.EndOfMessage) and head is not None:
                return self._request(head, bytes(body))
            else:
                return None

    def _request(self, head: h11.Request, body: bytes) -> Request:
        headers = {name.decode("latin-1"): value.decode("latin-1") for name, value in head.headers}
        return Request(
            method=head.method.decode(),
            path=head.target.decode("latin-1"),
            authority=headers.get("host", ""),
            headers=headers,
            body=body,
            identity=self._identity,
        )

    async def _write(
        self, writer: asyncio.StreamWriter, response: Response, *, bodiless: bool = False
    ) -> None:
        headers = {"content-type": "application/json"} | response.headers
        if isinstance(response.body, bytes):
            headers["content-length"] = str(len(response.body))
        if self._http.our_state is h11.ERROR or self._http.their_state is h11.ERROR:
            headers["connection"] = "close"
        head = h11.Response(status_code=response.status, headers=list(headers.items()))
        writer.write(self._http.send(head) or b"")
        async for piece in _pieces(b"" if bodiless else response.body):
            writer.write(self._http.send(h11.Data(data=piece)) or b"")
            await writer.drain()
        writer.write(self._http.send(h11.EndOfMessage()) or b"")
        await writer.drain()


async def _pieces(body: bytes | AsyncGenerator[bytes, None]) -> AsyncGenerator[bytes, None]:
    if isinstance(body, bytes):
        if body:
            yield body
        return
    async with contextlib.aclosing(body):
        async for piece in body:
            yield piece
