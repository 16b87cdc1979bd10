"""The server's end of an HTTP/1.1 connection (RFC 9112): API requests and upgrades."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import ssl

import h11

from kfwd_nb.errors import KfwdError, LimitError, RemoteProtocolError
from kfwd_nb.transport.http import (
    MAX_BODY,
    Handler,
    Identity,
    Request,
    Response,
    Switch,
    status_response,
)
from kfwd_nb.transport.http1.driver import Http1Driver, fields_of
from kfwd_nb.transport.tls_transport import TlsTransport

log = logging.getLogger(__name__)

IDLE_TIMEOUT = 120.0
"""Seconds that a connection may wait for its next request. Go's client keeps idle ones for 90 s."""


class Http1Server:
    """One connection of a peer: its requests are answered one after the other.

    Attributes:
        over: done when the connection is gone, also when it was switched to another protocol.
    """

    def __init__(self, handler: Handler, identity: Identity | None) -> None:
        self._driver = Http1Driver(client=False)
        self._http = self._driver.http
        self._handler = handler
        self._identity = identity
        self._transport: TlsTransport | None = None
        self._serving: asyncio.Task[None] | None = None
        self.over: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def begin(self, tls: ssl.SSLSocket) -> None:
        """Serve the peer at the other end of `tls`."""
        transport = self._transport = TlsTransport(tls, self._driver)
        transport.begin()
        transport.over.add_done_callback(self._lost)
        self._serving = asyncio.get_running_loop().create_task(self._serve(transport))

    def close(self) -> None:
        """End the connection."""
        if self._serving is not None:
            self._serving.cancel()
        if self._transport is not None:
            self._transport.abort()

    def _lost(self, _: asyncio.Future[None]) -> None:
        """Nobody waits for an answer any more."""
        if self._serving is not None:
            self._serving.cancel()
        if not self.over.done():
            self.over.set_result(None)

    async def _serve(self, transport: TlsTransport) -> None:
        try:
            while await self._serve_one():
                self._http.start_next_cycle()
            if self._http.our_state is not h11.SWITCHED_PROTOCOL:
                await transport.linger()
        except (KfwdError, TimeoutError, h11.ProtocolError, asyncio.CancelledError):
            transport.abort()  # the peer is gone, or silent: there is nobody to tell
        except Exception:
            log.exception("an answer broke off")
            transport.abort()

    async def _serve_one(self) -> bool:
        """Answer one request; False when the connection is not to be used again."""
        bodiless = False
        answer: Response | Switch
        try:
            request = await self._read()
            if request is None:
                return False
            answer = await self._answer(request)
        except RemoteProtocolError as error:
            answer = status_response(RemoteProtocolError(f"bad request: {error}"))
        except LimitError as error:
            answer = status_response(error)
        else:
            bodiless = request.method == "HEAD"
        if isinstance(answer, Switch):
            await self._switch(answer)
            return False
        await self._write(answer, bodiless=bodiless)
        return self._http.our_state is h11.DONE and self._http.their_state is h11.DONE

    async def _answer(self, request: Request) -> Response | Switch:
        try:
            if _may_switch(request, self._http.their_http_version):
                return await self._handler.upgrade(request)
            return await self._handler.request(request)
        except KfwdError as error:
            return status_response(error)
        except Exception:
            log.exception("%s %s", request.method, request.path)
            return status_response(KfwdError("an internal error; see the log."))

    async def _switch(self, switch: Switch) -> None:
        headers = {"connection": "Upgrade"} | switch.headers
        await self._driver.send(
            h11.InformationalResponse(status_code=101, headers=list(headers.items()))
        )
        self._driver.hand_over(switch.protocol)

    async def _read(self) -> Request | None:
        head: h11.Request | None = None
        body = bytearray()
        while True:
            async with asyncio.timeout(IDLE_TIMEOUT):
                event = await self._driver.event()
            if isinstance(event, h11.Request):
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
        headers = fields_of(head)
        return Request(
            method=head.method.decode(),
            path=head.target.decode("latin-1"),
            authority=headers.get("host", ""),
            headers=headers,
            body=body,
            identity=self._identity,
        )

    async def _write(self, response: Response, *, bodiless: bool = False) -> None:
        headers = {"content-type": "application/json"} | response.headers
        if isinstance(response.body, bytes):
            headers["content-length"] = str(len(response.body))
        if self._http.our_state is h11.ERROR or self._http.their_state is h11.ERROR:
            headers["connection"] = "close"
        head = h11.Response(status_code=response.status, headers=list(headers.items()))
        if isinstance(response.body, bytes):
            body = [] if bodiless else [h11.Data(data=response.body)]
            await self._driver.send(head, *body, h11.EndOfMessage())
            return
        async with contextlib.aclosing(response.body) as pieces:
            await self._driver.send(head)
            if not bodiless:
                async for piece in pieces:
                    await self._driver.send(h11.Data(data=piece))
        await self._driver.send(h11.EndOfMessage())


def _may_switch(request: Request, version: bytes | None) -> bool:
    """HTTP/1.0 knows no upgrade, and the field counts only where `connection` names it."""
    tokens = [each.strip().lower() for each in request.headers.get("connection", "").split(",")]
    return version == b"1.1" and "upgrade" in tokens and "upgrade" in request.headers
