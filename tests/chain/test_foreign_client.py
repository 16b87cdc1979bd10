"""The relay serves HTTP/2 CONNECT clients that nobody here wrote: nghttpx, with curl before it."""

from __future__ import annotations

import asyncio
import shutil
import socket
import subprocess
import time

import pytest

from kfwd_nb.kube.kubeconfig import load

pytestmark = pytest.mark.chain


def free_port() -> int:
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        return int(sock.getsockname()[1])


@pytest.fixture
def proxy(cluster, tmp_path):
    """nghttpx as a forward proxy: HTTP/1.1 CONNECT in, HTTP/2 CONNECT over TLS out."""
    assert shutil.which("nghttpx"), "install nghttp2-proxy"
    relay = load(cluster.kubeconfig)
    port = free_port()
    ca = tmp_path / "ca.crt"
    ca.write_bytes(relay.ca_data)
    process = subprocess.Popen(
        [
            "nghttpx",
            "--http2-proxy",
            f"--frontend=127.0.0.1,{port};no-tls",
            f"--backend={relay.host},{relay.port};;proto=h2;tls;sni=localhost",
            f"--cacert={ca}",
            "--workers=1",
            "--errorlog-file=/dev/null",
            "--accesslog-file=/dev/null",
            f"--conf={tmp_path}/none",
        ]
    )
    try:
        for _ in range(200):
            with socket.socket() as sock:
                if sock.connect_ex(("127.0.0.1", port)) == 0:
                    break
            assert process.poll() is None
            time.sleep(0.02)
        yield port, asyncio.run(relay.headers())["authorization"].removeprefix("Bearer ")
    finally:
        process.terminate()
        process.wait(10)


def curl(proxy, token: str, target: str, *options: str) -> subprocess.CompletedProcess[bytes]:
    return subprocess.run(
        [
            "curl",
            "--silent",
            "--show-error",
            "--max-time",
            "30",
            "--proxytunnel",
            "--proxy",
            f"http://127.0.0.1:{proxy[0]}",
            "--proxy-header",
            f"Proxy-Authorization: Bearer {token}",
            *options,
            f"http://{target}",
        ],
        capture_output=True,
        check=False,
    )


def test_a_page_of_a_pod_and_of_a_service(proxy):
    page = curl(proxy, proxy[1], "web.default.pod:80/")
    assert b"Hello from pod web" in page.stdout, page.stderr
    api = curl(proxy, proxy[1], "api.default.svc:80/")
    assert b"api-" in api.stdout, api.stderr


def test_sixteen_mebibytes_come_whole(proxy):
    body = curl(proxy, proxy[1], "web.default.pod:80/bytes/16777216").stdout
    assert len(body) == 1 << 24


def test_a_wrong_token_is_refused(proxy):
    answer = curl(proxy, "wrong", "web.default.pod:80/", "--write-out", "%{http_connect}")
    assert answer.stdout.endswith(b"401"), (answer.stdout, answer.stderr)


def test_an_unknown_pod_is_not_found(proxy):
    answer = curl(proxy, proxy[1], "wbe.default.pod:80/", "--write-out", "%{http_connect}")
    assert answer.stdout.endswith(b"404"), (answer.stdout, answer.stderr)
