"""What both ends of a tunnel still hold of streams that are over: nothing, if all is well."""

from __future__ import annotations

from kfwd_nb.transport.http2.client import Tunnel
from kfwd_nb.transport.http2.server import Http2Server
from kfwd_nb.transport.server import Server


def left_over(tunnel: Tunnel) -> list[object]:
    """What a tunnel still holds of streams that are over."""
    driver = tunnel._driver
    return [*driver.streams, *driver.outbounds, *tunnel._exchanges]


def of_server(server: Server) -> Http2Server:
    (connection,) = server.connections
    assert isinstance(connection, Http2Server)
    return connection


def left_over_at(server: Server) -> list[object]:
    connection = of_server(server)
    driver = connection.driver
    return [*driver.streams, *driver.outbounds, *connection._tasks, *connection._bodies]
