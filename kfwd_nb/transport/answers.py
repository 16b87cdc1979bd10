"""A server's answer, by either HTTP version: gathered whole, or cut into lines as it comes."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncGenerator, Mapping
from dataclasses import dataclass

from kfwd_nb.errors import LimitError, LostError
from kfwd_nb.transport.http import MAX_BODY

REQUEST_TIMEOUT = 30.0
"""Seconds for the whole answer to an API request; of a watch for its head, or its refusal."""

MAX_LINE = 4 << 20
"""Octets of one line of a streamed answer."""

Pieces = AsyncGenerator[bytes, None]


@dataclass(frozen=True, slots=True)
class Reply:
    """A whole answer."""

    status: int
    headers: Mapping[str, str]
    body: bytes


async def gathered(pieces: Pieces, path: str) -> bytes:
    """The whole body.

    Raises:
        LimitError: it is larger than `MAX_BODY`.
        KfwdError: of `pieces`.
    """
    body = bytearray()
    async with contextlib.aclosing(pieces):
        async for piece in pieces:
            body += piece
            if len(body) > MAX_BODY:
                raise LimitError(f"the answer to {path} exceeds {MAX_BODY} octets.")
    return bytes(body)


async def lines_of(pieces: Pieces, path: str, silence: float | None) -> Pieces:
    """The body's lines, each as soon as it is whole, without their newlines.

    Args:
        pieces: of the body.
        path: for messages.
        silence: seconds without a piece after which the connection counts as lost; None: never.

    Raises:
        LostError: nothing came for so long.
        LimitError: a line is longer than `MAX_LINE`.
        KfwdError: of `pieces`.
    """
    rest = bytearray()
    async with contextlib.aclosing(pieces):
        while True:
            try:
                async with asyncio.timeout(silence):
                    piece = await anext(pieces, None)
            except TimeoutError:
                raise LostError(f"nothing came from {path} in {silence:.0f} s.") from None
            if piece is None:
                break
            rest += piece
            while (end := rest.find(b"\n")) >= 0:
                line = bytes(rest[:end])
                del rest[: end + 1]
                yield line
            if len(rest) > MAX_LINE:
                raise LimitError(f"a line of {path} exceeds {MAX_LINE} octets.")
    if rest:
        yield bytes(rest)
