"""The client's end of HTTP/1.1: requests to servers that speak no HTTP/2, and upgrades.

One connection for each request: whoever asks much has a `Tunnel`.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, Mapping
from urllib.parse import quote

import h11

from kfwd_nb.errors import ConfigError, KfwdError, LostError, RemoteProtocolError
from kfwd_nb.transport.answers import REQUEST_TIMEOUT, Pieces, Reply, gathered, lines_of
from kfwd_nb.transport.endpoint import Endpoint, dial
from kfwd_nb.transport.http import MAX_BODY, error_of_response, header_lines
from kfwd_nb.transport.http1.driver import Http1Driver, fields_of
from kfwd_nb.transport.tls import HTTP1

UPGRADE_TIMEOUT = 30.0
"""Seconds for the answer to an upgrade; an API server asks the kubelet, and that the runtime."""

Fields = Mapping[str, str] | Callable[[], Awaitable[Mapping[str, str]]]
"""Header fields for every request; a function is asked anew for each (a token that is renewed)."""


class UpgradeError(KfwdError):
    """The server did not switch.

    Attributes:
        status: of its answer; 101 for an agreement that is none.
        cause: why, in the server's own words.
    """

    def __init__(self, status: int, cause: KfwdError) -> None:
        super().__init__(cause.what, where=cause.where, hint=cause.hint)
        self.status = status
        self.cause = cause


class Upgraded:
    """A connection that was switched (101). It is the caller's: `begin` or `abort` it.

    Attributes:
        headers: of the 101, by lowercase name.
    """

    def __init__(self, driver: Http1Driver, headers: dict[str, str]) -> None:
        self.headers = headers
        self._driver = driver

    def begin(self, protocol: asyncio.BaseProtocol) -> asyncio.Transport:
        """Give the connection to `protocol`; what came after the 101 is fed to it at once."""
        return self._driver.hand_over(protocol)

    def abort(self) -> None:
        """Close at once."""
        self._driver.abort()


async def upgrade(
    endpoint: Endpoint, path: str, headers: Mapping[str, str], *, method: str = "POST"
) -> Upgraded:
    """Ask a server to switch protocols (RFC 9110 §7.8).

    Args:
        endpoint: where the server is.
        path: with its query.
        headers: `upgrade` names the protocol; `connection: Upgrade` is added.
        method: of the request, which has no body.

    Raises:
        UpgradeError: it answered something else, or a 101 for another protocol.
        UnavailableError: nobody answers there.
        LostError: the connection broke, or there was no answer within `UPGRADE_TIMEOUT`.
    """
    wanted = {name.lower(): value for name, value in headers.items()}
    driver = await _connect(endpoint)
    try:
        async with asyncio.timeout(UPGRADE_TIMEOUT):
            await _ask(driver, endpoint, method, path, {"connection": "Upgrade"} | wanted)
            answer = await _answer(driver, switching=True)
            fields = fields_of(answer)
            if answer.status_code != 101:
                raise await _refusal(driver, answer.status_code)
            _check_agreement(wanted["upgrade"], fields)
            driver.pause()
    except TimeoutError:
        driver.abort()
        raise LostError(f"{endpoint} did not answer in {UPGRADE_TIMEOUT:.0f} s.") from None
    except BaseException:
        driver.abort()
        raise
    return Upgraded(driver, fields)


def _check_agreement(wanted: str, fields: Mapping[str, str]) -> None:
    """A 101 must name what it switches to (RFC 9110 §7.8)."""
    tokens = [each.strip().lower() for each in fields.get("connection", "").split(",")]
    switched = fields.get("upgrade", "")
    if switched.lower() != wanted.lower() or "upgrade" not in tokens:
        words = f"the server switched to {switched[:100]!r}, not to {wanted!r}."
        raise UpgradeError(101, RemoteProtocolError(words))


async def _refusal(driver: Http1Driver, status: int) -> UpgradeError:
    """The server's words; what it does not send in full or in time is left out."""
    body = bytearray()
    with contextlib.suppress(KfwdError):
        async for piece in _body(driver):
            body += piece
            if len(body) > MAX_BODY:
                break
    return UpgradeError(status, error_of_response(status, bytes(body)))


