"""`pods/portforward` as Kubernetes API servers offer it, in three wire forms.

| request | form |
|---|---|
| `POST`, `Upgrade: SPDY/3.1`, `X-Stream-Protocol-Version: portforward.k8s.io` | stream pairs |
| `GET`, WebSocket with `SPDY/3.1+portforward.k8s.io` | the same, in binary messages |
| `GET ?ports=80`, WebSocket with `v4.channel.k8s.io` or none | two channels for each port |

Every form needs the verb `create`; a `GET` needs `get` besides (Kubernetes 1.36, feature gate
AuthorizePodWebsocketUpgradeCreatePermission). SPDY is agreed to on a `GET`, too, as real API
servers do.

Behind each of them every connection is one CONNECT to the pod's node agent, as for our own client.
"""

from __future__ import annotations

import time
from dataclasses import replace
from typing import TYPE_CHECKING
from weakref import WeakKeyDictionary

from kfwd_nb.errors import ForbiddenError, KfwdError, LimitError, UnavailableError, UsageError
from kfwd_nb.kube.objects import Pod
from kfwd_nb.kube.podstate import FINISHED
from kfwd_nb.protocol.connect import Authority
from kfwd_nb.protocol.portforward import (
    ACCEPTED_HEADER,
    PROTOCOL,
    TUNNEL,
    VERSION_HEADER,
    text_of_error,
)
from kfwd_nb.protocol.websocket import offered_subprotocols
from kfwd_nb.relay.api.routes import Call, route
from kfwd_nb.relay.impersonation import acting
from kfwd_nb.transport.http import Request, Response, Switch, status_response
from kfwd_nb.transport.pump import Pump
from kfwd_nb.transport.spdy.served_pair import ServedPair
from kfwd_nb.transport.spdy.server import PortforwardServer
from kfwd_nb.transport.websocket.channels import ChannelsServer, channels_switch
from kfwd_nb.transport.websocket.tunnel import websocket_switch

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Callable

    from kfwd_nb.relay.authentication import Authenticator
    from kfwd_nb.relay.nodes import Nodes
    from kfwd_nb.relay.rbac import Authorizer
    from kfwd_nb.relay.store import Store
    from kfwd_nb.transport.websocket.channel_stream import ChannelStream

    Serve = Callable[[ServedPair | ChannelStream], None]

SPDY = "spdy/3.1"

MAX_CONNECTIONS = 2048
"""Upgraded connections at the same time, over all clients."""

MAX_PAIRS = 8192
"""Connections into pods that they carry at the same time."""


