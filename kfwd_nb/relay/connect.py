"""A CONNECT through the relay: who, may they, which pod, and then only bytes."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from kfwd_nb.protocol.connect import NODE_HEADER, POD_HEADER, Authority, parse_authority
from kfwd_nb.protocol.hops import NOTES_HEADER
from kfwd_nb.relay.impersonation import acting
from kfwd_nb.relay.rbac import Attributes
from kfwd_nb.transport.pump import Pump

if TYPE_CHECKING:
    from kfwd_nb.relay.authentication import Authenticator
    from kfwd_nb.relay.names import Names
    from kfwd_nb.relay.nodes import Nodes
    from kfwd_nb.relay.rbac import Authorizer
    from kfwd_nb.transport.http import OfferedStream, Request


class Connect:
    """Opens the way from a client's stream to a port inside a pod."""

    def __init__(
        self, names: Names, nodes: Nodes, authenticator: Authenticator, authorizer: Authorizer
    ) -> None:
        self._names = names
        self._nodes = nodes
        self._authenticator = authenticator
        self._authorizer = authorizer

    async def open(self, request: Request, stream: OfferedStream) -> None:
        """Couple the stream with the pod's port. From there on no task is needed for it.

        Raises:
            UnauthorizedError: nobody known asks.
            ForbiddenError: they may not `create` `pods/portforward` in that namespace.
            NotFoundError: no such namespace, pod, service or port.
            UnavailableError: the pod is not running, or its node not ready.
            RefusedError: nobody listens on the port inside the pod.
            LostError: the node's agent went away meanwhile.
        """
        user = self._authenticator.require(request, time.time())
        user = acting(user, request.headers, self._authorizer)
        wanted = parse_authority(request.authority)
        self._authorizer.require(user, portforward(wanted))
        destination = self._names.resolve(wanted)
        meta, node = destination.pod.metadata, destination.pod.spec.node_name
        onward = Authority("pod", meta.namespace, meta.name, destination.port)
        notes = stream.notes
        if notes is not None:
            notes.add("up", "asks", f"node agent {node} for {onward}")
        wish = None if notes is None else {NOTES_HEADER: "1"}
        inner = await self._nodes.link(node).connect(str(onward), headers=wish)
        if notes is not None:
            notes.onward = inner
            notes.add("down", "accepts", "the node agent has connected the port")
        stream.accept({POD_HEADER: f"{meta.namespace}/{meta.name}", NODE_HEADER: node})
        Pump(stream, inner, notes)


def portforward(wanted: Authority) -> Attributes:
    """What somebody must be allowed to do for this CONNECT."""
    name = wanted.name if wanted.kind == "pod" else ""
    return Attributes("create", "pods/portforward", "", wanted.namespace, name)
