"""Upgraded connections to `pods/portforward` of an API server (Kubernetes pkg/registry/core/pod).

Kubernetes API servers take both forms on one path: a POST that is upgraded to SPDY, and since 1.31
(1.30 behind a feature gate) a WebSocket that carries the same SPDY.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import replace
from typing import TypeVar

from kfwd_nb.kube.api.wire import UNAUTHORIZED
from kfwd_nb.kube.kubeconfig.access import ClusterAccess
from kfwd_nb.kube.objects import Pod
from kfwd_nb.kube.resources import resource_of
from kfwd_nb.protocol.portforward import PROTOCOL, TUNNEL, VERSION_HEADER
from kfwd_nb.transport.http1.client import Upgraded, UpgradeError, upgrade
from kfwd_nb.transport.spdy.client import PortforwardConnection
from kfwd_nb.transport.tap import MakeTap
from kfwd_nb.transport.websocket import tunnel


async def open_spdy(
    access: ClusterAccess, namespace: str, pod: str, tap: MakeTap | None = None
) -> PortforwardConnection:
    """POST and `Upgrade: SPDY/3.1`.

    Raises:
        UpgradeError: the server refuses; with its status and its own words.
        KfwdError: it cannot be reached, or the kubeconfig's credentials cannot be had.
    """

    async def ask() -> Upgraded:
        headers = await access.headers()
        headers |= {"upgrade": "SPDY/3.1", VERSION_HEADER: PROTOCOL}
        endpoint = replace(await access.endpoint(), tap=tap)
        return await upgrade(endpoint, _path(access, namespace, pod), headers)

    connection = PortforwardConnection()
    (await _asked(access, ask)).begin(connection.protocol)
    return connection


async def open_websocket(
    access: ClusterAccess, namespace: str, pod: str, tap: MakeTap | None = None
) -> PortforwardConnection:
    """GET and the subprotocol `SPDY/3.1+portforward.k8s.io`.

    Raises:
        UpgradeError: the server refuses; with its status and its own words.
        KfwdError: it cannot be reached, or the kubeconfig's credentials cannot be had.
    """

    async def ask() -> tunnel.OpenedWebSocket:
        return await tunnel.open_websocket(
            replace(await access.endpoint(), tap=tap),
            _path(access, namespace, pod),
            await access.headers(),
            [TUNNEL],
        )

    connection = PortforwardConnection()
    (await _asked(access, ask)).begin(connection.protocol)
    return connection


T = TypeVar("T")


async def _asked(access: ClusterAccess, ask: Callable[[], Awaitable[T]]) -> T:
    """Ask, and once more with new credentials if these are not taken (any more)."""
    used = await access.credential()
    try:
        return await ask()
    except UpgradeError as error:
        if error.status != UNAUTHORIZED or not access.forget_credentials(used):
            raise
    return await ask()


def _path(access: ClusterAccess, namespace: str, pod: str) -> str:
    return access.path(f"{resource_of(Pod).path(namespace, pod)}/portforward")
