"""The last step of a forwarded connection: from the node agent to a port inside the pod.

| connector | how | reaches |
|---|---|---|
| `netns` | a socket made inside the pod's network namespace | 127.0.0.1 and ::1 in the pod |
| `socat` | the classic: `nsenter -t PID -n socat - TCP4:localhost:PORT` over pipes | 127.0.0.1 |
| `loopback` | a socket to the high port that stands for the pod's | declared ports only |
| `faulty` | one of the others, but for ports with a fault | |
"""

from __future__ import annotations

import errno
import os
import socket
from abc import ABC, abstractmethod
from dataclasses import dataclass

from kfwd_nb.agent.runtime import Sandbox
from kfwd_nb.errors import KfwdError, RefusedError, ResetError, UnavailableError
from kfwd_nb.transport.sockets import open_socket
from kfwd_nb.transport.stream import ByteStream


@dataclass(frozen=True, slots=True)
class Place:
    """A pod to connect to: its name, NAMESPACE/NAME, and its sandbox."""

    name: str
    sandbox: Sandbox


class Connector(ABC):
    """Opens ports of pods."""

    @property
    @abstractmethod
    def how(self) -> str:
        """By what, in a few words."""

    @abstractmethod
    async def open(self, pod: Place, port: int) -> ByteStream:
        """Connect to `port` inside the pod.

        Raises:
            RefusedError: nobody listens there.
            ResetError: somebody does, and reset the connection at once.
            UnavailableError: it cannot be connected; the text says why.
        """

    def close(self) -> None:  # noqa: B027 - most hold nothing
        """Give back what the connector holds."""


async def connect(sock: socket.socket, address: str, port: int) -> ByteStream:
    """Connect a fresh socket; it is closed if that fails.

    Raises:
        OSError: it cannot be. A socket that met itself counts as refused: a port that outgoing
            connections may have can be our own, and TCP then connects the two (RFC 9293 §3.5).
    """
    stream = await open_socket(sock, (address, port))
    try:
        itself = sock.getsockname() == sock.getpeername()
    except OSError:  # reset since: its receiver will hear of it
        return stream
    if itself:
        stream.close()
        raise ConnectionRefusedError(errno.ECONNREFUSED, os.strerror(errno.ECONNREFUSED))
    return stream


def refused(pod: Place, port: int, tried: str) -> RefusedError:
    """The refusal when nobody listens; `tried` is each address and what the system answered."""
    return RefusedError(f"nobody listens on port {port} of pod {pod.name} ({tried}).", where="pod")


def failure(pod: Place, port: int, address: str, error: OSError) -> KfwdError:
    """What it means that `address` could not be connected. Pure."""
    tried = f"{address}: {system_words(error)}"
    match error.errno:
        case errno.ECONNREFUSED:
            return refused(pod, port, tried)
        case errno.ECONNRESET:
            return reset(pod, port, tried)
        case _:
            return unreachable(pod, port, tried)


def reset(pod: Place, port: int, tried: str) -> ResetError:
    """The refusal when somebody listens, but will not talk."""
    return ResetError(
        f"pod {pod.name} reset the connection to port {port} as it was opened ({tried}).",
        where="pod",
    )


def unreachable(pod: Place, port: int, tried: str) -> UnavailableError:
    """The refusal when it is not known whether anybody listens."""
    return UnavailableError(
        f"port {port} of pod {pod.name} cannot be connected ({tried}).", where="node agent"
    )


def system_words(error: OSError) -> str:
    """What the system calls the error, without address and number, which asyncio adds."""
    return os.strerror(error.errno) if error.errno else str(error)
