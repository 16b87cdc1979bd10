"""The connection to an API server: which HTTP it speaks, credentials that end, and refusals."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncGenerator
from dataclasses import replace

from kfwd_nb.errors import KfwdError, UnauthorizedError
from kfwd_nb.kube.api.errors import refusal
from kfwd_nb.kube.kubeconfig.access import ClusterAccess
from kfwd_nb.kube.kubeconfig.credentials import Credential
from kfwd_nb.transport.http import error_of_response
from kfwd_nb.transport.http1.client import Http1Client
from kfwd_nb.transport.http2.client import NoHttp2Error, Tunnel
from kfwd_nb.transport.tap import MakeTap

UNAUTHORIZED = 401


class Wire:
    """Requests to one API server: over one HTTP/2 connection, else HTTP/1.1 ones.

    A request that is not taken (401) is made once more with new credentials. A token goes with each
    request; a certificate belongs to its connection, so another one means another connection: the
    old one then lives on until its streams are over, forwarded connections among them.

    Attributes:
        access: None for what was made of a tunnel that stood already.
    """

    def __init__(
        self,
        connection: Tunnel | Http1Client,
        access: ClusterAccess | None = None,
        certificate: bytes | None = None,
    ) -> None:
        self.access = access
        self._connection = connection
        self._certificate = certificate
        self._retired: set[Tunnel] = set()
        self._turn = asyncio.Lock()

    @classmethod
    async def open(cls, access: ClusterAccess) -> Wire:
        """Connect; see `ApiClient.open`."""
        certificate = (await access.credential()).certificate
        return cls(await connect(access), access, certificate)

    @property
    def tunnel(self) -> Tunnel | None:
        """The HTTP/2 connection, if it is one."""
        return self._connection if isinstance(self._connection, Tunnel) else None

    def close(self, error: KfwdError | None) -> None:
        """End every connection at once."""
        for tunnel in (self.tunnel, *self._retired):
            if tunnel is not None:
                tunnel.close(error)

    async def ask(self, method: str, path: str, body: bytes = b"") -> bytes:
        """The body of an answer.

        Raises:
            KfwdError: the request fails, or is refused; the kind says why.
        """
        used = await self._prepared()
        reply = await self._connection.request(method, self._path(path), body=body)
        if reply.status == UNAUTHORIZED and self._forget(used):
            await self._prepared()
            reply = await self._connection.request(method, self._path(path), body=body)
        if reply.status >= 400:
            raise refusal(error_of_response(reply.status, reply.body), reply.status, self.access)
        return reply.body

    async def lines(self, path: str, silence: float) -> AsyncGenerator[bytes, None]:
        """Lines of a stream.

        Args:
            path: with its query.
            silence: seconds without a byte after which the connection counts as lost.

        Raises:
            KfwdError: the request fails, or is refused; the kind says why.
        """
        forgotten = False
        while True:
            used = await self._prepared()
            lines = self._connection.lines(self._path(path), silence=silence)
            try:
                async with contextlib.aclosing(lines):
                    async for line in lines:
                        yield line
            except UnauthorizedError:
                if forgotten or not self._forget(used):
                    raise
                forgotten = True
            else:
                return

    # -- credentials ------------------------------------------------------------------------------

    async def _prepared(self) -> Credential | None:
        """Have the connection use what is valid now, and say what that is."""
        if self.access is None:
            return None
        now = await self.access.credential()
        if now.certificate != self._certificate:
            async with self._turn:
                if now.certificate != self._certificate:
                    await self._reconnect(now)
        if self.tunnel is not None:
            self.tunnel.renew(self.access.fields(now))
        return now

    async def _reconnect(self, now: Credential) -> None:
        assert self.access is not None
        new, old = await connect(self.access), self.tunnel
        self._connection, self._certificate = new, now.certificate
        if old is not None:
            self._retired.add(old)
            old.closed.add_done_callback(lambda _: self._retired.discard(old))
            old.retire()

    def _forget(self, used: Credential | None) -> bool:
        return used is not None and self.access is not None and self.access.forget_credentials(used)

    def _path(self, path: str) -> str:
        return path if self.access is None else self.access.path(path)


async def connect(access: ClusterAccess, tap: MakeTap | None = None) -> Tunnel | Http1Client:
    """A new connection to the server; `tap` makes what listens to it.

    Raises:
        KfwdError: see `ApiClient.open`.
    """
    endpoint = replace(await access.endpoint(), tap=tap)
    if endpoint.tls is None:
        return Http1Client(endpoint, access.headers)
    try:
        return await Tunnel.open(endpoint, headers=await access.headers())
    except NoHttp2Error:
        return Http1Client(endpoint, access.headers)
    except KfwdError as error:
        error.where = error.where or "relay"
        error.hint = error.hint or f"the address comes from {access.source}."
        raise error from None
