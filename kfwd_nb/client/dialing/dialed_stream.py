"""The stream into the pod, as a session sees it: what may still be mended is mended here.

Two things that a bare stream pair cannot do:

- A pair is opened without waiting for anything; that it failed is heard of later. Until the first
  byte comes from the pod, what was sent is kept; if the pod was going, or its successor coming, the
  same bytes go to another one. Such a failure is one of connecting: no program has read a byte.
- SPDY can say that our direction is over, but most runtimes then end the other one, too, about a
  second later. So a half-close is held back while the pod sends, and passed on when it is quiet.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable

from kfwd_nb.errors import KfwdError, LostError, NotFoundError, RefusedError, UnavailableError
from kfwd_nb.transport.spdy.pair_stream import PairStream
from kfwd_nb.transport.stream import HEADROOM, ByteStream, Receiver

MAX_REPLAY = 1 << 16
"""Octets that are kept until the pod's first byte; who sends more than that is not redialed."""

QUIET = 2.0
"""Seconds without a byte from the pod after which a half-close is passed on. containerd ends the
connection 1.0 s after that; a program that thinks for longer than this loses its reply there."""

LOOK_AGAIN = 0.005
"""Seconds after an EOF at which the local program is looked at again: the kernel sends its FIN a
moment before it takes the socket from the program."""

CUT_AFTER = 0.5
"""Seconds between a half-close that was passed on and the end of the other direction, from which on
it was perhaps not the pod that ended it."""

Redial = Callable[[KfwdError], Awaitable[ByteStream]]
"""Opens the way anew, or raises what the connection fails by."""

NOT_REACHED = (NotFoundError, RefusedError, UnavailableError)
"""Errors that say that no program in the pod has taken the connection."""

log = logging.getLogger(__name__)


