"""Deployment `api`: every HTTP request is answered with the name of the pod that answers.

Standard library only; run with `python -I -S`.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import socket

MAX_HEAD = 16 * 1024
"""Bytes of a request's head."""

DRAIN, LAST_REQUESTS = 0.3, 2.0
"""Seconds that it goes on answering after SIGTERM, as whatever is replaced under load should, for
what was sent until then is on its way; and seconds for what was accepted meanwhile."""

_serving: set[asyncio.Task[None]] = set()


def pod_name() -> str:
    """As Kubernetes tells it: the environment's HOSTNAME, which is the host name in the pod."""
    return os.environ.get("HOSTNAME") or socket.gethostname()


def reply() -> bytes:
    """The whole response."""
    body = pod_name().encode() + b"\n"
    return (
        b"HTTP/1.1 200 OK\r\ncontent-type: text/plain\r\nconnection: close\r\n"
        b"content-length: %d\r\n\r\n%b" % (len(body), body)
    )


async def _serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    task = asyncio.current_task()
    assert task is not None
    _serving.add(task)
    try:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(reply())
        await writer.drain()
    except (asyncio.IncompleteReadError, asyncio.LimitOverrunError, ConnectionError):
        pass
    finally:
        writer.close()
        _serving.discard(task)


async def main() -> None:
    """Listen until the pod ends."""
    port = int(os.environ.get("KFWD_PORT_8080", "8080"))
    server = await asyncio.start_server(_serve, "127.0.0.1", port, limit=MAX_HEAD)
    told = asyncio.Event()
    with contextlib.suppress(NotImplementedError):  # no such signals there
        asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, told.set)
    async with server:
        await told.wait()
        await asyncio.sleep(DRAIN)
    if _serving:
        await asyncio.wait(_serving, timeout=LAST_REQUESTS)


if __name__ == "__main__":
    asyncio.run(main())
