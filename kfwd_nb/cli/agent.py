"""`kfwd agent`: a node agent for the pods of a container runtime, until SIGINT or SIGTERM."""

from __future__ import annotations

import argparse
import asyncio
from collections.abc import Sequence
from pathlib import Path

from kfwd_nb.agent.agent import run as run_agent
from kfwd_nb.agent.config import AgentConfig, RelayAddress, check, load
from kfwd_nb.cli.command import Parser
from kfwd_nb.errors import UsageError
from kfwd_nb.transport.descriptors import raise_descriptor_limit
from kfwd_nb.transport.lifeline import end_by_signal

REQUIRED = ("cri", "relay", "cert", "key", "ca", "node")
"""What must be there without `--config`."""


def run(words: Sequence[str]) -> int:
    """Run the subcommand; it ends by a signal only.

    Raises:
        KfwdError: the agent cannot be started.
    """
    given = parser().parse_args(words)
    raise_descriptor_limit()
    asyncio.run(run_agent(config_of(given), end_by_signal))
    return 0


def config_of(given: argparse.Namespace) -> AgentConfig:
    """The options as a file would have them.

    Raises:
        UsageError: one is missing, or a file is named as well as options.
        ConfigError: they do not go together.
    """
    named = [name for name in (*REQUIRED, "connector", "address") if getattr(given, name)]
    if given.config is not None:
        if named:
            raise UsageError(
                f"--config holds all there is to say; --{named[0]} does not go with it."
            )
        return load(given.config)
    missing = [f"--{name}" for name in REQUIRED if name not in named]
    if missing:
        raise UsageError(
            f"{', '.join(missing)} missing.",
            hint="without --config FILE, the options have to name runtime, relay and certificates.",
        )
    config = AgentConfig(
        node=given.node,
        relay=given.relay,
        cert=given.cert,
        key=given.key,
        ca=given.ca,
        cri=given.cri,
        connector=given.connector or "netns",
        address=given.address or "127.0.0.1",
    )
    check(config, "kfwd agent")
    return config


def parser() -> Parser:
    """The parser of the subcommand."""
    parser = Parser(
        prog="kfwd agent",
        description="Register this machine with a relay as a node, and open ports of the pods that "
        "its container runtime has made. It starts and ends no pods.",
    )
    add = parser.add_argument
    add("--cri", metavar="URL", help="the runtime: unix:///run/containerd/containerd.sock")
    add("--relay", type=_address, metavar="HOST:PORT", help="where the relay listens")
    add("--cert", type=Path, metavar="FILE", help="certificate, made out to system:node:NAME")
    add("--key", type=Path, metavar="FILE", help="its private key")
    add("--ca", type=Path, metavar="FILE", help="the cluster's certificate authority")
    add("--node", metavar="NAME", help="this node's name")
    add("--connector", choices=["netns", "socat"], help="how ports are opened (netns)")
    add("--address", metavar="IP", help="where the relay reaches this agent (127.0.0.1)")
    add("--config", type=Path, metavar="FILE", help="all of this in a JSON file")
    return parser


def _address(text: str) -> RelayAddress:
    host, _, port = text.rpartition(":")
    if not (host and port.isdecimal() and 0 < int(port) < 65536):
        raise argparse.ArgumentTypeError(f"{text!r} is not HOST:PORT")
    return RelayAddress(host.strip("[]"), int(port))
