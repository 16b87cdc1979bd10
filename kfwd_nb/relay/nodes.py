"""The nodes: which are registered, and the link to each one's agent."""

from __future__ import annotations

import asyncio
from ipaddress import ip_address
from typing import TYPE_CHECKING

import msgspec

from kfwd_nb.errors import ConfigError, LimitError, UnavailableError
from kfwd_nb.kube.objects import READY, Condition, Node
from kfwd_nb.relay.controllers.scheduler import CONNECTING
from kfwd_nb.relay.nodelink import NodeLink
from kfwd_nb.relay.store import with_metadata

if TYPE_CHECKING:
    from kfwd_nb.relay.controllers.scheduler import CONNECTING
    from kfwd_nb.relay.nodelink import Dial
from kfwd_nb.relay.store import Store

MAX_NODES = 100
"""Registered nodes; each has a tunnel and two tasks."""


class Nodes:
    """The links by their nodes' names. Created inside the event loop.

    Args:
        dial: opens a tunnel to (host, port) whose certificate is for the node's name.
    """

    def __init__(self, store: Store, dial: Dial) -> None:
        self._store = store
        self._dial = dial
        self._links: dict[str, NodeLink] = {}

    def register(self, node: Node) -> Node:
        """Take a node in, or its new address; the relay dials it at once.

        A registration that repeats the address of a standing link changes nothing.

        Raises:
            ConfigError: it names no address or no port.
            LimitError: there are `MAX_NODES`.
        """
        address = address_of(node)
        name = node.metadata.name
        link = self._links.get(name)
        if link is not None and link.stands(address):
            return self._store.require(Node, "", name)
        node = self._record(node)
        if link is None:
            link = self._links[name] = NodeLink(name, self._store, self._dial)
        link.redirect(address)
        return node

    def _record(self, node: Node) -> Node:
        """Write what the agent says of its node; whether it is ready, the relay says itself."""
        waiting = Condition(
            type=READY,
            status="False",
            reason=CONNECTING,
            message="the relay is dialling the node agent",
            last_transition_time=self._store.now(),
        )
        status = msgspec.structs.replace(node.status, conditions=[waiting])
        node = msgspec.structs.replace(node, status=status)
        former = self._store.get(Node, "", node.metadata.name)
        if former is None:
            if len(self._links) >= MAX_NODES:
                raise LimitError(f"the relay knows {MAX_NODES} nodes; that is its limit.")
            return self._store.create(node)
        return self._store.update(
            with_metadata(
                node,
                uid=former.metadata.uid,
                creation_timestamp=former.metadata.creation_timestamp,
            )
        )

    def link(self, name: str) -> NodeLink:
        """The link to a node's agent.

        Raises:
            UnavailableError: no such node is registered.
        """
        if name not in self._links:
            raise UnavailableError(f'Node "{name}" is not registered with the relay.')
        return self._links[name]

    def forget(self, name: str) -> None:
        """End the link to a node that is deleted."""
        link = self._links.pop(name, None)
        if link is not None:
            link.end()

    async def close(self) -> None:
        """End all links."""
        links = list(self._links.values())
        self._links.clear()
        await asyncio.gather(*(link.close() for link in links))


def address_of(node: Node) -> tuple[str, int]:
    """Where the node's agent listens.

    Raises:
        ConfigError: the node does not say it.
    """
    port = node.status.daemon_endpoints.kubelet_endpoint.port
    try:
        host = str(ip_address(node.status.addresses[0].address))
    except (IndexError, ValueError):
        raise ConfigError(
            f'Node "{node.metadata.name}" names no IP address in status.addresses[0].'
        ) from None
    if not 0 < port <= 65535:
        raise ConfigError(
            f'Node "{node.metadata.name}" names no port in status.daemonEndpoints.kubeletEndpoint.'
        )
    return host, port
