"""Ways to a server: straight, in clear text and in TLS, and through each kind of proxy."""

from __future__ import annotations

import asyncio
import socket
import ssl
from collections.abc import AsyncIterator, Callable

import pytest
from peers.proxies import Proxy
from peers.streams import until

from kfwd_nb.errors import ConfigError, LostError, UnavailableError
from kfwd_nb.transport import endpoint as endpoint_module
from kfwd_nb.transport.endpoint import Endpoint
from kfwd_nb.transport.http1_client import upgrade
from kfwd_nb.transport.proxies import ProxyError
from kfwd_nb.transport.tunnel import Tunnel

pytestmark = pytest.mark.chain


@pytest.fixture
async def proxy(authority, monkeypatch) -> AsyncIterator[Callable[..., object]]:
    """`await proxy(kind)`: the URL of a running proxy, and the proxy."""
    running: list[Proxy] = []
    monkeypatch.setenv("SSL_CERT_FILE", str(authority.ca))

    async def start(scheme: str, **options: object) -> tuple[str, Proxy]:
        made = Proxy("http" if scheme.startswith("http") else "socks5", **options)
        context = None
        if scheme == "https":
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(*authority.issue("proxy"))
        await made.start(context)
        running.append(made)
        login = f"{made.password}@" if made.password else ""
        return f"{scheme}://{login}127.0.0.1:{made.port}", made

    yield start
    for each in running:
        await each.close()


SCHEMES = pytest.mark.parametrize("scheme", ["http", "https", "socks5", "socks5h"])


@SCHEMES
async def test_an_api_request_and_an_upgrade_go_through_a_proxy(proxy, scheme, server, client_tls):
    url, made = await proxy(scheme)
    endpoint = Endpoint("127.0.0.1", server.port, client_tls, proxy=url)
    tunnel = await Tunnel.open(endpoint)
    body = bytes(range(256)) * 8000
    assert (await tunnel.request("PUT", "/echo", body=body)).body == body
    tunnel.close()
    assert made.asked == [f"127.0.0.1:{server.port}"]
    (await upgrade(endpoint, "/", {"upgrade": "echo/1"})).abort()
    await until(lambda: not server.connections)


@SCHEMES
async def test_the_proxy_looks_the_name_up(proxy, scheme, server, client_tls):
    url, made = await proxy(scheme)
    made.targets["api.cluster.example:443"] = server.port
    endpoint = Endpoint("api.cluster.example", 443, client_tls, "localhost", proxy=url)
    tunnel = await Tunnel.open(endpoint)
    assert (await tunnel.request("GET", "/echo")).status == 200
    tunnel.close()
    assert made.asked == ["api.cluster.example:443"]


@SCHEMES
async def test_a_proxy_with_a_password(proxy, scheme, server, client_tls):
    url, _ = await proxy(scheme, password="me:secret")
    tunnel = await Tunnel.open(Endpoint("127.0.0.1", server.port, client_tls, proxy=url))
    tunnel.close()
    bare = url.replace("me:secret", "me:wrong")
    with pytest.raises(ProxyError, match=r"407|uthentication") as caught:
        await Tunnel.open(Endpoint("127.0.0.1", server.port, client_tls, proxy=bare))
    assert "wrong" not in str(caught.value)


@pytest.mark.parametrize(
    ("scheme", "refusal", "words"),
    [
        (
            "http",
            b"HTTP/1.1 403 Forbidden\r\nContent-Length: 11\r\n\r\nnot for you",
            "403 Forbidden: not for you",
        ),
        ("https", b"HTTP/1.1 502 Bad Gateway\r\n\r\n", "502 Bad Gateway"),
        ("http", b"HTTP/1.1 40", "does not answer"),
        ("http", b"SSH-2.0-x\r\n\r\n", "does not answer"),
        ("socks5", b"\x02", "not allowed by ruleset"),
        ("socks5", b"\x05", "Connection refused"),
    ],
)
async def test_a_proxy_that_refuses_is_an_error_with_its_words(
    proxy, scheme, refusal, words, client_tls
):
    url, _ = await proxy(scheme, refuse=refusal)
    with pytest.raises(ProxyError, match=words):
        await Tunnel.open(Endpoint("10.1.2.3", 443, client_tls, proxy=url))


@SCHEMES
async def test_a_proxy_that_is_not_there(scheme, client_tls):
    endpoint = Endpoint("10.1.2.3", 443, client_tls, proxy=f"{scheme}://127.0.0.1:1")
    with pytest.raises(ProxyError, match=r"127\.0\.0\.1:1"):
        await Tunnel.open(endpoint)


@SCHEMES
async def test_a_proxy_that_says_nothing(scheme, client_tls, monkeypatch):
    monkeypatch.setattr(endpoint_module, "CONNECT_TIMEOUT", 0.1)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"{scheme}://127.0.0.1:{silent.getsockname()[1]}"
        with pytest.raises(UnavailableError):
            await Tunnel.open(Endpoint("10.1.2.3", 443, client_tls, proxy=url))


@pytest.mark.parametrize("url", ["ftp://x:1", "127.0.0.1:3128", "http://", "socks4://x:1"])
async def test_what_is_no_proxy(url, client_tls):
    with pytest.raises(ConfigError, match="is no proxy"):
        await Tunnel.open(Endpoint("10.1.2.3", 443, client_tls, proxy=url))


async def test_no_tls_and_no_http2_is_said_so(client_tls):
    with pytest.raises(LostError, match="no TLS to agree"):
        await Tunnel.open(Endpoint("127.0.0.1", 1, None))


async def test_an_ipv6_address_is_written_in_brackets(client_tls):
    assert str(Endpoint("::1", 443, client_tls)) == "[::1]:443"


async def test_an_opening_that_is_cancelled_leaves_nothing(server, client_tls):
    opening = asyncio.create_task(Tunnel.open(Endpoint("127.0.0.1", server.port, client_tls)))
    await asyncio.sleep(0.001)
    opening.cancel()
    await asyncio.gather(opening, return_exceptions=True)
    await until(lambda: not server.connections)
