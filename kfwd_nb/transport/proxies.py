"""Through a proxy: HTTP CONNECT (RFC 9110 §9.3.6), in clear text or TLS, and SOCKS5 (RFC 1928)."""

from __future__ import annotations

import asyncio
import base64
import socket
import ssl
from urllib.parse import SplitResult, unquote, urlsplit

import h11

from kfwd_nb.errors import ConfigError, LostError, UnavailableError
from kfwd_nb.ports import bracketed
from kfwd_nb.transport.endpoint import Endpoint, dial
from kfwd_nb.transport.tcp import connect_tcp
from kfwd_nb.transport.tls import HTTP1

MAX_WORDS = 300
"""Characters of a refusal's body that are shown."""

_PORTS = {"http": 80, "https": 443, "socks5": 1080, "socks5h": 1080}


class ProxyError(UnavailableError):
    """A proxy cannot be reached, or refuses; in its own words."""


async def connect_through(proxy: str, host: str, port: int) -> socket.socket:
    """A connected socket to `host` and `port`, by way of `proxy`, which looks the name up.

    Args:
        proxy: its URL.
        host: where to.
        port: where to.

    Raises:
        ConfigError: the URL is of no kind of proxy that is known, or `host` is no name.
        ProxyError: the proxy cannot be reached, or refuses.
    """
    url = proxy_url(proxy)
    if url.scheme.startswith("socks5"):
        return await _by_socks(url, host, port)
    try:
        sock = await _reach(url)
    except OSError as error:
        raise ProxyError(
            f"nobody answers at the proxy {_shown(url)}: {error.strerror or error}."
        ) from None
    except (UnavailableError, LostError) as error:
        raise ProxyError(f"the proxy {_shown(url)} cannot be reached: {error.what}") from None
    try:
        await _ask(sock, url, f"{bracketed(host)}:{port}")
    except BaseException as error:
        sock.close()
        if isinstance(error, h11.LocalProtocolError):
            raise ConfigError(f"{host[:100]!r} is no name that a proxy can be asked for.") from None
        if isinstance(error, OSError | h11.RemoteProtocolError):
            raise ProxyError(f"the proxy {_shown(url)} does not answer: {error}.") from None
        raise
    return sock


def proxy_url(proxy: str, source: str = "") -> SplitResult:
    """The parts of a proxy's URL.

    Args:
        proxy: the URL.
        source: where it was found, for messages.

    Raises:
        ConfigError: it is of no kind of proxy that is known.
    """
    try:
        url = urlsplit(proxy)
        known = url.scheme in _PORTS and bool(url.hostname) and url.port != 0
    except ValueError:
        url, known = SplitResult("", "", "", "", ""), False
    if not known:
        shown = _shown(url) if url.netloc else proxy.rpartition("@")[2]
        raise ConfigError(
            f"{f'{source}: ' if source else ''}{shown[:100]!r} is no proxy.",
            hint="a proxy is http://HOST:PORT, https://HOST:PORT or socks5://HOST:PORT.",
        )
    return url


def _shown(url: SplitResult) -> str:
    """The URL without its password."""
    return f"{url.scheme}://{url.netloc.rpartition('@')[2]}"


def _port(url: SplitResult) -> int:
    return url.port or _PORTS[url.scheme]


async def _by_socks(url: SplitResult, host: str, port: int) -> socket.socket:
    import python_socks
    from python_socks.async_.asyncio import Proxy

    way = Proxy(
        python_socks.ProxyType.SOCKS5,
        str(url.hostname),
        _port(url),
        username=unquote(url.username) if url.username else None,
        password=unquote(url.password) if url.password else None,
        rdns=True,
    )
    try:
        sock = await way.connect(host, port)
    except python_socks.ProxyError as error:
        raise ProxyError(f"the proxy {_shown(url)} refuses {host}:{port}: {error}.") from None
    except python_socks.ProxyConnectionError as error:
        raise ProxyError(f"{error.strerror or error}.") from None
    if sock.family in (socket.AF_INET, socket.AF_INET6):
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return sock


async def _reach(url: SplitResult) -> socket.socket:
    """A connection to the proxy itself."""
    host, port = str(url.hostname), _port(url)
    if url.scheme == "http":
        return await connect_tcp(host, port)
    return await _bridge(Endpoint(host, port, ssl.create_default_context()))


async def _ask(sock: socket.socket, url: SplitResult, authority: str) -> None:
    """Ask for a tunnel.

    Raises:
        ProxyError: the proxy refuses.
        OSError, h11.RemoteProtocolError: it does not answer as one.
    """
    loop = asyncio.get_running_loop()
    http = h11.Connection(h11.CLIENT)
    headers = [("host", authority)]
    if url.username is not None:
        pair = f"{unquote(url.username)}:{unquote(url.password or '')}"
        token = base64.b64encode(pair.encode()).decode()
        headers.append(("proxy-authorization", f"Basic {token}"))
    request = h11.Request(method="CONNECT", target=authority, headers=headers)
    await loop.sock_sendall(
        sock, (http.send(request) or b"") + (http.send(h11.EndOfMessage()) or b"")
    )
    status, words, body = 0, "", bytearray()
    while True:
        event = http.next_event()
        if event is h11.NEED_DATA:
            http.receive_data(await loop.sock_recv(sock, 1 << 14))
        elif isinstance(event, h11.Response):
            status, words = event.status_code, bytes(event.reason).decode("latin-1")
            if 200 <= status < 300:
                return
        elif isinstance(event, h11.Data) and len(body) < MAX_WORDS:
            body += event.data
        elif isinstance(event, h11.EndOfMessage | h11.ConnectionClosed) or len(body) >= MAX_WORDS:
            break
    said = " ".join(body.decode(errors="replace").split())[:MAX_WORDS]
    more = f": {said}" if said and "<" not in said else ""
    raise ProxyError(f"the proxy {_shown(url)} refuses {authority}: {status} {words}{more}.")


class _Half(asyncio.Protocol):
    """One side of a bridge between two connections; `other` is its other side."""

    def __init__(self) -> None:
        self.other = self
        self.transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport

    def data_received(self, data: bytes) -> None:
        if self.other.transport is not None:
            self.other.transport.write(data)

    def pause_writing(self) -> None:
        if self.other.transport is not None:
            self.other.transport.pause_reading()

    def resume_writing(self) -> None:
        if self.other.transport is not None:
            self.other.transport.resume_reading()

    def connection_lost(self, exc: Exception | None) -> None:
        self.transport = None
        if self.other.transport is not None:
            self.other.transport.close()


async def _bridge(endpoint: Endpoint) -> socket.socket:
    """TLS to the proxy, as a plain socket: Python's TLS goes on sockets only, not on TLS."""
    ours, theirs = socket.socketpair()
    ours.setblocking(False)
    theirs.setblocking(False)
    near, far = _Half(), _Half()
    near.other, far.other = far, near
    try:
        await dial(endpoint, far, alpn=[HTTP1])
        await asyncio.get_running_loop().create_connection(lambda: near, sock=theirs)
    except BaseException:
        if far.transport is not None:
            far.transport.abort()
        ours.close()
        theirs.close()
        raise
    return ours
