"""Helpers: a node without its server (pods and connector as an agent has them), pods to run."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import os
import sys
import time
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import msgspec

from kfwd_nb.agent.agent import Node, node
from kfwd_nb.agent.config import AgentConfig
from kfwd_nb.agent.connectors import Place
from kfwd_nb.errors import KfwdError
from kfwd_nb.kube.objects import Pod
from kfwd_nb.transport.stream import HEADROOM, ByteStream

WAIT = 10.0
"""Seconds after which a condition that does not come is a failure."""

_uids = itertools.count(1)


def make_pod(name: str, *command: str, namespace: str = "default", **fields: Any) -> Pod:
    """A pod with one container of its own name; `ports` is a list of numbers."""
    container = {"name": name, "command": list(command)}
    container["ports"] = [{"containerPort": port} for port in fields.pop("ports", [])]
    for key in ("env", "args", "workingDir", "readinessProbe", "securityContext"):
        if key in fields:
            container[key] = fields.pop(key)
    return msgspec.convert(
        {
            "metadata": {
                "name": name,
                "namespace": namespace,
                "uid": f"uid-{os.getpid()}-{next(_uids)}",
            },
            "spec": {"containers": [container], **fields},
        },
        Pod,
    )


def python_pod(name: str, program: str, **fields: Any) -> Pod:
    """A pod that runs a Python program."""
    return make_pod(name, sys.executable, "-I", "-c", program, **fields)


async def until(condition: Callable[[], Any], what: str = "the condition") -> Any:
    """Wait until `condition` returns something true, and return that."""
    end = time.monotonic() + WAIT
    while not (value := condition()):
        assert time.monotonic() < end, f"{what} did not come in {WAIT} s"
        await asyncio.sleep(0.01)
    return value


@contextlib.asynccontextmanager
async def running_node(scratch: Path, isolation: str, connector: str) -> AsyncIterator[Node]:
    config = msgspec.convert(
        {
            "cluster": "test",
            "node": "node-1",
            "relay": {"host": "127.0.0.1", "port": 1},
            "cert": "x",
            "key": "x",
            "ca": "x",
            "scratch": str(scratch),
            "isolation": isolation,
            "connector": connector,
        },
        AgentConfig,
        dec_hook=lambda kind, value: kind(value),  # paths
    )
    async with node(config) as parts:
        yield parts


async def ready(parts: Node, pod: Pod) -> Place:
    """Run the pod and wait until it is ready."""
    await parts.pods.put(pod)
    worker = parts.pods.find(pod.metadata.namespace, pod.metadata.name)
    await until(lambda: worker.pod.ready, f"readiness of {worker.pod.status}")
    return worker.place


ECHO = """
import asyncio, os, sys

async def serve(reader, writer):
    while data := await reader.read(1 << 16):
        writer.write(data)
        await writer.drain()
    writer.write(b"bye")
    writer.close()

async def main():
    ports = [v for k, v in os.environ.items() if k.startswith("KFWD_PORT_")]
    servers = [await asyncio.start_server(serve, HOST, int(port)) for port in ports]
    await asyncio.gather(*(server.serve_forever() for server in servers))

asyncio.run(main())
"""
"""Echo on every declared port of HOST; after the client's end it says bye."""


def echo_pod(name: str, *ports: int, host: str = "127.0.0.1", **fields: Any) -> Pod:
    """A pod that echoes on its ports."""
    return python_pod(name, ECHO.replace("HOST", repr(host)), ports=list(ports), **fields)


def sleeping_pod(name: str, **fields: Any) -> Pod:
    """A pod that does nothing."""
    return make_pod(name, "sleep", "1000", **fields)


class Client:
    """One end of a connection, as a test holds it: gathers what comes."""

    def __init__(self, stream: ByteStream) -> None:
        self.stream = stream
        self.data = bytearray()
        self.ended = False
        self.over: asyncio.Future[KfwdError | None] = asyncio.get_running_loop().create_future()
        self._drained = asyncio.Event()
        stream.start(self)

    def data_received(self, buffer: memoryview, start: int, end: int) -> None:
        self.data += buffer[start:end]

    def eof_received(self) -> None:
        self.ended = True

    def writable(self) -> None:
        self._drained.set()

    def closed(self, error: KfwdError | None) -> None:
        self.over.set_result(error)

    async def send(self, data: bytes) -> None:
        """Write all of it, at the other end's pace."""
        for start in range(0, len(data), 1 << 16):
            piece = bytes(HEADROOM) + data[start : start + (1 << 16)]
            self._drained.clear()
            if not self.stream.write(memoryview(bytearray(piece)), HEADROOM, len(piece)):
                await self._drained.wait()
