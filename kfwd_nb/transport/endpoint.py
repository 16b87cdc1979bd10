"""Where a server is, and how a connection to it is opened: name, proxy, TCP, TLS."""

from __future__ import annotations

import asyncio
import socket
import ssl
import sys
import weakref
from collections.abc import Sequence
from dataclasses import dataclass

from kfwd_nb.errors import LostError, UnavailableError
from kfwd_nb.ports import bracketed
from kfwd_nb.transport.plain_transport import PlainTransport
from kfwd_nb.transport.tls_transport import TlsTransport, handshake

CONNECT_TIMEOUT = 10.0
"""Seconds for name, proxy, TCP and TLS together."""


@dataclass(frozen=True, slots=True)
class Endpoint:
    """One server, and the way to it.

    Attributes:
        tls: None speaks plain HTTP.
        server_hostname: the name that the certificate must carry, if it is not `host`.
        proxy: URL of a proxy in between: `http://`, `https://` or `socks5://`, with
            `USER:PASSWORD@` where it asks for that; None goes straight.
    """

    host: str
    port: int
    tls: ssl.SSLContext | None
    server_hostname: str | None = None
    proxy: str | None = None

    def __str__(self) -> str:
        return f"{bracketed(self.host)}:{self.port}"


async def dial(
    endpoint: Endpoint, protocol: asyncio.BaseProtocol, *, alpn: Sequence[str]
) -> str | None:
    """Connect; `protocol` is then driven by an `asyncio.Transport`, which copies what it is given.

    Args:
        endpoint: where to.
        protocol: gets `connection_made` before this returns; `set_protocol` may replace it.
        alpn: protocols to offer (RFC 7301), the best first.

    Returns:
        What the server has chosen of `alpn`; None where it did not choose, and without TLS.

    Raises:
        UnavailableError: nobody answers there, or not in time, or a proxy refuses (`ProxyError`).
        LostError: TLS fails.
    """
    try:
        async with asyncio.timeout(CONNECT_TIMEOUT):
            if endpoint.proxy is None:
                sock = await connect_tcp(endpoint.host, endpoint.port)
            else:
                from kfwd_nb.transport.proxies import connect_through

                sock = await connect_through(endpoint.proxy, endpoint.host, endpoint.port)
            return await _begin(sock, endpoint, protocol, alpn)
    except ssl.SSLError as error:
        raise LostError(f"no TLS with {endpoint}: {error.reason or error}.") from None
    except TimeoutError:
        raise UnavailableError(f"{endpoint} does not answer.") from None
    except UnicodeError:
        raise UnavailableError(f"{endpoint.host} is no name that a host can have.") from None
    except OSError as error:
        raise UnavailableError(
            f"nobody answers at {endpoint}: {error.strerror or error}."
        ) from None


async def connect_tcp(host: str, port: int) -> socket.socket:
    """A connected socket to the first address of `host` that answers.

    Raises:
        OSError: none does.
    """
    loop = asyncio.get_running_loop()
    failure: OSError | None = None
    for family, kind, number, _, address in await loop.getaddrinfo(
        host, port, type=socket.SOCK_STREAM
    ):
        sock = socket.socket(family, kind, number)
        sock.setblocking(False)
        try:
            await loop.sock_connect(sock, address)
        except OSError as error:
            sock.close()
            failure = error
        except BaseException:
            sock.close()
            raise
        else:
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            return sock
    raise failure or OSError("the name has no address")


_turns: weakref.WeakKeyDictionary[ssl.SSLContext, asyncio.Lock] = weakref.WeakKeyDictionary()
"""On Windows, where asyncio reads a context's ALPN some time after it was set."""


async def _begin(
    sock: socket.socket,
    endpoint: Endpoint,
    protocol: asyncio.BaseProtocol,
    alpn: Sequence[str],
) -> str | None:
    """TLS, if there shall be any, on a connected socket; then `protocol` on that."""
    context, name = endpoint.tls, endpoint.server_hostname or endpoint.host
    loop = asyncio.get_running_loop()
    if sys.platform == "win32":  # its loop watches no descriptors
        if context is None:
            await loop.create_connection(lambda: protocol, sock=sock)
            return None
        async with _turns.setdefault(context, asyncio.Lock()):
            context.set_alpn_protocols(list(alpn))
            transport, _ = await loop.create_connection(
                lambda: protocol, sock=sock, ssl=context, server_hostname=name
            )
        chosen = transport.get_extra_info("ssl_object").selected_alpn_protocol()
        return None if chosen is None else str(chosen)
    if context is None:
        PlainTransport(sock, protocol).begin()
        return None
    context.set_alpn_protocols(list(alpn))  # `handshake` reads it before it first waits
    tls = await handshake(sock, context, server_hostname=name)
    TlsTransport(tls, protocol).begin()
    return tls.selected_alpn_protocol()
