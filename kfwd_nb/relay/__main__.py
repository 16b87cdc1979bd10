"""`python -m kfwd_nb.relay --config FILE`: the relay as a process.

It says on stdout where it listens, `{"listening": PORT}`, and ends at SIGTERM, at SIGINT, or when
its stdin ends, so that it does not outlive whoever started it.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import logging
import sys
from pathlib import Path

from kfwd_nb.errors import KfwdError, ListenError, printable
from kfwd_nb.relay.config import RelayConfig, load
from kfwd_nb.relay.relay import Relay
from kfwd_nb.transport.descriptors import raise_descriptor_limit
from kfwd_nb.transport.lifeline import end_of_service, end_within

CLOSE_LIMIT = 2.0
"""Seconds to close everything, from the moment when the relay is to end."""


async def run(config: RelayConfig) -> None:
    """Serve until told to end.

    Raises:
        ListenError: the address cannot be had.
    """
    ending = end_of_service()
    relay = Relay(config)
    try:
        try:
            port = await relay.start()
        except OSError as error:
            address = f"{config.host}:{config.port}"
            raise ListenError(f"cannot listen on {address}: {error}.", where="relay") from None
        sys.stdout.write(json.dumps({"listening": port}) + "\n")
        sys.stdout.flush()
        await asyncio.wait((ending, relay.failed), return_when=asyncio.FIRST_COMPLETED)
        if relay.failed.done():
            relay.failed.result()
    finally:
        end_within(CLOSE_LIMIT)
        await relay.close()


def main() -> int:
    """Read the arguments and run; returns the exit code."""
    parser = argparse.ArgumentParser(prog="python -m kfwd_nb.relay", description=__doc__)
    parser.add_argument("--config", type=Path, required=True, help="the relay's JSON file")
    arguments = parser.parse_args()
    logging.basicConfig(format="relay: %(message)s", level=logging.INFO)
    raise_descriptor_limit()
    try:
        asyncio.run(run(load(arguments.config)))
    except KfwdError as error:
        sys.stderr.write(f"relay: {printable(str(error))}\n")
        return error.exit_code
    return 0


if __name__ == "__main__":
    sys.exit(main())
