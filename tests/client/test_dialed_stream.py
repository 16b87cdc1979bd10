"""What a session's stream mends: half-closes held back, pods that fail before their first byte."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from peers.streams import MemoryStream, chunk, memory_pair, record, until

from kfwd_nb.client.dialing import dialed_stream as module
from kfwd_nb.client.dialing.dialed_stream import MAX_REPLAY, QUIET, DialedStream
from kfwd_nb.errors import (
    KfwdError,
    LostError,
    NotFoundError,
    RefusedError,
    ResetError,
    UnavailableError,
)
from kfwd_nb.transport.stream import ByteStream

pytestmark = pytest.mark.pure


class Failing(MemoryStream):
    """A stream that can be told to end with any error."""

    def fail(self, error: KfwdError | None) -> None:
        self._closing = self._closed = True
        receiver = self._receiver
        assert receiver is not None
        receiver.closed(error)


class Bench:
    """A dialed stream, the pods behind it, and the local program before it."""

    def __init__(self, *, half_closes: bool = False, gone: bool | None = False) -> None:
        self.gone = gone
        self.looked = 0
        self.pods: list[MemoryStream] = []
        self.redials: list[KfwdError] = []
        self.refusal: KfwdError | BaseException | None = None
        self.may_redial = asyncio.Event()
        self.may_redial.set()
        self.stream = DialedStream(
            self.way(), self.redial, half_closes=half_closes, gone=self.is_gone
        )
        self.local = record(self.stream)

    def is_gone(self) -> bool | None:
        self.looked += 1
        return self.gone

    def way(self) -> MemoryStream:
        ours, theirs = Failing(), MemoryStream()
        ours.other, theirs.other = theirs, ours
        self.pods.append(theirs)
        return ours

    @property
    def ours(self) -> Failing:
        other = self.pods[-1].other
        assert isinstance(other, Failing)
        return other

    async def redial(self, error: KfwdError) -> ByteStream:
        self.redials.append(error)
        await self.may_redial.wait()
        if self.refusal is not None:
            raise self.refusal
        return self.way()


async def turn() -> None:
    for _ in range(10):
        await asyncio.sleep(0)


# -- a failure before the first byte --------------------------------------------------------------

NOT_REACHED = [
    RefusedError("nobody listens"),
    UnavailableError("the pod is gone"),
    NotFoundError("no such pod"),
]


@pytest.mark.parametrize("error", NOT_REACHED, ids=lambda error: type(error).__name__)
async def test_what_was_sent_goes_to_the_successor(error):
    bench = Bench()
    await turn()
    bench.stream.write(*chunk(b"hello, "))
    bench.may_redial.clear()
    bench.ours.fail(error)
    await turn()
    assert bench.redials == [error]
    assert not bench.stream.write(*chunk(b"world")), "between two pods it does not keep up"
    bench.may_redial.set()
    await turn()
    pod = record(bench.pods[1])
    await turn()
    assert pod.received == b"hello, world"
    assert "writable" in bench.local.calls
    bench.pods[1].write(*chunk(b"answer"))
    await turn()
    assert bench.local.received == b"answer"
    bench.ours.fail(error)
    await turn()
    assert bench.local.error is error, "after the first byte there is no way back"
    assert len(bench.redials) == 1


async def test_the_end_of_our_direction_goes_along():
    bench = Bench(half_closes=True)
    await turn()
    bench.stream.write(*chunk(b"last words"))
    bench.stream.write_eof()
    bench.ours.fail(RefusedError("nobody listens"))
    await turn()
    pod = record(bench.pods[1])
    await until(lambda: pod.at_eof)
    assert pod.received == b"last words"


@pytest.mark.parametrize("error", [None, ResetError("by the pod"), KfwdError("who knows")])
async def test_other_ends_are_ends(error):
    bench = Bench()
    await turn()
    bench.ours.fail(error)
    await turn()
    assert bench.local.over
    assert bench.local.error is error
    assert bench.redials == []


async def test_a_connection_that_broke_is_begun_anew_only_if_nothing_was_sent():
    """A program may have read, and obeyed."""
    bench = Bench()
    await turn()
    bench.ours.fail(LostError("the API server went away"))
    await turn()
    assert len(bench.pods) == 2
    bench.stream.write(*chunk(b"POST /order"))
    bench.ours.fail(LostError("the API server went away"))
    await turn()
    assert bench.local.over
    assert len(bench.pods) == 2


async def test_who_has_sent_much_is_not_redialed():
    bench = Bench()
    bench.ours.limit = 4 * MAX_REPLAY
    await turn()
    bench.stream.write(*chunk(bytes(MAX_REPLAY + 1)))
    bench.ours.fail(RefusedError("nobody listens"))
    await turn()
    assert isinstance(bench.local.error, RefusedError)


async def test_a_redial_that_fails_is_the_end():
    bench = Bench()
    await turn()
    bench.refusal = UnavailableError("no pod came")
    bench.ours.fail(RefusedError("nobody listens"))
    await turn()
    assert bench.local.error is bench.refusal


async def test_a_redial_with_a_bug_is_an_end_too():
    bench = Bench()
    await turn()
    bench.refusal = RuntimeError("a bug")
    bench.ours.fail(RefusedError("nobody listens"))
    await turn()
    assert isinstance(bench.local.error, LostError)


async def test_who_closes_while_it_is_redialed_is_told_once_and_leaves_no_task():
    bench = Bench()
    await turn()
    bench.may_redial.clear()
    bench.ours.fail(RefusedError("nobody listens"))
    await turn()
    bench.stream.close()
    await turn()
    assert bench.local.calls == ["closed"]
    assert [each for each in asyncio.all_tasks() if each is not asyncio.current_task()] == []


async def test_who_has_closed_is_not_redialed():
    bench = Bench()
    await turn()
    failing = bench.ours
    bench.stream.close()
    failing.fail(RefusedError("nobody listens"))
    await turn()
    assert bench.redials == []
    assert bench.local.calls == ["closed"]


async def test_a_paused_stream_stays_paused_over_a_redial():
    bench = Bench()
    await turn()
    bench.stream.pause()
    bench.ours.fail(RefusedError("nobody listens"))
    await turn()
    record(bench.pods[1])
    bench.pods[1].write(*chunk(b"early"))
    await turn()
    assert not bench.local.received
    bench.stream.resume()
    await turn()
    assert bench.local.received == b"early"


# -- half-close -----------------------------------------------------------------------------------


async def test_a_relay_carries_it_at_once():
    bench = Bench(half_closes=True)
    pod = record(bench.pods[0])
    bench.stream.write_eof()
    await turn()
    assert pod.at_eof
    bench.pods[0].write(*chunk(b"reply"))
    bench.pods[0].write_eof()
    await until(lambda: bench.local.over)
    assert bench.local.received == b"reply"
    assert not bench.stream.cut


class Clock:
    """A loop whose time passes when the test says so."""

    def __init__(self) -> None:
        self.now = 1000.0
        self.due: list[tuple[float, Any]] = []

    def time(self) -> float:
        return self.now

    def call_later(self, delay: float, call: Any) -> Any:
        self.due.append((self.now + delay, call))
        return asyncio.get_running_loop().call_later(3600, lambda: None)

    def pass_(self, seconds: float) -> None:
        end = self.now + seconds
        while ready := sorted((each for each in self.due if each[0] <= end), key=lambda x: x[0]):
            self.due.remove(ready[0])
            self.now = max(self.now, ready[0][0])
            ready[0][1]()
        self.now = end


@pytest.mark.parametrize("gone", [False, None])
async def test_another_server_hears_of_it_when_the_pod_is_quiet(gone):
    bench = Bench(gone=gone)
    pod = record(bench.pods[0])
    await turn()
    clock: Any = Clock()
    bench.stream._loop = clock
    bench.stream.write_eof()
    for _ in range(10):
        clock.pass_(QUIET * 0.9)
        await turn()
        assert not pod.at_eof
        bench.pods[0].write(*chunk(b"x"))
        await turn()
    clock.pass_(QUIET * 1.5)
    await turn()
    assert pod.at_eof
    assert bench.local.received == b"x" * 10


async def test_who_does_not_read_is_not_taken_for_a_quiet_pod():
    bench = Bench()
    pod = record(bench.pods[0])
    await turn()
    clock: Any = Clock()
    bench.stream._loop = clock
    bench.stream.pause()
    bench.stream.write_eof()
    clock.pass_(100 * QUIET)
    await turn()
    assert not pod.at_eof
    bench.stream.resume()
    clock.pass_(2 * QUIET)
    await turn()
    assert pod.at_eof


async def test_who_closes_while_it_is_held_back():
    bench = Bench()
    await turn()
    clock: Any = Clock()
    bench.stream._loop = clock
    bench.stream.write_eof()
    clock.pass_(QUIET / 2)
    bench.gone = True
    clock.pass_(QUIET)
    await until(lambda: bench.local.over)


@pytest.mark.parametrize("half_closes", [False, True])
async def test_a_program_that_has_closed_frees_the_way_at_once(half_closes):
    bench = Bench(gone=True, half_closes=half_closes)
    pod = record(bench.pods[0])
    await turn()
    bench.stream.write(*chunk(b"bye"))
    bench.stream.write_eof()
    await until(lambda: bench.local.over)
    assert bench.local.error is None
    assert bench.ours._closing
    assert bench.redials == []
    assert pod is not None


async def test_the_kernel_may_tell_a_moment_later():
    bench = Bench(gone=False)
    await turn()
    bench.stream.write_eof()
    assert not bench.local.over
    bench.gone = True
    await until(lambda: bench.local.over)
    assert bench.looked == 2


async def test_when_the_pod_ends_first_nothing_is_held_back():
    bench = Bench(gone=None)
    pod = record(bench.pods[0])
    bench.pods[0].write_eof()
    await until(lambda: bench.local.at_eof)
    bench.stream.write_eof()
    await until(lambda: pod.at_eof and bench.local.over)
    assert not bench.stream.cut


async def test_and_when_it_ends_while_it_is_held_back():
    bench = Bench(gone=False)
    pod = record(bench.pods[0])
    bench.stream.write_eof()
    await turn()
    bench.pods[0].write_eof()
    await until(lambda: pod.at_eof and bench.local.over)
    assert not bench.stream.cut


@pytest.mark.parametrize(("after", "cut"), [(0.0, True), (60.0, False)])
async def test_an_end_that_follows_may_be_the_runtimes(monkeypatch, after, cut):
    monkeypatch.setattr(module, "QUIET", 0.0)
    monkeypatch.setattr(module, "CUT_AFTER", after)
    bench = Bench(gone=False)
    pod = record(bench.pods[0])
    bench.stream.write_eof()
    await until(lambda: pod.at_eof)
    await asyncio.sleep(0.01)
    bench.pods[0].write_eof()
    await until(lambda: bench.local.over)
    assert bench.stream.cut is cut


async def test_memory_pair_is_what_these_tests_stand_on():
    one, other = memory_pair()
    record(one)
    there = record(other)
    one.write(*chunk(b"x"))
    await turn()
    assert there.received == b"x"
