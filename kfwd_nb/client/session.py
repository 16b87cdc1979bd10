"""One accepted connection, from the local program to the pod and back."""

from __future__ import annotations

import asyncio
import logging
import socket
import time
from typing import Protocol

from kfwd_nb.client import events
from kfwd_nb.client.connection import Connection, ConnectionState
from kfwd_nb.client.dialing.dialed_stream import DialedStream
from kfwd_nb.client.dialing.dialer import Dialed, Dialer
from kfwd_nb.client.local.half_close import peer_has_closed
from kfwd_nb.errors import KfwdError, LostError, ResetError
from kfwd_nb.transport.pump import Pump
from kfwd_nb.transport.sockets import SocketStream, accepted_socket

log = logging.getLogger(__name__)

LOCAL = 0
"""The pump's side of the local program; the other one is the pod's."""


CUT = (
    "both sides done; the cluster's runtime ends a connection about 1 s after the local program's "
    "half-close, so the end of the reply may be missing."
)
"""Said where that may be so, for it looks like a clean end."""


class Ledger(Protocol):
    """Who keeps the books of a forward."""

    @property
    def stopping(self) -> bool:
        """The forward itself is being stopped: its connections end, but none fails."""

    def changed(self, *, bytes_in: int = 0, bytes_out: int = 0) -> None:
        """Something visible changed; so many bytes have passed."""

    def closed(self, connection: Connection) -> None:
        """The connection is over."""

    def record(self, event: events.Event) -> None:
        """Something has happened to a connection that is an event."""


class Session:
    """Couples a local socket with a dialed stream and keeps its `Connection` true.

    Attributes:
        connection: its row in the table.
        error: why it failed; None while it has not.
        pump: couples the local socket with the stream to the pod; None before that.
        program: the local program's name, empty if nobody tells; None until somebody has asked.
    """

    __slots__ = (
        "_accepted",
        "_dialed",
        "_first_ended",
        "_ledger",
        "_local",
        "connection",
        "error",
        "program",
        "pump",
    )

    def __init__(self, connection: Connection, ledger: Ledger) -> None:
        self.connection = connection
        self.error: KfwdError | None = None
        self.pump: Pump | None = None
        self.program: str | None = None
        self._ledger = ledger
        self._accepted = time.monotonic()
        self._first_ended: int | None = None
        self._local: SocketStream | None = None
        self._dialed: Dialed | None = None

    async def run(self, sock: socket.socket, dialer: Dialer, remote: int | str) -> None:
        """Dial and couple; returns when bytes flow, or when the connection has failed."""
        local: SocketStream | None = None
        try:
            local = self._local = await accepted_socket(sock)
            dialed = self._dialed = await dialer.dial(remote, self, lambda: peer_has_closed(sock))
        except KfwdError as error:
            self._give_up(local or sock, error)
            return
        except asyncio.CancelledError:
            # The forward was stopped; or who opens a socket in this process wants it no more.
            self._give_up(local or sock, ResetError("the local program gave it up."), LOCAL)
            raise
        except Exception as error:
            # A bug, or the system is out of something; the other connections go on.
            self._give_up(local or sock, LostError(f"an internal error: {error!r}."))
            log.exception("connection %s", self.connection.number)
            return
        self.connection.state = "open"
        self._ledger.changed()
        self.pump = Pump(local, dialed.stream, self)

    def refuse(self, sock: socket.socket, error: KfwdError) -> None:
        """End it before it was dialed."""
        self._give_up(sock, error)

    def end(self) -> None:
        """Give the local program up, with all that still waits for it to read."""
        if self._local is not None:
            self._local.close(LostError("the forward was stopped."))

    def _give_up(
        self, local: SocketStream | socket.socket, error: KfwdError, side: int | None = None
    ) -> None:
        if isinstance(local, SocketStream):
            local.close(error)
        else:
            local.close()
        self._close(error, side)

    # -- client.dialing.dialer.DialObserver -------------------------------------------------------

    def waits(self) -> None:
        """No pod can take it now."""
        if self.connection.state not in ("waiting", "closed"):
            self._set_state("waiting")
            self._ledger.record(events.waiting(self.connection))

    def dials(self, pod: str, node: str, port: int, dialect: str) -> None:
        """A pod is there, and is tried."""
        connection = self.connection
        before = connection.pod, connection.node
        connection.pod, connection.node, connection.remote = pod, node, port
        connection.dialect = dialect
        self._set_state("opening")
        if before != (pod, node):
            self._ledger.record(events.goes_to(connection))

    def redialed(self) -> None:
        """Bytes may flow again, after all."""
        self._set_state("open" if self._first_ended is None else "local ended")

    def _set_state(self, state: ConnectionState) -> None:
        if self.connection.state != "closed":
            self.connection.state = state
            self._ledger.changed()

    # -- transport.stream.PumpObserver ------------------------------------------------------------

    def passed(self, side: int, count: int) -> None:
        """Count bytes, and notice the first from the pod."""
        connection = self.connection
        if side == LOCAL:
            connection.bytes_out += count
            self._ledger.changed(bytes_out=count)
            return
        if connection.first_byte is None:
            connection.first_byte = time.monotonic() - self._accepted
        connection.bytes_in += count
        self._ledger.changed(bytes_in=count)

    def ended(self, side: int) -> None:
        """A half-close."""
        if self._first_ended is None:
            self._first_ended = side
            self.connection.state = "local ended" if side == LOCAL else "pod ended"
            self._ledger.changed()

    def finished(self, side: int, error: KfwdError | None) -> None:
        """Both directions are over."""
        self._close(error, side)

    def _close(self, error: KfwdError | None, side: int | None = None) -> None:
        connection = self.connection
        connection.state = "closed"
        gave_up = side == LOCAL and isinstance(error, ResetError)
        connection.failed = not (error is None or gave_up or self._ledger.stopping)
        connection.reason = self._reason(error, side)
        connection.closed = time.time()  # last: who has an eye on it reads the rest then
        self.error = error
        self._ledger.closed(connection)

    def _reason(self, error: KfwdError | None, side: int | None) -> str:
        if self._ledger.stopping:
            return "the forward was stopped."
        if error is None:
            first = "the pod" if self._first_ended else "the local program"
            stream = self._dialed.stream if self._dialed is not None else None
            if isinstance(stream, DialedStream) and stream.cut:
                return CUT
            return f"both sides done, {first} first."
        if side != LOCAL:
            return error.what
        if isinstance(error, ResetError):
            return "the local program closed before it had read all."
        return f"the local program: {error.what}"
