"""TCP to a host by name: whichever of its addresses answers first (RFC 8305, Happy Eyeballs)."""

from __future__ import annotations

import asyncio
import socket
from collections import deque
from collections.abc import Collection, Sequence
from itertools import zip_longest
from typing import Any

from kfwd_nb.errors import LostError

NEXT_ADDRESS = 0.25
"""Seconds without an answer after which the next address is tried, too (RFC 8305 §8)."""

Address = tuple[int, int, int, str, Any]
"""An element of what `getaddrinfo` finds."""


async def connect_tcp(host: str, port: int) -> socket.socket:
    """A connected socket to the address of `host` that answers first.

    The next address is tried when one fails, or does not answer within `NEXT_ADDRESS`; those tried
    before go on meanwhile.

    Raises:
        OSError: none answers; of the last one.
        LostError: the process is ending.
    """
    found = await _addresses(host, port)
    left = deque(_alternating(found))
    trying: set[asyncio.Task[socket.socket]] = set()
    done: set[asyncio.Task[socket.socket]] = set()
    failure: BaseException = OSError("the name has no address")
    try:
        while left or trying:
            if left:
                trying.add(asyncio.create_task(_connected(left.popleft())))
            done, trying = await asyncio.wait(
                trying,
                timeout=NEXT_ADDRESS if left else None,
                return_when=asyncio.FIRST_COMPLETED,
            )
            while done:
                task = done.pop()
                error = task.exception()
                if error is None:
                    return task.result()
                failure = error
        raise failure
    finally:
        await _give_up(trying | done)


async def _addresses(host: str, port: int) -> Sequence[Address]:
    try:
        return await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except RuntimeError:  # it is asked on a thread, and a process that ends begins no more work
        raise LostError("this process ends.") from None


async def _connected(address: Address) -> socket.socket:
    family, kind, number, _, place = address
    sock = socket.socket(family, kind, number)
    try:
        sock.setblocking(False)
        await asyncio.get_running_loop().sock_connect(sock, place)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    except BaseException:
        sock.close()
        raise
    return sock


async def _give_up(trying: Collection[asyncio.Task[socket.socket]]) -> None:
    """Close the sockets of the slower ones, be they connected already or not."""
    for task in trying:
        task.cancel()
    for outcome in await asyncio.gather(*trying, return_exceptions=True):
        if isinstance(outcome, socket.socket):
            outcome.close()


def _alternating(found: Sequence[Address]) -> list[Address]:
    """One address of each family in turn, the first one's first (RFC 8305 §4)."""
    families = list(dict.fromkeys(each[0] for each in found))
    columns = ([each for each in found if each[0] == family] for family in families)
    return [each for row in zip_longest(*columns) for each in row if each is not None]
