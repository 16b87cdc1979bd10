"""Asks an API server for objects, over a tunnel that stands already."""

from __future__ import annotations

import asyncio
from typing import Any, TypeVar
from urllib.parse import quote

import msgspec

from kfwd_nb.errors import ForbiddenError, KfwdError, LostError
from kfwd_nb.kube.kubeconfig import ClusterAccess
from kfwd_nb.kube.objects import (
    ISOLATION_ANNOTATION,
    Deployment,
    Namespace,
    Node,
    Object,
    Pod,
    Service,
)
from kfwd_nb.kube.resolve import Inventory
from kfwd_nb.transport.http import error_of_response
from kfwd_nb.transport.tunnel import Tunnel

O = TypeVar("O", bound=Object)  # noqa: E741 - an object of the API

_COLLECTIONS: dict[type[Object], tuple[str, str]] = {
    Pod: ("/api/v1", "pods"),
    Service: ("/api/v1", "services"),
    Deployment: ("/apis/apps/v1", "deployments"),
    Namespace: ("/api/v1", "namespaces"),
    Node: ("/api/v1", "nodes"),
}


class _List(msgspec.Struct):
    items: list[msgspec.Raw] = []


async def open_tunnel(access: ClusterAccess) -> Tunnel:
    """Connect to the cluster's API server.

    Raises:
        ConfigError: the certificates of the kubeconfig cannot be used.
        UnavailableError: nobody answers; the hint names the kubeconfig.
        LostError: TLS fails.
    """
    try:
        return await Tunnel.open(
            access.host,
            access.port,
            access.tls(),
            server_hostname=access.server_name,
            headers=access.headers(),
        )
    except KfwdError as error:
        error.where = error.where or "relay"
        error.hint = error.hint or f"the address comes from {access.source}."
        raise


class ApiClient:
    """Typed requests to one API server."""

    def __init__(self, tunnel: Tunnel) -> None:
        self._tunnel = tunnel

    async def version(self) -> dict[str, Any]:
        """What the server says of itself; a kfwd relay has an entry `kfwd`.

        Raises:
            KfwdError: the request fails; the kind says why.
        """
        try:
            return msgspec.json.decode(await self._get("/version"), type=dict[str, Any])
        except msgspec.MsgspecError:
            raise LostError("what answers there is no Kubernetes API server.") from None

    async def list_all(self, kind: type[O], namespace: str | None = None) -> list[O]:
        """All objects of a kind, in one namespace or in all.

        Raises:
            KfwdError: the request fails; the kind says why.
        """
        prefix, plural = _COLLECTIONS[kind]
        inside = f"/namespaces/{quote(namespace, safe='')}" if namespace else ""
        body = await self._get(f"{prefix}{inside}/{plural}")
        try:
            items = msgspec.json.decode(body, type=_List).items
            return [msgspec.json.decode(item, type=kind) for item in items]
        except msgspec.DecodeError as error:
            raise LostError(f"the API server's {plural} make no sense: {error}.") from None

    async def inventory(self, namespace: str) -> Inventory:
        """Everything that the choice of a pod needs; what may not be listed counts as empty."""
        pods, services, deployments, namespaces = await asyncio.gather(
            self.list_all(Pod, namespace),
            self._permitted(Service, namespace),
            self._permitted(Deployment, namespace),
            self._permitted(Namespace),
        )
        return Inventory(
            namespace,
            pods,
            services or (),
            deployments or (),
            None if namespaces is None else [each.metadata.name for each in namespaces],
        )

    async def isolation(self) -> str:
        """How the nodes of an embedded cluster keep pods apart; empty where nothing says."""
        nodes = await self._permitted(Node)
        found = {node.metadata.annotations.get(ISOLATION_ANNOTATION, "") for node in nodes or ()}
        return found.pop() if len(found) == 1 else ""

    async def _permitted(self, kind: type[O], namespace: str | None = None) -> list[O] | None:
        try:
            return await self.list_all(kind, namespace)
        except ForbiddenError:
            return None

    async def _get(self, path: str) -> bytes:
        reply = await self._tunnel.request("GET", path)
        if reply.status >= 400:
            raise error_of_response(reply.status, reply.body)
        return reply.body


def list_objects(access: ClusterAccess, kind: type[O], namespace: str | None = None) -> list[O]:
    """List once, from any thread without a running event loop.

    Raises:
        KfwdError: the server cannot be reached, or refuses.
    """

    async def ask() -> list[O]:
        tunnel = await open_tunnel(access)
        try:
            return await ApiClient(tunnel).list_all(kind, namespace)
        finally:
            tunnel.close()

    from kfwd_nb.transport.loop_thread import loop_thread

    return loop_thread().run(ask())
