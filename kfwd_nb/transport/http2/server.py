"""The server's end of an HTTP/2 connection."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Coroutine

import msgspec

from kfwd_nb.errors import KfwdError, LostError
from kfwd_nb.protocol.connect import refusal_of
from kfwd_nb.protocol.hops import MAX_NOTED, NOTES_HEADER, asked
from kfwd_nb.protocol.http2.events import Headers
from kfwd_nb.transport.http import (
    MAX_BODY,
    Handler,
    Identity,
    Request,
    Response,
    status_response,
)
from kfwd_nb.transport.http2.driver import Http2Driver
from kfwd_nb.transport.http2.hops import answer
from kfwd_nb.transport.http2.outbound import Outbound
from kfwd_nb.transport.http2.resets import CANCEL, INTERNAL_ERROR, NO_ERROR
from kfwd_nb.transport.http2.tunnel_stream import TunnelStream
from kfwd_nb.transport.notes import Notes

MAX_BODIES = 2 * MAX_BODY
"""Octets of all request bodies of a connection that are still on their way: nobody has been asked
yet who sends them."""

log = logging.getLogger(__name__)


class _Body:
    """The body of a request on its way."""

    def __init__(self) -> None:
        self.gathered = bytearray()
        self.complete = asyncio.Event()


class Http2Server:
    """One connection of a peer.

    Attributes:
        over: done when the connection is gone.
    """

    def __init__(self, handler: Handler, identity: Identity | None) -> None:
        self.driver = Http2Driver(self, client=False)
        self.over: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._handler = handler
        self._identity = identity
        self._bodies: dict[int, _Body] = {}
        self._tasks: dict[int, asyncio.Task[None]] = {}
        self._noted: dict[int, Notes] = {}

    def close(self) -> None:
        """End the connection."""
        self.driver.close()

    # -- transport.http2.driver.Role --------------------------------------------------------------

    def request_received(self, stream_id: int, headers: Headers) -> None:
        """Begin to answer, in a task of its own."""
        fields = _joined(headers)
        if fields[":method"] == "CONNECT":
            stream = TunnelStream(self.driver, stream_id)
            stream.headers = fields
            if NOTES_HEADER in fields:
                self._note(stream_id, stream)
            self._begin(stream_id, self._connect(stream_id, fields, stream))
        else:
            body = self._bodies[stream_id] = _Body()
            self._begin(stream_id, self._answer(stream_id, fields, body))

    def _note(self, stream_id: int, stream: TunnelStream) -> None:
        """Keep notes of the stream: of the last `MAX_NOTED` that want it."""
        stream.notes = self._noted[stream_id] = Notes()
        if len(self._noted) > MAX_NOTED:
            self._noted.pop(next(iter(self._noted)))

    def response_received(self, stream_id: int, headers: Headers) -> None:
        """Never for a server: `h2` refuses a client's responses."""

    def body_received(self, stream_id: int, data: bytes, credit: int) -> None:
        """Gather the body, up to `MAX_BODY`."""
        body = self._bodies.get(stream_id)
        self.driver.acknowledge(stream_id, credit)
        if body is None:
            return
        body.gathered += data
        gathered = sum(len(each.gathered) for each in self._bodies.values())
        if len(body.gathered) > MAX_BODY or gathered > MAX_BODIES:
            self._bodies.pop(stream_id)
            self.driver.reset(stream_id, CANCEL)
            self._cancel(stream_id)

    def body_ended(self, stream_id: int) -> None:
        """The request is whole."""
        body = self._bodies.get(stream_id)
        if body is not None:
            body.complete.set()

    def stream_reset(self, stream_id: int, code: int) -> None:
        """Nobody waits for the answer any more."""
        self._bodies.pop(stream_id, None)
        self._cancel(stream_id)

    def going_away(self, last: int) -> None:
        """Never for a server: a client's GOAWAY is its end."""

    def connection_over(self, error: KfwdError | None) -> None:
        """Nobody waits for any answer any more."""
        for stream_id in list(self._tasks):
            self._cancel(stream_id)
        if not self.over.done():
            self.over.set_result(None)

    # -- answers ----------------------------------------------------------------------------------

    def _begin(self, stream_id: int, answer: Coroutine[None, None, None]) -> None:
        task = asyncio.get_running_loop().create_task(answer)
        self._tasks[stream_id] = task
        task.add_done_callback(lambda _: self._tasks.pop(stream_id, None))

    def _cancel(self, stream_id: int) -> None:
        task = self._tasks.get(stream_id)
        if task is not None:
            task.cancel()

    async def _connect(self, stream_id: int, fields: dict[str, str], stream: TunnelStream) -> None:
        try:
            await self._handler.connect(self._request(fields, b""), stream)
        except KfwdError as error:
            self._refuse(stream_id, stream, error)
        except Exception:
            log.exception("CONNECT %s", fields.get(":authority"))
            self._refuse(stream_id, stream, LostError("an internal error; see the log."))

    def _refuse(self, stream_id: int, stream: TunnelStream, error: KfwdError) -> None:
        """Answer, end the stream, and tell the peer not to send (RFC 9113 §8.1)."""
        if stream.accepted:
            stream.close(error)  # too late for a refusal
            return
        refusal = refusal_of(error, self._handler.hop)
        fields = [(":status", str(refusal.status)), ("proxy-status", refusal.header())]
        self.driver.connection.respond(stream_id, fields, end=True)
        self.driver.reset(stream_id, NO_ERROR)
        stream.finish(None)

    async def _answer(self, stream_id: int, fields: dict[str, str], body: _Body) -> None:
        await body.complete.wait()
        self._bodies.pop(stream_id, None)
        try:
            request = self._request(fields, bytes(body.gathered))
            question = asked(request.path) if request.method == "GET" else None
            if question is not None:
                response = await self._report(request, *question)
            else:
                response = await self._handler.request(request)
        except KfwdError as error:
            response = status_response(error)
        except Exception:
            log.exception("%s %s", fields.get(":method"), fields.get(":path"))
            response = status_response(KfwdError("an internal error; see the log."))
        try:
            await self._send(stream_id, response, bare=fields[":method"] == "HEAD")
        except Exception as error:
            if not isinstance(error, KfwdError):
                log.exception("%s %s", fields.get(":method"), fields.get(":path"))
            self.driver.reset(stream_id, INTERNAL_ERROR)

    async def _report(self, request: Request, streams: list[int], wants_notes: bool) -> Response:
        await self._handler.admit(request)
        noted = self._noted if wants_notes else {}
        report = await answer(self.driver, noted, self._handler.hop, streams)
        return Response(200, msgspec.json.encode(report))

    def _request(self, fields: dict[str, str], body: bytes) -> Request:
        return Request(
            method=fields[":method"],
            path=fields.get(":path", ""),
            authority=fields.get(":authority", ""),
            headers=fields,
            body=body,
            identity=self._identity,
        )

    async def _send(self, stream_id: int, response: Response, *, bare: bool) -> None:
        """Send it; `bare` leaves the body out, as a HEAD wants it (RFC 9110 §9.3.2)."""
        headers = {"content-type": "application/json"} | response.headers
        if isinstance(response.body, bytes):
            headers["content-length"] = str(len(response.body))
        head = [(":status", str(response.status)), *headers.items()]
        self.driver.connection.respond(stream_id, head, end=bare)
        if bare:
            self.driver.flush()
            if not isinstance(response.body, bytes):
                await response.body.aclose()
            return
        drained = asyncio.Event()
        outbound = Outbound(self.driver, stream_id, drained.set)
        if isinstance(response.body, bytes):
            outbound.write_bytes(response.body)
        else:
            async with contextlib.aclosing(response.body) as pieces:
                self.driver.flush()
                async for piece in pieces:
                    drained.clear()
                    if not outbound.write_bytes(piece):
                        await drained.wait()
        outbound.write_eof()


def _joined(headers: Headers) -> dict[str, str]:
    """Header fields by name; repeated ones joined by commas (RFC 9110 §5.3)."""
    fields: dict[str, str] = {}
    for name, value in headers:
        fields[name] = f"{fields[name]}, {value}" if name in fields else value
    return fields