class Portforward:
    """Answers upgrade requests on `pods/portforward`, and ends connections with their pods."""

    def __init__(
        self, store: Store, nodes: Nodes, authenticator: Authenticator, authorizer: Authorizer
    ) -> None:
        self._store = store
        self._nodes = nodes
        self._authenticator = authenticator
        self._authorizer = authorizer
        # Weak, because a client that is gone before the switch leaves no other trace.
        self._connections: WeakKeyDictionary[PortforwardServer | ChannelsServer, Pod]
        self._connections = WeakKeyDictionary()
        self._pairs = 0

    def asked(self, request: Request) -> bool:
        """The request is on a path of this subresource."""
        try:
            return route(request.method, request.path).subresource == "portforward"
        except KfwdError:
            return False

    def upgrade(self, request: Request) -> Response | Switch:
        """Agree to one of the forms.

        Raises:
            UnauthorizedError: nobody known asks.
            ForbiddenError: they may not `create` `pods/portforward`; or, by a GET, not `get` it.
            NotFoundError: no such pod.
            UnavailableError: the pod does not run.
            UsageError: none of the forms is offered properly.
            LimitError: there are `MAX_CONNECTIONS`.
        """
        user = self._authenticator.require(request, time.time())
        user = acting(user, request.headers, self._authorizer)
        call = route(request.method, request.path)
        for verb in dict.fromkeys((call.verb, "create")):
            self._authorizer.require(user, replace(call.attributes, verb=verb))
        pod = self._running(call)
        if len(self._connections) >= MAX_CONNECTIONS:
            raise LimitError(f"{MAX_CONNECTIONS} forwards are open; that is the relay's limit.")
        offered = request.headers.get("upgrade", "").lower()
        if offered == SPDY:
            return self._spdy(request, pod)
        if offered == "websocket" and TUNNEL in offered_subprotocols(request.headers):
            return websocket_switch(request, TUNNEL, lambda: self._server(pod).protocol)
        if offered == "websocket":
            return self._channels(request, pod)
        raise UsageError("Upgrade request required")

    def step(self) -> None:
        """End the connections whose pods are gone (`controllers.running.Controller`).

        A client that waits for its next connection would not notice otherwise.
        """
        for server, pod in list(self._connections.items()):
            if self._present(pod) is not None:
                continue
            if isinstance(server, ChannelsServer):
                for stream in server.streams:
                    stream.close(_gone(pod))
            server.close()

    # -- the forms --------------------------------------------------------------------------------

    def _spdy(self, request: Request, pod: Pod) -> Response | Switch:
        """Agree on what the streams of a SPDY connection speak."""
        offered = [each.strip() for each in request.headers.get(VERSION_HEADER, "").split(",")]
        if not any(offered):
            raise UsageError(f"unable to upgrade: {VERSION_HEADER} is required")
        if PROTOCOL not in offered:
            refused = ForbiddenError(
                f"unable to upgrade: unable to negotiate protocol: client supports {offered[:10]}, "
                f"server accepts [{PROTOCOL}]"
            )
            answer = status_response(refused)
            answer.headers[ACCEPTED_HEADER] = PROTOCOL
            return answer
        headers = {"upgrade": "SPDY/3.1", VERSION_HEADER: PROTOCOL}
        return Switch(headers, self._server(pod).protocol)

    def _server(self, pod: Pod) -> PortforwardServer:
        server = PortforwardServer(self._way(pod))
        self._keep(server, pod)
        return server

    def _channels(self, request: Request, pod: Pod) -> Switch:
        name = pod.metadata.name
        switch = channels_switch(
            request, self._way(pod), lambda error, port: text_of_error(error, port, name)
        )
        assert isinstance(switch.protocol, ChannelsServer)
        self._keep(switch.protocol, pod)
        return switch

    def _keep(self, server: PortforwardServer | ChannelsServer, pod: Pod) -> None:
        self._connections[server] = pod
        server.closed.add_done_callback(lambda _: self._connections.pop(server, None))

    # -- the way into the pod ---------------------------------------------------------------------

    def _running(self, call: Call) -> Pod:
        pod = self._store.require(Pod, call.namespace or "", call.name)
        if not pod.spec.node_name:
            raise UsageError(f"pod {call.name} does not have a host assigned")
        if pod.status.phase != "Running":
            raise UnavailableError(
                "unable to forward port because pod is not running. "
                f"Current status={pod.status.phase}"
            )
        return pod

    def _present(self, pod: Pod) -> Pod | None:
        """The pod as it is now; another one of its name is not it."""
        meta = pod.metadata
        now = self._store.get(Pod, meta.namespace, meta.name)
        if now is None or now.metadata.uid != meta.uid or now.status.phase in FINISHED:
            return None
        return now

    def _way(self, pod: Pod) -> Serve:
        """How each connection comes into the pod."""
        meta = pod.metadata

        def serve(pair: ServedPair | ChannelStream) -> None:
            if isinstance(pair, ServedPair):
                pair.pod = meta.name
            now = self._present(pod)
            if now is None:
                raise _gone(pod)
            if self._pairs >= MAX_PAIRS:
                raise LimitError(f"the relay carries {MAX_PAIRS} connections; that is its limit.")
            onward = Authority("pod", meta.namespace, meta.name, pair.port)
            inner = self._nodes.link(now.spec.node_name).connect_early(str(onward))
            self._pairs += 1
            Pump(pair, inner).done.add_done_callback(self._pair_over)

        return serve

    def _pair_over(self, _: asyncio.Future[KfwdError | None]) -> None:
        self._pairs -= 1


def _gone(pod: Pod) -> UnavailableError:
    """In words by which clients know that it is the pod, and not only this connection."""
    return UnavailableError(f'sandbox of pod "{pod.metadata.name}" is not running', where="relay")
