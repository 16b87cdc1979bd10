"""What `Forward.trace()` returns: the frames between this client and its server, as they passed.

A trace has connections of its own: header blocks are compressed with all that a connection carried
before, so one that stands already could be read only in part. What is opened under a trace goes
over connections that are tapped from their first octet; what was open before goes on untraced, and
no other forward is touched. No payload is recorded, and of header fields that may hold a secret
only the names.
"""

from __future__ import annotations

import asyncio
import itertools
import logging
import threading
import time
from collections import deque
from collections.abc import Callable, Coroutine, Iterator, Sequence
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self, overload

from kfwd_nb.client.display import Displayable
from kfwd_nb.client.tracing.beyond import Beyond, beyond
from kfwd_nb.client.tracing.playback import Playback, playback
from kfwd_nb.client.tracing.traced_frame import Direction, TracedFrame
from kfwd_nb.errors import ConfigError, KfwdError, UsageError
from kfwd_nb.protocol.dissect import Dissector, Frame, dissector
from kfwd_nb.protocol.hops import MAX_NOTED, PATH, PING_MARK
from kfwd_nb.transport.http2.hops import CLIENT_PATIENCE, ask

if TYPE_CHECKING:
    import pandas as pd

    from kfwd_nb.transport.http2.client import Tunnel

MAX_FRAMES = 10_000
"""Frames that a trace keeps unless it is told otherwise: the latest ones."""

MAX_LIMIT = 1_000_000
"""Frames that it can be told to keep, some 400 octets each."""

SETTLE = 0.5
"""Seconds that the end of a `with` block waits for the last frames of what it opened: they follow
the answer that the program was waiting for."""

LOOK_AGAIN = 0.005
"""Seconds between two looks whether they have come."""

MAX_QUESTIONS = 16
"""Questions about the hops, the last ones, whose frames are known to be none of the program's."""

log = logging.getLogger(__name__)


