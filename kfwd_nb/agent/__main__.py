"""`python -m kfwd_nb.agent --config FILE`: a node agent as a process of its own."""

from __future__ import annotations

import argparse
import asyncio
import sys
from pathlib import Path

from kfwd_nb.agent.agent import run
from kfwd_nb.agent.config import load
from kfwd_nb.errors import KfwdError
from kfwd_nb.transport.descriptors import raise_descriptor_limit


def main() -> int:
    """Run until told to end; the exit status."""
    parser = argparse.ArgumentParser(prog="python -m kfwd_nb.agent", description=__doc__)
    parser.add_argument("--config", type=Path, required=True, help="node-N.json of the cluster")
    arguments = parser.parse_args()
    raise_descriptor_limit()
    try:
        asyncio.run(run(load(arguments.config)))
    except KfwdError as error:
        print(error, file=sys.stderr)
        return error.exit_code
    return 0


if __name__ == "__main__":
    sys.exit(main())
