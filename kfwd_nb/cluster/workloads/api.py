"""Deployment `api`: every HTTP request is answered with the name of the pod that answers.

Standard library only; run with `python -I -S`.
"""

from __future__ import annotations

import asyncio
import os
import socket

MAX_HEAD = 16 * 1024
"""Bytes of a request's head."""


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
    try:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(reply())
        await writer.drain()
    except (asyncio.IncompleteReadError, asyncio.LimitOverrunError, ConnectionError):
        pass
    finally:
        writer.close()


async def main() -> None:
    """Listen until the pod ends."""
    port = int(os.environ.get("KFWD_PORT_8080", "8080"))
    server = await asyncio.start_server(_serve, "127.0.0.1", port, limit=MAX_HEAD)
    await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(main())
