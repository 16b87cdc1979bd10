"""A node agent from its start to its end: puts the parts together."""

from __future__ import annotations

import asyncio
import contextlib
import json
import signal
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass

from kfwd_nb.agent.config import AgentConfig
from kfwd_nb.agent.connectors import Connector
from kfwd_nb.agent.connectors.faulty import FaultyConnector
from kfwd_nb.agent.found import FoundPods
from kfwd_nb.agent.netns import NamespaceThread
from kfwd_nb.agent.pods import Pods
from kfwd_nb.agent.processes import ProcessRuntime
from kfwd_nb.agent.register import keep_registered
from kfwd_nb.agent.server import AgentHandler, PodSource
from kfwd_nb.transport.lifeline import end_of_service
from kfwd_nb.transport.server import serve
from kfwd_nb.transport.tls import server_context

EXIT_GRACE = 1.0
"""Seconds that pods have between SIGTERM and SIGKILL when the agent ends, at most."""


@dataclass(frozen=True, slots=True)
class Node:
    """The parts of a node that runs pods."""

    pods: Pods
    connector: Connector
    runtime: ProcessRuntime


@contextlib.asynccontextmanager
async def node(config: AgentConfig) -> AsyncIterator[Node]:
    """Pods and connector as configured; all pods are gone when the context ends."""
    assert config.scratch is not None
    config.scratch.mkdir(mode=0o700, parents=True, exist_ok=True)
    namespaces = None if config.isolation == "loopback" else NamespaceThread()
    runtime = ProcessRuntime(
        config.isolation,
        config.scratch,
        config.nofile,
        config.node,
        namespaces,
        config.variables,
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


@contextlib.asynccontextmanager
async def finding_node(config: AgentConfig) -> AsyncIterator[tuple[FoundPods, Connector]]:
    """The pods of a container runtime, and the connector; at the end, every pod is as it was.

    Raises:
        KfwdError: the runtime is not there, or not to be used.
    """
    from kfwd_nb.agent.cri import CriClient

    assert config.cri is not None
    runtime = await CriClient.open(config.cri)
    namespaces = NamespaceThread()
    connector = make_connector(config, namespaces)
    pods = FoundPods(runtime, config.node)
    try:
        await pods.start()
        yield pods, connector
    finally:
        await pods.close()
        connector.close()
        namespaces.close()
        await runtime.close()


def _with_faults(connector: Connector, config: AgentConfig) -> Connector:
    """The connector of the relay's streams, not of probes: in an embedded cluster it can fail."""
    if config.faults is None:
        return connector
    faulty = FaultyConnector(connector, config.faults)
    asyncio.get_running_loop().add_signal_handler(signal.SIGUSR1, faulty.read)
    return faulty


@contextlib.asynccontextmanager
async def _serving_parts(config: AgentConfig) -> AsyncIterator[tuple[PodSource, Connector]]:
    if config.cri is not None:
        async with finding_node(config) as found:
            yield found
    else:
        async with node(config) as parts:
            yield parts.pods, parts.connector


async def run(
    config: AgentConfig, until: Callable[[], asyncio.Future[None]] = end_of_service
) -> None:
    """Serve until the lifeline ends; then end all pods of our own.

    Args:
        config: what the node is.
        until: makes the future that says when to end.

    Raises:
        KfwdError: it cannot be started.
    """
    ending = until()
    async with _serving_parts(config) as (pods, connector):
        context = server_context(config.cert, config.key, clients=config.ca, require=True)
        handler = AgentHandler(config.node, pods, _with_faults(connector, config))
        server = await serve(handler, context, host=config.address)
        registration = asyncio.create_task(keep_registered(config, server.port))
        try:
            listening = {"listening": server.port, "isolation": config.isolation}
            print(json.dumps(listening), flush=True)
            await ending
        finally:
            registration.cancel()
            await server.close()
