"""Pod `db` on a machine without PostgreSQL: a store that speaks lines.

`set KEY VALUE` answers `ok`, `get KEY` the value or an empty line; anything else `error`.
Standard library only; run with `python -I -S`.
"""

from __future__ import annotations

import asyncio
import os

MAX_KEYS = 10_000
"""Keys that the store holds; `set` of another one answers `full`."""

STORE: dict[str, str] = {}


def answer(line: str) -> str:
    """The reply to one line."""
    word, _, rest = line.strip().partition(" ")
    if word == "get":
        return STORE.get(rest, "")
    key, _, value = rest.partition(" ")
    if word != "set" or not key:
        return "error"
    if key not in STORE and len(STORE) >= MAX_KEYS:
        return "full"
    STORE[key] = value
    return "ok"


async def _serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    try:
        while line := await reader.readline():
            writer.write(answer(line.decode(errors="replace")).encode() + b"\n")
            await writer.drain()
    except (ConnectionError, ValueError):
        pass
    finally:
        writer.close()


async def main() -> None:
    """Listen until the pod ends."""
    port = int(os.environ.get("KFWD_PORT_5432", "5432"))
    server = await asyncio.start_server(_serve, "127.0.0.1", port)
    await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(main())
