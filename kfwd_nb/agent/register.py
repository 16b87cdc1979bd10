"""Registration: the node agent tells the relay where it listens, again when that was away."""

from __future__ import annotations

import asyncio
import sys
import time

import msgspec

from kfwd_nb.agent.config import AgentConfig
from kfwd_nb.agent.cri_pods import FOUND_BY_CRI
from kfwd_nb.errors import KfwdError
from kfwd_nb.kube.objects import (
    CLUSTER_ANNOTATION,
    FOUND_ANNOTATION,
    ISOLATION_ANNOTATION,
    DaemonEndpoint,
    DaemonEndpoints,
    Node,
    NodeAddress,
    NodeStatus,
    ObjectMeta,
)
from kfwd_nb.transport.endpoint import Endpoint
from kfwd_nb.transport.http import error_of_response
from kfwd_nb.transport.http2.client import Tunnel
from kfwd_nb.transport.tls import client_context

RETRY_FIRST = 0.05
"""Seconds before the second attempt; doubled for each further one."""

RETRY_MAX = 5.0
"""Seconds between attempts at most."""


def node_object(config: AgentConfig, port: int) -> Node:
    """What the node says of itself."""
    annotations: dict[str, str] = {ISOLATION_ANNOTATION: config.isolation}
    if config.cluster:
        annotations[CLUSTER_ANNOTATION] = config.cluster
    if config.cri is not None:
        annotations[FOUND_ANNOTATION] = FOUND_BY_CRI
    return Node(
        metadata=ObjectMeta(name=config.node, annotations=annotations),
        status=NodeStatus(
            addresses=[NodeAddress(type="InternalIP", address=config.address)],
            daemon_endpoints=DaemonEndpoints(kubelet_endpoint=DaemonEndpoint(port=port)),
        ),
    )


async def keep_registered(config: AgentConfig, port: int) -> None:
    """Register, and again whenever the connection to the relay is lost; runs until cancelled."""
    delay = RETRY_FIRST
    told = ""
    while True:
        began = time.monotonic()
        try:
            await _register(config, port)
        except KfwdError as error:
            if error.what != told:
                told = error.what
                print(f"{config.node}: not registered: {told}", file=sys.stderr, flush=True)
        if time.monotonic() - began > RETRY_MAX:
            delay = RETRY_FIRST
        await asyncio.sleep(delay)
        delay = min(2 * delay, RETRY_MAX)


async def _register(config: AgentConfig, port: int) -> None:
    """Register once; returns when the connection that it was done on is over.

    Raises:
        KfwdError: the relay is not there, or refuses.
    """
    context = client_context(config.ca, cert=config.cert, key=config.key)
    tunnel = await Tunnel.open(Endpoint(config.relay.host, config.relay.port, context))
    try:
        body = msgspec.json.encode(node_object(config, port))
        reply = await tunnel.request("PUT", f"/api/v1/nodes/{config.node}", body=body)
        if reply.status >= 400:
            raise error_of_response(reply.status, reply.body)
        await tunnel.closed
    finally:
        tunnel.close()
