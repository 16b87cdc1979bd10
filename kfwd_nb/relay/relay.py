"""The relay as a whole: the handler behind its port, and the controllers behind its store."""

from __future__ import annotations

import asyncio
import time
from pathlib import Path
from typing import TYPE_CHECKING

from kfwd_nb.kube.objects import DEFAULT_NAMESPACE, Namespace, ObjectMeta
from kfwd_nb.relay.api.answering import Api
from kfwd_nb.relay.authentication import Authenticator
from kfwd_nb.relay.connect import Connect
from kfwd_nb.relay.controllers.deletion import OrphanCollector
from kfwd_nb.relay.controllers.deployments import DeploymentController
from kfwd_nb.relay.controllers.running import Controller, run
from kfwd_nb.relay.controllers.scheduler import Scheduler
from kfwd_nb.relay.names import Names
from kfwd_nb.relay.nodes import Nodes
from kfwd_nb.relay.portforward import Portforward
from kfwd_nb.relay.rbac import Authorizer
from kfwd_nb.relay.store import Store
from kfwd_nb.transport.endpoint import Endpoint
from kfwd_nb.transport.http2.client import Tunnel
from kfwd_nb.transport.server import serve
from kfwd_nb.transport.tls import client_context, server_context

if TYPE_CHECKING:
    from kfwd_nb.errors import Hop
    from kfwd_nb.relay.config import RelayConfig
    from kfwd_nb.transport.http import OfferedStream, Request, Response, Switch
    from kfwd_nb.transport.server import Server


class Relay:
    """One relay, inside one event loop: `await start()`, then `await close()`.

    Attributes:
        store: the cluster's objects.
        failed: done with the error if a controller ends, which is a bug; it never should be.
    """

    hop: Hop = "relay"

    def __init__(self, config: RelayConfig) -> None:
        self._config = config
        self._server: Server | None = None
        self._tasks: list[asyncio.Task[None]] = []
        self._to_agents = client_context(
            Path(config.ca), cert=Path(config.cert), key=Path(config.key)
        )
        self.failed: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.store = Store()
        self.store.create(Namespace(metadata=ObjectMeta(name=DEFAULT_NAMESPACE)))
        authenticator, authorizer = Authenticator(config.tokens), Authorizer(config.rules)
        self._authenticator = authenticator
        self._nodes = Nodes(self.store, self._dial)
        self._api = Api(config.cluster, self.store, self._nodes, authenticator, authorizer)
        self._portforward = Portforward(self.store, self._nodes, authenticator, authorizer)
        self._connect = Connect(Names(self.store), self._nodes, authenticator, authorizer)

    async def start(self) -> int:
        """Listen, and set the controllers going; returns the port.

        Raises:
            OSError: the address cannot be had, or a certificate not be read.
        """
        config = self._config
        context = server_context(Path(config.cert), Path(config.key), clients=Path(config.ca))
        self._server = await serve(self, context, host=config.host, port=config.port)
        controllers: tuple[Controller, ...] = (
            DeploymentController(self.store),
            OrphanCollector(self.store),
            Scheduler(self.store),
            self._portforward,
        )
        for controller in controllers:
            task = asyncio.create_task(run(controller, self.store))
            task.add_done_callback(self._controller_ended)
            self._tasks.append(task)
        return self._server.port

    async def close(self) -> None:
        """Stop listening; end every connection, link and task."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        if self._server is not None:
            await self._server.close()
        await self._nodes.close()

    # -- transport.http.Handler -------------------------------------------------------------------

    async def request(self, request: Request) -> Response:
        """Answer an API request."""
        return await self._api.answer(request)

    async def admit(self, request: Request) -> None:
        """Whoever is known may hear of the connections of their own tunnel."""
        self._authenticator.require(request, time.time())

    async def upgrade(self, request: Request) -> Response | Switch:
        """Agree to forward ports of a pod; to nothing else."""
        if self._portforward.asked(request):
            return self._portforward.upgrade(request)
        return await self.request(request)

    async def connect(self, request: Request, stream: OfferedStream) -> None:
        """Couple a client's stream with a pod's port."""
        await self._connect.open(request, stream)

    # -- inside -----------------------------------------------------------------------------------

    async def _dial(self, host: str, port: int, node: str) -> Tunnel:
        return await Tunnel.open(Endpoint(host, port, self._to_agents, server_hostname=node))

    def _controller_ended(self, task: asyncio.Task[None]) -> None:
        if not task.cancelled() and not self.failed.done():
            error = task.exception() or RuntimeError("a controller ended")
            self.failed.set_exception(error)
