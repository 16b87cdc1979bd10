"""requests: an adapter to mount on a `Session`, over the connection pools of urllib3."""

from __future__ import annotations

import socket
from typing import Any, Unpack

import requests.adapters
from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.connectionpool import HTTPConnectionPool, HTTPSConnectionPool
from urllib3.exceptions import ConnectTimeoutError, NewConnectionError

from kfwd_nb.adapters.targets import ClusterOptions, Targets, in_one_line
from kfwd_nb.errors import KfwdError, WaitError


class PodAdapter(requests.adapters.HTTPAdapter):
    """Reaches `http://web.default.pod/` and `http://api.default.svc:8080/`.

    Connections are kept alive; closing the session closes them, and the way to the cluster.

    Args:
        options: which cluster, and how to reach it; as for `kfwd_nb.forward`.
    """

    def __init__(self, **options: Unpack[ClusterOptions]) -> None:
        self._targets = Targets(options)
        super().__init__()

    def init_poolmanager(self, *arguments: Any, **options: Any) -> None:
        """As requests has it, with connections of our own."""
        super().init_poolmanager(*arguments, **options)
        self.poolmanager.pool_classes_by_scheme = _pools(self._targets)

    def send(
        self, request: requests.PreparedRequest, *arguments: Any, **options: Any
    ) -> requests.Response:
        """Send it; never to a proxy, which would not know the name."""
        return super().send(request, *arguments, **options | {"proxies": None})

    def close(self) -> None:
        """Close the connections and stop the forwards."""
        super().close()
        self._targets.close()


def _pools(targets: Targets) -> dict[str, type]:
    """Pool classes whose connections go to these targets."""

    def connect(connection: HTTPConnection) -> socket.socket:
        limit = connection.timeout
        timeout = limit if isinstance(limit, int | float) else None
        try:
            return targets.connect(connection.host, connection.port, timeout)
        except WaitError as error:
            raise ConnectTimeoutError(connection, in_one_line(error)) from error
        except (KfwdError, OSError) as error:
            raise NewConnectionError(connection, in_one_line(error)) from error

    class Connection(HTTPConnection):
        def _new_conn(self) -> socket.socket:
            return connect(self)

    class SecureConnection(HTTPSConnection):
        def _new_conn(self) -> socket.socket:
            return connect(self)

    class PodPool(HTTPConnectionPool):
        ConnectionCls = Connection

    class SecurePodPool(HTTPSConnectionPool):
        ConnectionCls = SecureConnection

    return {"http": PodPool, "https": SecurePodPool}
