"""Forwards that find a relay of their test's own, and end with it."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path

import pytest
from peers.authority import Authority
from peers.relay import RunningRelay, write_kubeconfig

from kfwd_nb import client
from kfwd_nb.kube.kubeconfig import finding
from kfwd_nb.transport.loop_thread import LoopThread
from kfwd_nb.transport.tls import server_context


@pytest.fixture(scope="session")
def authority(tmp_path_factory) -> Authority:
    return Authority(tmp_path_factory.mktemp("authority"))


@pytest.fixture(scope="session")
def relay_tls(authority):
    return server_context(*authority.issue("relay"))


@pytest.fixture(scope="session")
def relay_loop() -> LoopThread:
    return LoopThread()


@pytest.fixture(scope="session")
def echo_port(relay_loop: LoopThread) -> int:
    async def echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while data := await reader.read(1 << 16):
                writer.write(data)
                await writer.drain()
        except ConnectionError:
            pass
        writer.close()

    server = relay_loop.run(asyncio.start_server(echo, "127.0.0.1", 0))
    return int(server.sockets[0].getsockname()[1])


@pytest.fixture
def relay(relay_loop, relay_tls, echo_port) -> Iterator[RunningRelay]:
    running = RunningRelay(relay_loop, relay_tls, echo_port)
    running.start()
    yield running
    running.stop()


@pytest.fixture
def kubeconfig(relay: RunningRelay, authority, tmp_path: Path) -> Path:
    return write_kubeconfig(
        tmp_path / "kubeconfig", f"https://127.0.0.1:{relay.port}", authority.ca
    )


@pytest.fixture(autouse=True)
def found(monkeypatch, request) -> Iterator[None]:
    """Every forward of a test finds the test's own relay, and none lives longer than its test."""
    monkeypatch.setattr(finding, "_announced", None)
    if "kubeconfig" in request.fixturenames:
        monkeypatch.setenv("KUBECONFIG", str(request.getfixturevalue("kubeconfig")))
    yield
    for each in client.forwards():
        each.stop()
