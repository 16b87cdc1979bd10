"""A node agent from its start to its end: puts the parts together."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator
from dataclasses import dataclass

from kfwd_nb.agent.config import AgentConfig
from kfwd_nb.agent.connectors import Connector
from kfwd_nb.agent.netns import NamespaceThread
from kfwd_nb.agent.pods import Pods
from kfwd_nb.agent.processes import ProcessRuntime
from kfwd_nb.agent.register import HOST, keep_registered
from kfwd_nb.agent.server import AgentHandler
from kfwd_nb.transport.lifeline import end_of_service
from kfwd_nb.transport.server import serve
from kfwd_nb.transport.tls import server_context

EXIT_GRACE = 1.0
"""Seconds that pods have between SIGTERM and SIGKILL when the agent ends, at most."""


@dataclass(frozen=True, slots=True)
class Node:
    """The parts of a node that do the work."""

    pods: Pods
    connector: Connector
    runtime: ProcessRuntime


@contextlib.asynccontextmanager
async def node(config: AgentConfig) -> AsyncIterator[Node]:
    """Pods and connector as configured; all pods are gone when the context ends."""
    config.scratch.mkdir(mode=0o700, parents=True, exist_ok=True)
    namespaces = None if config.isolation == "loopback" else NamespaceThread()
    runtime = ProcessRuntime(
        config.isolation, config.scratch, config.nofile, config.node, namespaces
    )
    connector = make_connector(config, namespaces)
    pods = Pods(runtime, connector)
    try:
        yield Node(pods, connector, runtime)
    finally:
        await pods.close(EXIT_GRACE)
        connector.close()
        runtime.close()


def make_connector(config: AgentConfig, namespaces: NamespaceThread | None) -> Connector:
    """The connector of the configuration; without namespaces, the one that needs none."""
    from kfwd_nb.agent.connectors.loopback import LoopbackConnector
    from kfwd_nb.agent.connectors.netns import NetnsConnector
    from kfwd_nb.agent.connectors.socat import SocatConnector

    if config.connector == "socat":
        return SocatConnector(isolated=namespaces is not None)
    if namespaces is None:
        return LoopbackConnector()
    return NetnsConnector(namespaces)


async def run(config: AgentConfig) -> None:
    """Serve until the lifeline ends; then end all pods."""
    ending = end_of_service()
    async with node(config) as parts:
        context = server_context(config.cert, config.key, clients=config.ca, require=True)
        handler = AgentHandler(config.node, parts.pods, parts.connector)
        server = await serve(handler, context, host=HOST)
        registration = asyncio.create_task(keep_registered(config, server.port))
        try:
            listening = {"listening": server.port, "isolation": config.isolation}
            print(json.dumps(listening), flush=True)
            await ending
        finally:
            registration.cancel()
            await server.close()
