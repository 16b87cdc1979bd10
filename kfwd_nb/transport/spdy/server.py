"""`portforward.k8s.io` connections, server role: each pair that a client opens is coupled."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable

from kfwd_nb.errors import KfwdError, LimitError, LostError, RemoteProtocolError
from kfwd_nb.protocol.portforward import ERROR, PAIR_TIMEOUT, TIMED_OUT, Pair, Pairing
from kfwd_nb.protocol.spdy import frames
from kfwd_nb.transport.spdy.driver import MAX_HELD, MAX_HELD_ALL, SpdyDriver
from kfwd_nb.transport.spdy.pair_stream import PairStream
from kfwd_nb.transport.spdy.served_pair import ServedPair

MAX_PAIRS = 4_000
"""Connections that a client may have open at once on one SPDY connection; kubectl opens them all on
one."""

log = logging.getLogger(__name__)


class PortforwardServer:
    """One upgraded connection, server role.

    Args:
        serve: couples a pair with the port that it wants, and waits for nothing; a `KfwdError` that
            it raises goes out on the error stream, in the kubelet's words.

    Attributes:
        protocol: for the transport that carries it.
        closed: done when the connection is over.
    """

    def __init__(self, serve: Callable[[ServedPair], None]) -> None:
        self._driver = SpdyDriver(self, client=False)
        self.protocol: asyncio.BufferedProtocol = self._driver
        self.closed: asyncio.Future[KfwdError | None] = asyncio.get_running_loop().create_future()
        self._serve = serve
        self._pairing = Pairing()
        self._open = 0
        self._timer: asyncio.TimerHandle | None = None

    def close(self) -> None:
        """End the connection."""
        self._driver.close()

    # -- transport.spdy.driver.Role ---------------------------------------------------------------

    def stream_opened(self, stream_id: int, headers: dict[str, str], *, ended: bool) -> None:
        """Take it, as kubelets do, before anything else: clients wait for that."""
        loop = asyncio.get_running_loop()
        try:
            pair = self._pairing.offer(stream_id, headers, loop.time())
        except RemoteProtocolError as error:
            log.info("a stream was refused: %s", error.what)
            self._driver.connection.reset(stream_id, frames.PROTOCOL_ERROR)
            return
        self._driver.connection.reply(stream_id)
        self._driver.streams[stream_id] = LoneStream(self, stream_id, ended=ended)
        if pair is not None:
            self._begin(pair)
        elif self._timer is None:
            self._timer = loop.call_later(PAIR_TIMEOUT, self._expire)

    def pinged(self, number: int) -> None:
        """A sign of life; the driver has noted it."""

    def terminated(self) -> None:
        """The client will close."""

    def connection_over(self, error: KfwdError | None) -> None:
        """Nobody waits for any pair any more."""
        if self._timer is not None:
            self._timer.cancel()
        if not self.closed.done():
            self.closed.set_result(error)

    # -- pairs ------------------------------------------------------------------------------------

    def _begin(self, ids: Pair) -> None:
        early = self._leave(ids.data_id)
        self._leave(ids.error_id)
        pair = ServedPair(self._driver, ids.error_id, ids.data_id, ids.port, self._released)
        pair.take_early(bytes(early.data), ended=early.ended)
        self._open += 1
        try:
            if self._open > MAX_PAIRS:
                raise LimitError(f"{MAX_PAIRS} connections are open on one; that is the limit.")
            self._serve(pair)
        except KfwdError as error:
            pair.close(error)
        except Exception:
            log.exception("port %d", pair.port)
            pair.close(LostError("an internal error; see the log."))

    def _released(self, _: PairStream) -> None:
        self._open -= 1

    def lone_stream_over(self, stream_id: int) -> None:
        """A stream was reset before the other one of its pair came."""
        self._leave(stream_id)
        self._pairing.forget(stream_id)

    def _leave(self, stream_id: int) -> LoneStream:
        """A stream is alone no more: what it held counts elsewhere, or not at all."""
        lone = self._driver.streams[stream_id]
        assert isinstance(lone, LoneStream)
        self._driver.held -= lone.held
        self._driver.forget(stream_id, lone)
        return lone

    def _expire(self) -> None:
        loop = asyncio.get_running_loop()
        connection = self._driver.connection
        for half in self._pairing.expired(loop.time()):
            self._leave(half.stream_id)
            if half.kind == ERROR:
                if connection.writable(half.stream_id):
                    self._driver.write_frame(frames.data(half.stream_id, TIMED_OUT.encode()))
                connection.end(half.stream_id)
            else:
                connection.reset(half.stream_id)
        self._driver.flush()
        due = self._pairing.next_due
        self._timer = None if due is None else loop.call_at(due, self._expire)

    def hold(self, stream: LoneStream, octets: int) -> None:
        """A stream without its other one keeps so much more."""
        self._driver.held += octets
        if stream.held >= MAX_HELD or self._driver.held >= MAX_HELD_ALL:
            self._driver.stop_reading(stream)


class LoneStream:
    """A stream whose other one has not come; what comes meanwhile is kept.

    Attributes:
        data: at most `MAX_HELD`, and one read.
        held: its octets, as they are counted.
        ended: the client sends no more on it.
    """

    def __init__(self, server: PortforwardServer, stream_id: int, *, ended: bool) -> None:
        self.data = bytearray()
        self.held = 0
        self.ended = ended
        self._server = server
        self._id = stream_id

    def replied_to(self) -> None:
        """Never: we are the server."""

    def deliver(self, buffer: memoryview, start: int, end: int) -> None:
        """Keep it."""
        self.data += buffer[start:end]
        self.held += end - start
        self._server.hold(self, end - start)

    def deliver_eof(self) -> None:
        """Keep that, too."""
        self.ended = True

    def was_reset(self, code: int) -> None:
        """There will be no pair."""
        self._server.lone_stream_over(self._id)

    def drained(self) -> None:
        """Nothing waits to be written here."""

    def lost(self, error: KfwdError) -> None:
        """Nobody else knows of it."""
