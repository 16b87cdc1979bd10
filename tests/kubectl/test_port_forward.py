"""`kubectl port-forward` through our relay, by every version and in both dialects."""

from __future__ import annotations

import contextlib
from concurrent.futures import ThreadPoolExecutor

import pytest
from peers.plain import connect, download, echo, get_json, read_all, upload_until_eof

pytestmark = pytest.mark.chain

MANY = 50
SIZE = 256 << 20


@pytest.mark.parametrize(
    ("arguments", "pod"),
    [
        (("pod/web", ":80"), "web"),
        (("web", ":http"), "web"),
        (("svc/api", ":80"), "api-"),
        (("svc/web", ":http"), "web"),
        (("deploy/api", ":8080"), "api-"),
        (("deploy/api", ":http"), "api-"),
        (("-n", "staging", "pod/web", ":80"), "web"),
    ],
    ids=" ".join,
)
def test_every_kind_of_target(forwarder, arguments, pod):
    with forwarder.forward(*arguments) as running:
        with connect(running.port) as sock:
            sock.sendall(b"GET / HTTP/1.1\r\nHost: pod\r\nConnection: close\r\n\r\n")
            answer = read_all(sock).decode()
        assert answer.startswith("HTTP/1.1 200 OK")
        assert pod in answer.partition("\r\n\r\n")[2]
        running.wait_for("Handling connection for")


def test_the_dialect_is_the_one_meant(forwarder):
    with forwarder.forward("-v=8", "pod/web", ":80") as running:
        get_json(running.port, "/stats")
        running.process.terminate()
        said = running.rest()
    method = "GET" if forwarder.dialect == "websocket" else "POST"
    asked = [line for line in said.splitlines() if "/portforward" in line]
    assert any(method in line for line in asked), said
    assert not any("fall" in line and "SPDY" in line for line in said.splitlines()), said


def test_256_mib_each_way_and_the_reply_after_eof(forwarder):
    with forwarder.forward("pod/web", ":80") as running:
        sha256, length = download(running.port, SIZE)
        assert length == SIZE
        assert sha256 == get_json(running.port, f"/hash/{SIZE}")["sha256"]
        sha256, there = upload_until_eof(running.port, SIZE)
    assert there == {"sha256": sha256, "length": SIZE}


def test_50_connections_at_once_on_two_ports(forwarder):
    with forwarder.forward("pod/web", ":7", ":80") as running, contextlib.ExitStack() as stack:
        socks = [stack.enter_context(connect(running.ports[0])) for _ in range(MANY)]
        before = get_json(running.ports[1], "/stats")["echo"]["open"]

        def talk(number: int) -> bool:
            data = bytes([number]) * 100_000
            return echo(socks[number], data) == data

        with ThreadPoolExecutor(MANY) as threads:
            assert all(threads.map(talk, range(MANY)))
        assert get_json(running.ports[1], "/stats")["echo"]["open"] >= MANY
        assert before <= MANY


def test_a_download_after_a_half_close_is_whole(forwarder):
    size = 32 << 20
    with forwarder.forward("pod/web", ":80") as running:
        with connect(running.port) as sock:
            sock.sendall(f"GET /bytes/{size} HTTP/1.1\r\nHost: pod\r\n\r\n".encode())
            sock.shutdown(1)
            body = read_all(sock).partition(b"\r\n\r\n")[2]
    assert len(body) == size


def test_a_refused_port_is_said(forwarder):
    with forwarder.forward("pod/web", ":81") as running:
        with connect(running.port) as sock:
            with contextlib.suppress(ConnectionResetError):
                assert sock.recv(1) == b""
        line = running.wait_for("error forwarding port 81 to pod web, uid : ")
        assert "connection refused" in line.lower()


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("pod/nope", ":80"), 'pods "nope" not found'),
        (("svc/nope", ":80"), 'services "nope" not found'),
        (("pod/web", ":nope"), "does not have a named port 'nope'"),
        (("svc/web", ":81"), "does not have a service port 81"),
    ],
    ids=["pod", "service", "named port", "service port"],
)
def test_what_is_not_there_is_said(forwarder, arguments, words):
    assert words in forwarder.run("port-forward", *arguments, code=1)