class DialedStream(ByteStream):
    """A stream that redials while it may, and holds a half-close back where that is of use.

    Args:
        stream: the first one.
        redial: opens another.
        half_closes: an end of our direction is passed on at once.
        gone: whether the local program has closed; None where that cannot be known.

    Attributes:
        cut: said in the connection's reason: the cluster ended it after our half-close.
    """

    def __init__(
        self,
        stream: ByteStream,
        redial: Redial,
        *,
        half_closes: bool,
        gone: Callable[[], bool | None],
    ) -> None:
        self.cut = False
        self._stream: ByteStream | None = stream
        self._redial = redial
        self._half_closes = half_closes
        self._gone = gone
        self._receiver: Receiver | None = None
        self._sent: bytearray | None = bytearray()  # None: no way back any more
        self._ended = False  # our direction, by the local program
        self._pod_ended = False
        self._passed_on: float | None = None  # when its end was passed on
        self._last_byte = 0.0
        self._paused = False
        self._closed = False
        self._given_up = False  # by `close`
        self._timer: asyncio.TimerHandle | None = None
        self._task: asyncio.Task[None] | None = None
        self._loop = asyncio.get_running_loop()

    # -- ByteStream -------------------------------------------------------------------------------

    def start(self, receiver: Receiver) -> None:
        """See `ByteStream.start`."""
        self._receiver = receiver
        assert self._stream is not None
        self._stream.start(self)

    def write(self, buffer: memoryview, start: int, end: int) -> bool:
        """See `ByteStream.write`."""
        if self._sent is not None:
            if self._stream is None or len(self._sent) + end - start <= MAX_REPLAY:
                self._sent += buffer[start:end]
            else:
                self._sent = None
        if self._stream is None:  # between two pods: what is kept will be sent
            return False
        return self._stream.write(buffer, start, end)

    def write_eof(self) -> None:
        """See `ByteStream.write_eof`."""
        self._ended = True
        if self._stream is None or self._closed_if_gone(self._stream):
            return
        if self._half_closes or self._pod_ended:
            self._pass_on()
        self._timer = self._loop.call_later(LOOK_AGAIN, self._look)

    def _pass_on(self) -> None:
        assert self._stream is not None
        self._passed_on = self._loop.time()
        self._stream.write_eof()

    def pause(self) -> None:
        """See `ByteStream.pause`."""
        self._paused = True
        if self._stream is not None:
            self._stream.pause()

    def resume(self) -> None:
        """See `ByteStream.resume`."""
        self._paused = False
        if self._stream is not None:
            self._stream.resume()

    def close(self, error: KfwdError | None = None) -> None:
        """See `ByteStream.close`."""
        if self._closed:
            return
        self._given_up = True
        self._forget_timers()
        if self._task is not None:
            self._task.cancel()
        if self._stream is not None:
            self._stream.close(error)
        else:
            self._loop.call_soon(self._tell_closed, None)

    @property
    def stream(self) -> ByteStream | None:
        """The one that carries it now; None between two."""
        return self._stream

    @property
    def undelivered(self) -> int:
        """See `ByteStream`."""
        return self._stream.undelivered if self._stream is not None else 0

    @property
    def unsent(self) -> int:
        """See `ByteStream`."""
        if self._stream is None:
            return len(self._sent or b"")
        return self._stream.unsent

    # -- half-close -------------------------------------------------------------------------------

    def _closed_if_gone(self, stream: ByteStream) -> bool:
        """The local program sends no more: has it gone, or does it still read?

        A close says all that an end would, and frees the pair; what was sent before still arrives.
        """
        gone = bool(self._gone())
        if gone:
            stream.close()
        return gone

    def _look(self) -> None:
        self._timer = None
        if self._closed or self._stream is None or self._closed_if_gone(self._stream):
            return
        if self._passed_on is None:
            self._wait_for_quiet()

    def _wait_for_quiet(self) -> None:
        """Pass the half-close on once the pod has sent nothing for `QUIET` seconds."""
        now = self._loop.time()
        self._last_byte = self._last_byte or now
        due = self._last_byte + QUIET
        if now < due or self._paused:
            self._timer = self._loop.call_later(max(due - now, QUIET / 4), self._look)
        else:
            self._pass_on()

    # -- Receiver: what the stream says -----------------------------------------------------------

    def data_received(self, buffer: memoryview, start: int, end: int) -> None:
        """Bytes from the pod: from now on there is no way back."""
        self._sent = None
        if self._ended:
            self._last_byte = self._loop.time()
        assert self._receiver is not None
        self._receiver.data_received(buffer, start, end)

    def eof_received(self) -> None:
        """The pod has ended its direction."""
        self._sent = None
        self._pod_ended = True
        if self._passed_on is not None and not self._half_closes:
            self.cut = self._loop.time() - self._passed_on > CUT_AFTER
        assert self._receiver is not None
        self._receiver.eof_received()
        if self._ended and not self._closed and self._stream is not None:
            self._forget_timers()
            self._stream.write_eof()  # nothing is left that it could cut

    def writable(self) -> None:
        """The stream takes more."""
        if self._receiver is not None:
            self._receiver.writable()

    def closed(self, error: KfwdError | None) -> None:
        """The stream is over: perhaps there is another one."""
        stream, self._stream = self._stream, None
        if error is not None and self._no_program_has_read(stream, error):
            self._task = self._loop.create_task(self._again(error))
        else:
            self._tell_closed(error)

    def _no_program_has_read(self, stream: ByteStream | None, error: KfwdError) -> bool:
        """The failure is one of connecting, so that the same bytes may go elsewhere.

        A connection to the API server may break when a program has read, and even obeyed: then only
        a pair on which nothing was sent is begun anew.
        """
        if self._sent is None or self._given_up:
            return False
        if isinstance(error, LostError):
            return not (stream.sent if isinstance(stream, PairStream) else self._sent)
        return isinstance(error, NOT_REACHED)

    async def _again(self, error: KfwdError) -> None:
        try:
            stream = await self._redial(error)
        except KfwdError as final:
            self._tell_closed(final)
            return
        except asyncio.CancelledError:
            self._loop.call_soon(self._tell_closed, None)
            raise
        except Exception as bug:
            log.exception("a redial")
            self._tell_closed(LostError(f"an internal error: {bug!r}."))
            return
        self._task, self._passed_on = None, None
        self._stream = stream
        stream.start(self)
        if self._paused:
            stream.pause()
        takes_more = True
        if self._sent:
            kept = memoryview(bytearray(HEADROOM) + self._sent)
            takes_more = stream.write(kept, HEADROOM, len(kept))
        if self._ended:
            self.write_eof()
        elif takes_more:
            self.writable()

    def _tell_closed(self, error: KfwdError | None) -> None:
        if not self._closed:
            self._closed = True
            self._forget_timers()
            if self._receiver is not None:
                self._receiver.closed(error)

    def _forget_timers(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
