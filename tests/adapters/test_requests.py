"""`PodAdapter`: requests over the chain."""

from __future__ import annotations

import hashlib

import pytest
import requests

from kfwd_nb import forwards
from kfwd_nb.adapters import PodAdapter
from kfwd_nb.cluster.workloads.web import BLOCK

pytestmark = pytest.mark.chain

BIG = 20 << 20


def session_for(cluster, **options) -> requests.Session:
    session = requests.Session()
    adapter = PodAdapter(kubeconfig=cluster.kubeconfig, **options)
    session.mount("http://", adapter)
    session.mount("https://", adapter)
    return session


def test_pods_and_services_by_name(cluster):
    with session_for(cluster) as session:
        assert "Hello from pod web" in session.get("http://web.default.pod/", timeout=20).text
        answer = session.get("http://api.default.svc.cluster.local/", timeout=20)
        assert f"default/{answer.text.strip()}" in cluster.pods
        assert "pod web" in session.get("http://web.staging.pod:80/", timeout=20).text
        names = [each.name.split("#")[0] for each in forwards()]
        assert names == ["web.default.pod", "api.default.svc.cluster.local", "web.staging.pod"]
        assert all(each.ports == () for each in forwards())


def test_connections_are_kept_alive(cluster):
    with session_for(cluster) as session:
        for _ in range(5):
            assert session.get("http://web.default.pod/", timeout=20).ok
        (fwd,) = forwards()
        assert fwd.totals.opened == 1
        (row,) = fwd.connections()
        assert (row.peer, row.remote) == ("in-process", 80)


@pytest.mark.parametrize("dialect", ["connect", "websocket"])
def test_a_big_body_each_way(cluster, dialect):
    with session_for(cluster, dialect=dialect) as session:
        body = session.get(f"http://web.default.pod/bytes/{BIG}", timeout=60).content
        assert body == BLOCK * (BIG // len(BLOCK))
        told = session.post("http://web.default.pod/hash", data=body, timeout=60).json()
        assert told == {"sha256": hashlib.sha256(body).hexdigest(), "length": BIG}


def test_a_proxy_is_not_asked(cluster, monkeypatch):
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:9")
    with session_for(cluster) as session:
        assert session.get("http://web.default.pod/", timeout=20).ok


@pytest.mark.parametrize(
    ("url", "words"),
    [
        ("http://wbe.default.pod/", 'Pod "wbe" not found in namespace "default". hint: did you'),
        ("http://web.default.pod:81/", "nobody listens on port 81"),
        ("http://api.default.svc:81/", "does not have a service port 81"),
        ("http://example.org/", '"example.org" is no name of a pod or a service.'),
    ],
)
def test_errors_are_the_librarys_own_with_our_words(cluster, url, words):
    with session_for(cluster) as session, pytest.raises(requests.ConnectionError) as caught:
        session.get(url, timeout=20)
    assert words in str(caught.value)


def test_a_port_that_is_refused_after_all(cluster):
    with session_for(cluster, dialect="spdy") as session:
        with pytest.raises(requests.ConnectionError, match="port 81"):
            session.get("http://web.default.pod:81/", timeout=20)


def test_a_forward_that_somebody_has_stopped_is_started_anew(cluster):
    with session_for(cluster) as session:
        assert session.get("http://web.default.pod/", timeout=20).ok
        forwards()[0].stop()
        assert session.get("http://web.default.pod/", timeout=20).ok


def test_tls(tls_cluster, authority):
    with session_for(tls_cluster) as session:
        for _ in range(2):
            answer = session.get("https://tls.default.pod/", timeout=20, verify=str(authority.ca))
            assert answer.text == "behind TLS"
        assert forwards()[0].totals.opened == 1
        with pytest.raises(requests.exceptions.SSLError):
            session.get("https://tls.default.pod/", timeout=20, verify=True)
