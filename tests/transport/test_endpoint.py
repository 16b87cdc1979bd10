"""Ways to a server: straight, in clear text and in TLS, and through each kind of proxy."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import ssl
from collections.abc import AsyncIterator, Callable

import pytest
from peers.proxies import Proxy
from peers.streams import until

from kfwd_nb.errors import ConfigError, LostError, UnavailableError
from kfwd_nb.kube.kubeconfig.access import ClusterAccess
from kfwd_nb.transport import endpoint as endpoint_module
from kfwd_nb.transport import tcp
from kfwd_nb.transport.endpoint import Endpoint
from kfwd_nb.transport.http1.client import upgrade
from kfwd_nb.transport.http2.client import Tunnel
from kfwd_nb.transport.proxies import ProxyError

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


async def test_a_process_that_ends_connects_no_more():
    await asyncio.get_running_loop().shutdown_default_executor()
    with pytest.raises(LostError, match="this process ends"):
        await endpoint_module.connect_tcp("127.0.0.1", 443)


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


@pytest.mark.parametrize(
    "url",
    [
        "ftp://x:1",
        "127.0.0.1:3128",
        "http://",
        "socks4://x:1",
        "http://proxy:99999",
        "http://[::1",
        "http://proxy:abc",
        "socks5://h:99999",
        "http://proxy:0",
    ],
)
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


# -- several addresses ----------------------------------------------------------------------------


@pytest.fixture
def several(monkeypatch) -> Callable[..., list[socket.socket]]:
    """`several(*addresses)`: what any name stands for; returns the sockets that are connected."""

    def set_up(*addresses: tuple[str, int]) -> list[socket.socket]:
        loop, tried = asyncio.get_running_loop(), []
        connect = loop.sock_connect

        async def look_up(*_: object, **__: object) -> list[tuple[object, ...]]:
            return [
                (socket.AF_INET6 if ":" in host else socket.AF_INET, socket.SOCK_STREAM, 6, "", at)
                for at in addresses
                for host in at[:1]
            ]

        async def sock_connect(sock: socket.socket, address: object) -> None:
            tried.append(sock)
            await connect(sock, address)

        monkeypatch.setattr(loop, "getaddrinfo", look_up)
        monkeypatch.setattr(loop, "sock_connect", sock_connect)
        return tried

    return set_up


@pytest.fixture
def hole():
    """An address that does not answer: its backlog is full."""
    with socket.socket() as listener, contextlib.ExitStack() as kept:
        listener.bind(("127.0.0.2", 0))
        listener.listen(0)
        for _ in range(4):
            waiting = kept.enter_context(socket.socket())
            waiting.setblocking(False)
            waiting.connect_ex(listener.getsockname())
        yield listener.getsockname()


async def test_an_address_that_does_not_answer_keeps_nobody_waiting(
    server, client_tls, several, hole, monkeypatch
):
    monkeypatch.setattr(endpoint_module, "CONNECT_TIMEOUT", 3.0)
    tried = several(hole, hole, ("127.0.0.1", server.port))
    tunnel = await Tunnel.open(Endpoint("api.example", 443, client_tls, "localhost"))
    assert (await tunnel.request("GET", "/echo")).status == 200
    tunnel.close()
    await until(lambda: [each.fileno() for each in tried] == [-1, -1, -1])


async def test_an_address_that_refuses_gives_way_at_once(server, several, hole, monkeypatch):
    monkeypatch.setattr(tcp, "NEXT_ADDRESS", 60.0)
    tried = several(("127.0.0.1", 1), ("127.0.0.1", server.port), hole)
    (await endpoint_module.connect_tcp("api.example", 443)).close()
    assert len(tried) == 2


async def test_families_take_turns(several, server):
    tried = several(
        ("127.0.0.1", 1), ("127.0.0.1", 1), ("::1", 1), ("::1", 1), ("127.0.0.1", server.port)
    )
    (await endpoint_module.connect_tcp("api.example", 443)).close()
    assert [each.family for each in tried] == [socket.AF_INET, socket.AF_INET6] * 2 + [
        socket.AF_INET
    ]


async def test_no_address_answers(several, client_tls, hole, monkeypatch):
    several(("127.0.0.1", 1), ("127.0.0.1", 1))
    with pytest.raises(
        UnavailableError, match=r"nobody answers at api\.example:443: Connect call failed"
    ):
        await Tunnel.open(Endpoint("api.example", 443, client_tls))
    several()
    with pytest.raises(UnavailableError, match="has no address"):
        await Tunnel.open(Endpoint("api.example", 443, client_tls))
    monkeypatch.setattr(endpoint_module, "CONNECT_TIMEOUT", 0.4)
    tried = several(hole, hole)
    with pytest.raises(UnavailableError, match="does not answer"):
        await Tunnel.open(Endpoint("api.example", 443, client_tls))
    assert [each.fileno() for each in tried] == [-1, -1]


# -- names and addresses that are none ------------------------------------------------------------


@pytest.mark.parametrize("name", [".h", "a" * 70 + ".example", "x\0y"])
async def test_a_name_that_no_certificate_can_have(client_tls, name):
    closed = asyncio.Event()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read()
        closed.set()
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    with pytest.raises(ConfigError, match="is no name that a certificate can have") as caught:
        await Tunnel.open(Endpoint("127.0.0.1", port, client_tls, name))
    await asyncio.wait_for(closed.wait(), 10)  # although `caught` keeps all that it can
    assert "127.0.0.1" not in caught.value.what
    server.close()


async def test_a_host_that_a_proxy_cannot_be_asked_for(proxy, client_tls):
    url, made = await proxy("http")
    with pytest.raises(ConfigError, match="is no name that a proxy can be asked for"):
        await Tunnel.open(Endpoint("a b\n", 443, client_tls, proxy=url))
    assert made.asked == []


@pytest.mark.parametrize("source", ["kubeconfig", "environment"])
async def test_a_proxy_that_is_none_is_named_with_its_source(source, monkeypatch):
    url = "http://me:secret@proxy:99999"
    if source == "environment":
        monkeypatch.setenv("HTTPS_PROXY", url)
    access = ClusterAccess(
        "c",
        "https://api.example",
        "default",
        "/home/me/.kube/config",
        proxy_url=url if source == "kubeconfig" else None,
    )
    with pytest.raises(ConfigError, match="is no proxy") as caught:
        await access.endpoint()
    place = {"kubeconfig": "/home/me/.kube/config: proxy-url", "environment": "HTTPS_PROXY"}[source]
    assert place in caught.value.what
    assert "secret" not in str(caught.value)


async def test_a_bridge_that_fails_leaves_no_connection_to_the_proxy(
    proxy, client_tls, monkeypatch
):
    url, made = await proxy("https")

    async def fail(*_: object, **__: object) -> object:
        await until(lambda: made._tasks)
        raise OSError("no more descriptors")

    monkeypatch.setattr(asyncio.get_running_loop(), "create_connection", fail)
    with pytest.raises(ProxyError, match="no more descriptors"):
        await Tunnel.open(Endpoint("10.1.2.3", 443, client_tls, proxy=url))
    async with asyncio.timeout(10):
        await asyncio.gather(*made._tasks, return_exceptions=True)
