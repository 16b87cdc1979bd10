"""The Python clients of Kubernetes against our relay: all of them speak raw v4 channels."""

from __future__ import annotations

import contextlib
import hashlib
import json
import socket

import pytest
from peers.plain import PIECE, connect, download, get_json, read_all

pytestmark = pytest.mark.chain

SIZE = 64 << 20


def upload(sock: socket.socket, count: int) -> tuple[str, dict]:
    """POST /hash with a length, because this wire has no half-close: (sha256 sent, the answer)."""
    digest = hashlib.sha256()
    head = (
        f"POST /hash HTTP/1.1\r\nHost: pod\r\nConnection: close\r\nContent-Length: {count}\r\n\r\n"
    )
    sock.sendall(head.encode())
    for start in range(0, count, len(PIECE)):
        piece = PIECE[: count - start]
        digest.update(piece)
        sock.sendall(piece)
    return digest.hexdigest(), json.loads(read_all(sock).partition(b"\r\n\r\n")[2])


def free_port() -> int:
    """One that no outgoing connection gets meanwhile; kr8s itself draws ports that may be taken."""
    for port in range(24_000, 30_000):
        with contextlib.suppress(OSError), socket.socket() as sock:
            sock.bind(("127.0.0.1", port))
            return port
    raise AssertionError("no port is free")


def ask(port: int) -> bytes:
    with connect(port) as sock:
        sock.sendall(b"GET / HTTP/1.1\r\nHost: pod\r\nConnection: close\r\n\r\n")
        return read_all(sock)


def check_both_ways(port: int) -> None:
    """A local port leads to the pod's HTTP port: equal bytes come and go."""
    sha256, length = download(port, SIZE)
    assert length == SIZE
    assert sha256 == get_json(port, f"/hash/{SIZE}")["sha256"]
    with connect(port) as sock:
        sha256, there = upload(sock, SIZE)
    assert there == {"sha256": sha256, "length": SIZE}


@pytest.fixture
def official(cluster):
    """The official client's CoreV1Api."""
    from kubernetes import client, config

    with config.new_client_from_config(str(cluster.kubeconfig)) as api:
        yield client.CoreV1Api(api)


def test_the_official_client_lists_and_watches(official):
    from kubernetes import watch

    listed = official.list_namespaced_pod("default", label_selector="app in (web, db)")
    assert [each.metadata.name for each in listed.items] == ["db", "web"]
    assert all(each.status.phase == "Running" for each in listed.items)
    seen = watch.Watch()
    for event in seen.stream(official.list_namespaced_pod, "staging", timeout_seconds=20):
        assert (event["type"], event["object"].metadata.name) == ("ADDED", "web")
        seen.stop()


def test_the_official_client_forwards(official):
    from kubernetes.stream import portforward

    def opened(port: int) -> tuple[object, socket.socket]:
        connection = official.connect_get_namespaced_pod_portforward
        forwarded = portforward(connection, "web", "default", ports=str(port))
        sock = forwarded.socket(port)
        sock.setblocking(True)
        return forwarded, sock

    forwarded, sock = opened(80)
    with contextlib.closing(sock):
        request = f"GET /bytes/{SIZE} HTTP/1.1\r\nHost: pod\r\nConnection: close\r\n\r\n"
        sock.sendall(request.encode())
        body = read_all(sock).partition(b"\r\n\r\n")[2]
    assert forwarded.error(80) is None
    _, sock = opened(80)
    with contextlib.closing(sock):
        sock.sendall(
            f"GET /hash/{SIZE} HTTP/1.1\r\nHost: pod\r\nConnection: close\r\n\r\n".encode()
        )
        there = json.loads(read_all(sock).partition(b"\r\n\r\n")[2])
    assert there == {"sha256": hashlib.sha256(body).hexdigest(), "length": SIZE}
    _, sock = opened(80)
    with contextlib.closing(sock):
        sha256, there = upload(sock, SIZE)
    assert there == {"sha256": sha256, "length": SIZE}
    forwarded, sock = opened(81)
    with contextlib.closing(sock):
        assert sock.recv(1) == b""
    assert "connection refused" in forwarded.error(81).lower()


@pytest.mark.filterwarnings("ignore:Kubernetes version .* is not supported:UserWarning")
async def test_kr8s(cluster):
    import asyncio

    import kr8s.asyncio

    api = await kr8s.asyncio.api(kubeconfig=str(cluster.kubeconfig))
    pods = [
        pod async for pod in api.get("pods", namespace="default", label_selector={"app": "web"})
    ]
    assert [pod.name for pod in pods] == ["web"]
    async with pods[0].portforward(80, local_port=free_port()) as port:
        await asyncio.to_thread(check_both_ways, port)
    services = [each async for each in api.get("services", "web", namespace="default")]
    async with services[0].portforward(80, local_port=free_port()) as port:
        answer = await asyncio.to_thread(ask, port)
    assert b"Hello from pod web" in answer


def test_portforward(cluster):
    import portforward

    forward = portforward.forward(
        "default",
        "web",
        0,
        80,
        config_path=str(cluster.kubeconfig),
        log_level=portforward.LogLevel.OFF,
    )
    with forward as running:
        check_both_ways(running.from_port)
