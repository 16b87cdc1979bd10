"""httpx: a transport for `httpx.AsyncClient` on asyncio."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Iterable
from typing import Any, Unpack

import httpcore
import httpx

from kfwd_nb.adapters.httpx_sync import LIMITS, connecting, pool_options
from kfwd_nb.adapters.targets import ClusterOptions, Targets, in_one_line

HIGH_WATER = 1 << 16
"""Octets that may wait to be read or written."""


class AsyncPodTransport(httpx.AsyncHTTPTransport):
    """As `PodTransport`, which has the arguments."""

    def __init__(
        self,
        *,
        verify: ssl.SSLContext | str | bool = True,
        http2: bool = False,
        retries: int = 0,
        limits: httpx.Limits = LIMITS,
        **options: Unpack[ClusterOptions],
    ) -> None:
        self._pool = _Pool(
            Targets(options), **pool_options(verify, limits, http2=http2, retries=retries)
        )


class _Pool(httpcore.AsyncConnectionPool):
    def __init__(self, targets: Targets, **options: Any) -> None:
        super().__init__(network_backend=_Backend(targets), **options)
        self._targets = targets

    async def aclose(self) -> None:
        """Close the connections and stop the forwards."""
        await super().aclose()
        await asyncio.to_thread(self._targets.close)


class _Backend(httpcore.AsyncNetworkBackend):
    def __init__(self, targets: Targets) -> None:
        self._targets = targets

    async def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,  # noqa: ASYNC109 - httpcore's
        local_address: str | None = None,
        socket_options: Iterable[httpcore.SOCKET_OPTION] | None = None,
    ) -> httpcore.AsyncNetworkStream:
        with connecting():
            found = await asyncio.to_thread(self._targets.forward, host)
            sock = await found.open_async(port, timeout)
            return _Stream(*await asyncio.open_connection(sock=sock, limit=HIGH_WATER))

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(seconds)


class _Stream(httpcore.AsyncNetworkStream):
    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer

    async def read(self, max_bytes: int, timeout: float | None = None) -> bytes:  # noqa: ASYNC109
        try:
            async with asyncio.timeout(timeout):
                return await self._reader.read(max_bytes)
        except TimeoutError as error:
            raise httpcore.ReadTimeout(str(error)) from error
        except OSError as error:
            raise httpcore.ReadError(in_one_line(error)) from error

    async def write(self, buffer: bytes, timeout: float | None = None) -> None:  # noqa: ASYNC109
        try:
            async with asyncio.timeout(timeout):
                self._writer.write(buffer)
                await self._writer.drain()
        except TimeoutError as error:
            raise httpcore.WriteTimeout(str(error)) from error
        except OSError as error:
            raise httpcore.WriteError(in_one_line(error)) from error

    async def aclose(self) -> None:
        self._writer.close()

    async def start_tls(
        self,
        ssl_context: ssl.SSLContext,
        server_hostname: str | None = None,
        timeout: float | None = None,  # noqa: ASYNC109
    ) -> httpcore.AsyncNetworkStream:
        with connecting():
            try:
                async with asyncio.timeout(timeout):
                    await self._writer.start_tls(ssl_context, server_hostname=server_hostname)
            except BaseException:
                self._writer.close()
                raise
        return self

    def get_extra_info(self, info: str) -> Any:
        """See `httpx_sync`."""
        if info == "is_readable":
            return self._reader.at_eof() or self._reader.exception() is not None
        return self._writer.get_extra_info(info)
