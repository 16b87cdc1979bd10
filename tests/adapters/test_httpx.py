"""`PodTransport` and `AsyncPodTransport`: httpx over the chain."""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import httpx
import pytest

from kfwd_nb import forwards
from kfwd_nb.adapters import AsyncPodTransport, PodTransport
from kfwd_nb.cluster.workloads.web import BLOCK

pytestmark = pytest.mark.chain

BIG = 20 << 20

Ask = Callable[..., Awaitable[httpx.Response]]


@pytest.fixture(params=["Client", "AsyncClient"])
def open_client(request) -> Any:
    """Makes either client for a cluster; both are asked the same way."""

    @contextlib.asynccontextmanager
    async def make(cluster, **options) -> AsyncIterator[Ask]:
        options = {"kubeconfig": cluster.kubeconfig, **options}
        if request.param == "AsyncClient":
            transport = AsyncPodTransport(**options)
            async with httpx.AsyncClient(transport=transport, timeout=30) as asynchronous:
                yield asynchronous.request
            return
        with httpx.Client(transport=PodTransport(**options), timeout=30) as client:

            async def ask(*words: Any, **more: Any) -> httpx.Response:
                return await asyncio.to_thread(client.request, *words, **more)

            yield ask

    return make


async def test_pods_and_services_by_name(cluster, open_client):
    async with open_client(cluster) as ask:
        assert "Hello from pod web" in (await ask("GET", "http://web.default.pod/")).text
        answer = await ask("GET", "http://api.default.svc/")
        assert f"default/{answer.text.strip()}" in cluster.pods
        assert [each.name.split("#")[0] for each in forwards()] == [
            "web.default.pod",
            "api.default.svc",
        ]


async def test_connections_are_kept_alive_and_may_be_many(cluster, open_client):
    async with open_client(cluster) as ask:
        for _ in range(5):
            assert (await ask("GET", "http://web.default.pod/")).is_success
        (fwd,) = forwards()
        assert fwd.totals.opened == 1
        answers = await asyncio.gather(*(ask("GET", "http://web.default.pod/") for _ in range(20)))
        assert all(each.is_success for each in answers)
        assert forwards() == [fwd]


@pytest.mark.parametrize("dialect", ["connect", "websocket"])
async def test_a_big_body_each_way(cluster, open_client, dialect):
    async with open_client(cluster, dialect=dialect) as ask:
        body = (await ask("GET", f"http://web.default.pod/bytes/{BIG}")).content
        assert body == BLOCK * (BIG // len(BLOCK))
        told = (await ask("POST", "http://web.default.pod/hash", content=body)).json()
        assert told == {"sha256": hashlib.sha256(body).hexdigest(), "length": BIG}


@pytest.mark.parametrize(
    ("url", "words"),
    [
        ("http://wbe.default.pod/", 'Pod "wbe" not found in namespace "default". hint: did you'),
        ("http://web.default.pod:81/", "nobody listens on port 81"),
        ("http://api.default.svc:81/", "does not have a service port 81"),
        ("http://example.org/", '"example.org" is no name of a pod or a service.'),
    ],
)
async def test_errors_are_the_librarys_own_with_our_words(cluster, open_client, url, words):
    async with open_client(cluster) as ask:
        with pytest.raises(httpx.ConnectError) as caught:
            await ask("GET", url)
    assert words in str(caught.value)


async def test_a_port_that_is_refused_after_all(cluster, open_client):
    async with open_client(cluster, dialect="spdy") as ask:
        with pytest.raises(httpx.NetworkError, match="port 81"):
            await ask("GET", "http://web.default.pod:81/")


def test_as_one_mount_among_others(cluster):
    mounts = {"all://*.pod": PodTransport(kubeconfig=cluster.kubeconfig)}
    with httpx.Client(mounts=mounts, timeout=20) as client:
        assert client.get("http://web.default.pod/").is_success


async def test_tls(tls_cluster, authority, open_client):
    trusting = ssl.create_default_context(cafile=str(authority.ca))
    async with open_client(tls_cluster, verify=trusting) as ask:
        for _ in range(2):
            assert (await ask("GET", "https://tls.default.pod/")).text == "behind TLS"
        assert forwards()[0].totals.opened == 1
    async with open_client(tls_cluster) as ask:
        with pytest.raises(httpx.ConnectError, match="CERTIFICATE_VERIFY_FAILED"):
            await ask("GET", "https://tls.default.pod/")
