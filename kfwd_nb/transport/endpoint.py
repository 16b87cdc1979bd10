"""Where a server is, and how a connection to it is opened: name, proxy, TCP, TLS."""

from __future__ import annotations

import asyncio
import socket
import ssl
import sys
import weakref
from collections.abc import Sequence
from dataclasses import dataclass

from kfwd_nb.errors import ConfigError, LostError, UnavailableError
from kfwd_nb.ports import bracketed
from kfwd_nb.transport.plain_transport import PlainTransport
from kfwd_nb.transport.tap import MakeTap, TappedProtocol
from kfwd_nb.transport.tcp import connect_tcp
from kfwd_nb.transport.tls_transport import TlsTransport, handshake

CONNECT_TIMEOUT = 10.0
"""Seconds for name, proxy, TCP and TLS together."""


class NoServerError(UnavailableError):
    """The machine is there, and refuses: no program listens on that port."""


@dataclass(frozen=True, slots=True)
class Endpoint:
    """One server, and the way to it.

    Attributes:
        tls: None speaks plain HTTP.
        server_hostname: the name that the certificate must carry, if it is not `host`.
        proxy: URL of a proxy in between: `http://`, `https://` or `socks5://`, with
            `USER:PASSWORD@` where it asks for that; None goes straight.
        tap: makes what listens to a new connection, above TLS; None: nobody does.
    """

    host: str
    port: int
    tls: ssl.SSLContext | None
    server_hostname: str | None = None
    proxy: str | None = None
    tap: MakeTap | None = None

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
        UnavailableError: nobody answers there (`NoServerError` if it is refused), or not in time,
            or a proxy refuses (`ProxyError`).
        LostError: TLS fails.
        ConfigError: the proxy's URL, or the name of the server's certificate, is none.
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
        raise LostError(f"no TLS with {endpoint}: {_words(error)}.") from None
    except TimeoutError:
        raise UnavailableError(f"{endpoint} does not answer.") from None
    except UnicodeError:
        raise UnavailableError(f"{endpoint.host} is no name that a host can have.") from None
    except ConnectionRefusedError as error:
        raise NoServerError(f"nobody answers at {endpoint}: {error.strerror}.") from None
    except OSError as error:
        raise UnavailableError(
            f"nobody answers at {endpoint}: {error.strerror or error}."
        ) from None


def _words(error: ssl.SSLError) -> str:
    """OpenSSL's reason; of a certificate, what is wrong with it."""
    said = getattr(error, "verify_message", "") or error.reason or str(error)
    return str(said).rstrip(".")


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
    if endpoint.tap is not None:
        protocol = TappedProtocol(protocol, endpoint.tap())
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
    try:
        tls = await handshake(sock, context, server_hostname=name)
    except ssl.SSLError:
        raise
    except ValueError as error:  # UnicodeError among them: it cannot be sent in a ClientHello
        raise ConfigError(
            f"{name[:100]!r} is no name that a certificate can have: {error}."
        ) from None
    TlsTransport(tls, protocol).begin()
    return tls.selected_alpn_protocol()