class Trace(Displayable, Sequence[TracedFrame]):
    """A bounded record of frames; all of it may be used from any thread, while it records, too.

    Args:
        name: the forward's.
        limit: frames that are kept.
        before: connections that were open already; they are not traced.
        detach: called once, at the end.
        settled: nothing that was opened under the trace is open any more.
        blocks: the loop that records is the caller's: waiting would hold up what is waited for.
        run: runs a coroutine on the loop that records, and waits for it.

    Attributes:
        name: the forward's.
        started: seconds since the epoch.
        limit: frames that are kept.
        before: connections that were open when it began, and are not in it.
        recording: it has not been stopped.
    """

    def __init__(
        self,
        name: str,
        limit: int = MAX_FRAMES,
        *,
        before: int = 0,
        detach: Callable[[Trace], None] = lambda _: None,
        settled: Callable[[], bool] = lambda: True,
        blocks: bool = False,
        run: Callable[[Coroutine[Any, Any, None]], None] | None = None,
    ) -> None:
        if not isinstance(limit, int) or not 0 < limit <= MAX_LIMIT:
            raise UsageError(f"a trace keeps 1 to {MAX_LIMIT} frames, not {limit!r}.")
        self.name = name
        self.started = time.time()
        self.limit = limit
        self.before = before
        self.recording = True
        self._began = time.perf_counter()
        self._detach = detach
        self._settled = settled
        self._blocks = blocks
        self._lock = threading.Lock()
        self._frames: deque[TracedFrame] = deque(maxlen=limit)
        self._count = 0
        self._wires = itertools.count(1)
        self._run = run
        self._noted: deque[tuple[int, Tunnel, int]] = deque(maxlen=MAX_NOTED)
        self._questions: deque[tuple[int, int]] = deque(maxlen=MAX_QUESTIONS)
        self._beyond: dict[tuple[int, int], tuple[Beyond, ...]] = {}

    # -- what a person asks -----------------------------------------------------------------------

    def stop(self) -> None:
        """Record no more; nothing if that was done already. What is recorded stays."""
        with self._lock:
            was, self.recording = self.recording, False
        if was:
            self._detach(self)

    @property
    def dropped(self) -> int:
        """Frames that had to go because there were more than `limit`: the oldest ones."""
        with self._lock:
            return self._count - len(self._frames)

    def frames(self) -> list[TracedFrame]:
        """A copy of what is recorded so far."""
        with self._lock:
            return list(self._frames)

    def __len__(self) -> int:
        return len(self._frames)

    def __iter__(self) -> Iterator[TracedFrame]:
        return iter(self.frames())

    @overload
    def __getitem__(self, index: int) -> TracedFrame: ...

    @overload
    def __getitem__(self, index: slice) -> list[TracedFrame]: ...

    def __getitem__(self, index: int | slice) -> TracedFrame | list[TracedFrame]:
        return self.frames()[index]

    def to_frame(self) -> pd.DataFrame:
        """A pandas DataFrame, one row for each frame; `attrs` holds name, started and dropped.

        Raises:
            ConfigError: pandas is not installed.
        """
        try:
            import pandas as pd
        except ImportError:
            raise ConfigError(
                "a DataFrame needs pandas, which is not installed.", hint="%pip install pandas"
            ) from None
        rows = [
            (
                *(each.time, each.direction, each.wire, each.layer, each.type, each.stream),
                *(each.length, " ".join(each.flags), each.details),
            )
            for each in self.frames()
        ]
        frame = pd.DataFrame(rows, columns=list(COLUMNS))
        frame["stream"] = frame["stream"].astype("Int64")  # whole numbers, some of them missing
        frame.attrs |= {"name": self.name, "started": self.started, "dropped": self.dropped}
        return frame

    def play(self, number: int = -1) -> Playback:
        """One request, frame by frame; the extension plays it in the notebook.

        Behind a kfwd relay, and in the dialect connect, what the relay and the node agent did is
        part of it, as far as they still know.

        Args:
            number: which request of the trace, from 1; the last one unless it is said.

        Raises:
            UsageError: the trace has no such request.
        """
        self._fetch()
        return playback(self.name, self.frames(), number, self._beyond)

    def _fetch(self) -> None:
        if self._noted and self._run is not None:
            self._run(self._ask())

    def __repr__(self) -> str:
        state = "recording" if self.recording else "stopped"
        return f"<Trace of {self.name}: {len(self)} frames ({state})>"

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        deadline = time.monotonic() + (0 if error or self._blocks else SETTLE)
        while self._waits(deadline):
            time.sleep(LOOK_AGAIN)
        self.stop()
        if error is None:
            self._fetch()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        deadline = time.monotonic() + (0 if error else SETTLE)
        while self._waits(deadline):  # noqa: ASYNC110 - the forward may be on another loop
            await asyncio.sleep(LOOK_AGAIN)
        self.stop()
        if error is None:
            await asyncio.to_thread(self._fetch)

    def _waits(self, deadline: float) -> bool:
        return self.recording and not self._settled() and time.monotonic() < deadline

    # -- called by the connections, on the forward's loop -----------------------------------------

    def tap(self, dialect: str) -> Wire:
        """For one new connection of that dialect."""
        return Wire(self, next(self._wires), dialect)

    def noted(self, wire: int, tunnel: Tunnel, stream: int) -> None:
        """The hops beyond take notes of that stream, which is on that tunnel."""
        self._noted.append((wire, tunnel, stream))

    async def _ask(self) -> None:
        """Fetch what the hops beyond have noted, as far as their tunnels still stand."""
        kept = {(wire, stream) for wire, _, stream in self._noted}
        self._beyond = {key: each for key, each in self._beyond.items() if key in kept}
        await asyncio.gather(*(self._ask_one(each) for each in {on for _, on, _ in self._noted}))

    async def _ask_one(self, tunnel: Tunnel) -> None:
        streams = {stream: wire for wire, on, stream in self._noted if on is tunnel}
        try:
            report = await ask(tunnel, list(streams), notes=True, timeout=CLIENT_PATIENCE)
        except KfwdError:
            return  # what was fetched before stays
        for stream, wire in streams.items():
            if found := beyond(report, stream):
                self._beyond[wire, stream] = found

    def record(self, wire: int, direction: Direction, frames: list[Frame]) -> None:
        """Frames have passed on a connection."""
        now = time.perf_counter() - self._began
        with self._lock:
            if not self.recording:
                return
            frames = [each for each in frames if not self._is_question(wire, each)]
            self._count += len(frames)
            self._frames.extend(
                TracedFrame(
                    *(each.layer, each.type, each.length, each.stream),
                    *(each.flags, each.fields, each.note),
                    time=now,
                    direction=direction,
                    wire=wire,
                )
                for each in frames
            )

    def _is_question(self, wire: int, frame: Frame) -> bool:
        """It is of a question about the hops: who looks on is not what is looked at."""
        fields = dict(frame.fields)
        if frame.type == "PING":
            return fields.get("data", "").startswith(PING_MARK.hex())
        if frame.stream is None:
            return False
        key = wire, frame.stream
        if fields.get(":path", "").startswith(PATH):
            self._questions.append(key)
        return key in self._questions


COLUMNS = ("time", "direction", "wire", "layer", "type", "stream", "length", "flags", "details")
"""Of `Trace.to_frame`."""


class Wire:
    """The tap of one connection.

    Attributes:
        number: counts the connections of a trace, from 1.
    """

    def __init__(self, trace: Trace, number: int, dialect: str) -> None:
        self._trace = trace
        self.number = number
        self._directions: dict[Direction, Dissector] = {
            "out": dissector(dialect, sent=True),
            "in": dissector(dialect, sent=False),
        }
        self._broken = False

    def sent(self, data: memoryview) -> None:
        """See `transport.tap.Tap`."""
        self._heard("out", data)

    def received(self, data: memoryview) -> None:
        """See `transport.tap.Tap`."""
        self._heard("in", data)

    def closed(self) -> None:
        """See `transport.tap.Tap`."""
        self._guarded("out", Dissector.end)
        self._guarded("in", Dissector.end)

    def _heard(self, direction: Direction, data: memoryview) -> None:
        self._guarded(direction, lambda each: each.feed(data))

    def _guarded(self, direction: Direction, reading: Callable[[Dissector], list[Frame]]) -> None:
        """A bug in what only looks on must not cost anybody a connection."""
        if self._broken or not self._trace.recording:
            return
        try:
            frames = reading(self._directions[direction])
        except Exception:
            self._broken = True
            log.exception("a trace stopped to read a connection")
        else:
            if frames:
                self._trace.record(self.number, direction, frames)
