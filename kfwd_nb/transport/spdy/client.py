"""`portforward.k8s.io` connections, client role: pairs of SPDY streams over whatever carries them.

The client opens a pair with one write and waits for nothing: servers handle the frames of a stream
in their order, so the first bytes may follow at once. The server's role is `server`.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from kfwd_nb.errors import KfwdError, LostError
from kfwd_nb.protocol.portforward import DATA, ERROR, pair_headers
from kfwd_nb.protocol.spdy import frames
from kfwd_nb.transport.spdy.driver import MAX_HELD, SpdyDriver
from kfwd_nb.transport.spdy.pair_stream import PairStream

REPLY_TIMEOUT = 30.0
"""Seconds for the server to take a pair, as client-go has it."""

TRUSTED = 5.0
"""Seconds without a byte from the server after which a connection may have gone unnoticed: a pair
then sends nothing before it is taken, so that it can be opened on another connection instead."""

CAREFUL_TIMEOUT = 2.0
"""Seconds for the server to take such a pair."""

MAX_REUSED = 1 << 16
"""Octets that a pair may send if its connection shall carry another one. A pod's socket takes at
least as many, whatever its program does; of more, some may be stuck in a frame worker of the
server, and it does not say so."""


class PortforwardConnection:
    """One upgraded connection, client role.

    Attributes:
        protocol: for the transport that carries it.
        pairs: how many are open.
        closed: done when the connection is over, with the error if it was not closed by us.
        released: called when a pair is over, and the connection free for another one.
        spoiled: a server may be stuck with bytes of a pair that is over, so that another one would
            wait for ever: Go's peers have five workers for all streams, and each is blocked by a
            stream that nobody reads.
    """

    def __init__(self) -> None:
        self._driver = SpdyDriver(self, client=True)
        self.protocol: asyncio.BufferedProtocol = self._driver
        self.pairs = 0
        self.closed: asyncio.Future[KfwdError | None] = asyncio.get_running_loop().create_future()
        self.released: Callable[[], None] = lambda: None
        self.spoiled = False
        self._requests = 0
        self._pings: dict[int, asyncio.Future[None]] = {}
        self._terminated = False

    @property
    def alive(self) -> bool:
        """It stands, and the server takes new pairs."""
        return not (self._terminated or self.closed.done() or self._driver.closing)

    def open(self, port: int) -> PairStream:
        """Open a pair to a port of the pod; the caller starts it, and may write at once.

        Raises:
            LostError: the connection is over.
        """
        if not self.alive:
            raise LostError("the connection to the API server is over.", where="relay")
        connection, request = self._driver.connection, self._requests
        self._requests += 1
        error_id = connection.open(pair_headers(ERROR, port, request), end=True)
        data_id = connection.open(pair_headers(DATA, port, request))
        pair = PairStream(self._driver, error_id, data_id, port, self._released)
        careful = self._driver.silence > TRUSTED
        pair.expect_reply(CAREFUL_TIMEOUT if careful else REPLY_TIMEOUT, careful=careful)
        self._count(1)
        self._driver.flush_soon()
        return pair

    def _count(self, change: int) -> None:
        """A pair that is alone pauses the transport; several may hold, for each other's sake."""
        several, self.pairs = self.pairs > 1, self.pairs + change
        if several != (self.pairs > 1):
            self._driver.limit_holding(0 if several else MAX_HELD)

    async def ping(self) -> float:
        """Seconds for a PING there and back.

        Raises:
            LostError: the connection is over, or ends meanwhile.
        """
        if not self.alive:
            raise LostError("the connection to the API server is over.", where="relay")
        loop = asyncio.get_running_loop()
        began, number = loop.time(), self._driver.connection.ping()
        answered = self._pings[number] = loop.create_future()
        self._driver.flush()
        try:
            await answered
        finally:
            self._pings.pop(number, None)
        return loop.time() - began

    def close(self, error: KfwdError | None = None) -> None:
        """End the connection; its pairs end with `error`."""
        if error is None:
            self._driver.close()
        else:
            self._driver.abandon(error)

    def _released(self, pair: PairStream) -> None:
        self._count(-1)
        if pair.unanswered or pair.error_text or pair.sent > MAX_REUSED:
            self.spoiled = True
        if self._terminated and not self.pairs:
            self._driver.close()
        self.released()

    # -- transport.spdy.driver.Role ---------------------------------------------------------------

    def stream_opened(self, stream_id: int, headers: dict[str, str], *, ended: bool) -> None:
        """No server of this protocol opens streams."""
        self._driver.connection.reset(stream_id, frames.REFUSED_STREAM)

    def pinged(self, number: int) -> None:
        """Wake who asked."""
        answered = self._pings.get(number)
        if answered is not None and not answered.done():
            answered.set_result(None)

    def terminated(self) -> None:
        """Nothing new; what is open may come to its end."""
        self._terminated = True
        if not self.pairs:
            self._driver.close()

    def connection_over(self, error: KfwdError | None) -> None:
        """Wake everybody."""
        for answered in self._pings.values():
            if not answered.done():
                answered.set_exception(error or LostError("the connection was closed."))
        if not self.closed.done():
            self.closed.set_result(error)
