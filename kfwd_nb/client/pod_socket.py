"""The socket that `Forward.open` gives: an ordinary one, whose errors say what happened."""

from __future__ import annotations

import socket
import time
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from kfwd_nb.client.connection import Connection

HEARSAY = 1.0
"""Seconds that a reset may be ahead of its reason."""

LOOK = 0.002
"""Seconds between two looks for it."""


class PodSocket(socket.socket):
    """A connected, blocking TCP socket.

    Where the connection failed, a reset has the reason in its words. (TLS and other code that takes
    the bare descriptor gets the reset without.)

    Attributes:
        connection: what the forward's table shows of it, which changes while it lives; None for a
            duplicate.
    """

    connection: Connection | None = None

    def recv(self, *arguments: Any) -> bytes:
        """As `socket.recv`."""
        try:
            return super().recv(*arguments)
        except ConnectionError as error:
            raise self._explained(error) from None

    def recv_into(self, *arguments: Any) -> int:
        """As `socket.recv_into`."""
        try:
            return super().recv_into(*arguments)
        except ConnectionError as error:
            raise self._explained(error) from None

    def send(self, *arguments: Any) -> int:
        """As `socket.send`."""
        try:
            return super().send(*arguments)
        except ConnectionError as error:
            raise self._explained(error) from None

    def sendall(self, *arguments: Any) -> None:
        """As `socket.sendall`."""
        try:
            super().sendall(*arguments)
        except ConnectionError as error:
            raise self._explained(error) from None

    def _explained(self, error: ConnectionError) -> ConnectionError:
        connection = self.connection
        if connection is None:
            return error
        end = time.monotonic() + (HEARSAY if self.gettimeout() != 0 else 0)
        while connection.closed is None and time.monotonic() < end:
            time.sleep(LOOK)
        return type(error)(error.errno, connection.reason) if connection.failed else error
