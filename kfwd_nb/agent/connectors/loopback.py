"""Connector `loopback`: pods without namespaces, whose ports stand on 127.0.0.1 of the node."""

from __future__ import annotations

import socket

from kfwd_nb.agent.connectors import Connector, Place, connect, failure
from kfwd_nb.errors import RefusedError
from kfwd_nb.transport.stream import ByteStream

ADDRESS = "127.0.0.1"


class LoopbackConnector(Connector):
    """See the module."""

    how = "at the high port that stands for it"

    async def open(self, pod: Place, port: int) -> ByteStream:
        """See `Connector.open`."""
        real = real_port(pod, port)
        try:
            return await connect(socket.socket(), ADDRESS, real)
        except OSError as error:
            raise failure(pod, port, f"{ADDRESS}:{real}", error) from None


def real_port(pod: Place, port: int) -> int:
    """The port of the node that stands for the pod's.

    Raises:
        RefusedError: the pod declares no such port, so none was set aside for it.
    """
    real = pod.sandbox.ports.get(port)
    if real is None:
        declared = ", ".join(map(str, pod.sandbox.ports)) or "none"
        raise RefusedError(
            f"pod {pod.name} declares no port {port} (declared: {declared}), "
            "and in loopback isolation only declared ports can be reached.",
            where="pod",
        )
    return real