class Http1Client:
    """Requests to one server, each on a connection of its own.

    Args:
        endpoint: where the server is.
        headers: go with every request.
    """

    def __init__(self, endpoint: Endpoint, headers: Fields) -> None:
        self._endpoint = endpoint
        self._headers = headers

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
            UnavailableError: nobody answers there.
            LostError: the connection went, or the answer took longer than `REQUEST_TIMEOUT`.
            RemoteProtocolError: the answer is no HTTP/1.1.
            LimitError: the answer is larger than `MAX_BODY`.
        """
        driver = await _connect(self._endpoint)
        try:
            async with asyncio.timeout(REQUEST_TIMEOUT):
                answer = await self._exchange(driver, method, path, body, headers or {})
                whole = await gathered(_body(driver), path)
        except TimeoutError:
            raise LostError(f"no answer to {method} {path} in {REQUEST_TIMEOUT:.0f} s.") from None
        finally:
            driver.abort()
        fields = {":status": str(answer.status_code)} | fields_of(answer)
        return Reply(answer.status_code, fields, whole)

    async def lines(self, path: str, *, silence: float | None = None) -> Pieces:
        """The lines of an answer that does not end by itself (a watch), without their newlines.

        Args:
            path: with its query.
            silence: see `answers.lines_of`.

        Raises:
            KfwdError: the server refuses; its kind fits the status.
            UnavailableError: nobody answers there.
            LostError: the connection went, or no head came within `REQUEST_TIMEOUT`.
            LimitError: a line is longer than `MAX_LINE`.
        """
        driver = await _connect(self._endpoint)
        try:
            await self._begin(driver, path)
            async with contextlib.aclosing(lines_of(_body(driver), path, silence)) as lines:
                async for line in lines:
                    yield line
        finally:
            driver.abort()

    async def _begin(self, driver: Http1Driver, path: str) -> None:
        """Ask for lines, and wait for the head; a refusal is raised."""
        try:
            async with asyncio.timeout(REQUEST_TIMEOUT):
                answer = await self._exchange(driver, "GET", path, b"", {})
                if answer.status_code >= 400:
                    raise error_of_response(answer.status_code, await gathered(_body(driver), path))
        except TimeoutError:
            raise LostError(f"no answer to GET {path} in {REQUEST_TIMEOUT:.0f} s.") from None

    async def _exchange(
        self,
        driver: Http1Driver,
        method: str,
        path: str,
        body: bytes,
        headers: Mapping[str, str],
    ) -> h11.Response | h11.InformationalResponse:
        always = await self._headers() if callable(self._headers) else self._headers
        fields = {"connection": "close"} | {k.lower(): v for k, v in always.items()}
        fields |= {name.lower(): value for name, value in headers.items()}
        if body:
            fields = {"content-type": "application/json"} | fields
            fields["content-length"] = str(len(body))
        await _ask(driver, self._endpoint, method, path, fields, body)
        return await _answer(driver)


async def _connect(endpoint: Endpoint) -> Http1Driver:
    driver = Http1Driver(client=True)
    await dial(endpoint, driver, alpn=[HTTP1])
    return driver


async def _ask(
    driver: Http1Driver,
    endpoint: Endpoint,
    method: str,
    path: str,
    fields: Mapping[str, str],
    body: bytes = b"",
) -> None:
    """Send a request.

    Raises:
        LostError: the connection went.
        ConfigError: a field holds what no field may (a token with a newline).
    """
    try:
        head = h11.Request(
            method=method,
            target=quote(path, safe="/?=&%:+,;@~!$'()*[]"),
            headers=[("host", str(endpoint)), *header_lines(fields)],
        )
    except h11.LocalProtocolError as error:
        raise ConfigError(f"the request to {endpoint} cannot be written: {error}.") from None
    await driver.send(head, *([h11.Data(data=body)] if body else []), h11.EndOfMessage())


async def _answer(
    driver: Http1Driver, *, switching: bool = False
) -> h11.Response | h11.InformationalResponse:
    """The head of the final answer, or of a 101."""
    while True:
        event = await driver.event()
        if isinstance(event, h11.Response):
            return event
        if isinstance(event, h11.InformationalResponse):
            if event.status_code == 101 and switching:
                return event
        else:
            raise LostError("the server closed the connection and did not answer.")


async def _body(driver: Http1Driver) -> Pieces:
    while True:
        event = await driver.event()
        if isinstance(event, h11.Data):
            yield bytes(event.data)
        elif isinstance(event, h11.EndOfMessage):
            return
        else:
            raise LostError("the connection was closed in the middle of an answer.")
