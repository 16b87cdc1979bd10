"""Events as they come, to readers on any loop and thread, and waiting for one."""

from __future__ import annotations

import asyncio
import gc
import re
import threading
import weakref

import pytest
from peers.plain import connect, echo
from peers.relay import until
from peers.streams import until as comes_true

from kfwd_nb.client import forward
from kfwd_nb.client import log as module
from kfwd_nb.client.events import Event, trouble
from kfwd_nb.client.log import MAX_BEHIND, EventLog, EventStream
from kfwd_nb.errors import LostError, UsageError, WaitError


def a_connection(fwd) -> None:
    """One that comes and goes."""
    with connect(fwd.local_port) as sock:
        assert echo(sock, b"hello") == b"hello"


def never(_) -> bool:
    return False


# -- the hand-over --------------------------------------------------------------------------------


def stopped_after(count: int) -> EventStream:
    log = EventLog()
    stream = log.follow(past=False, only_await=False)
    for number in range(count):
        log.record(trouble(f"no. {number}"))
    log.record(Event("stopped", {"reason": ""}))
    return stream


@pytest.mark.pure
def test_a_log_is_read_by_people_too():
    log = EventLog()
    log.record(trouble("the relay \x1b[31m is gone."))
    assert re.fullmatch(
        r"\[<\d\d:\d\d:\d\d trouble: the relay \\x1b\[31m is gone\.>\]", repr(log.events())
    )


def test_a_reader_that_is_behind_loses_the_oldest_and_hears_how_many():
    events = list(stopped_after(MAX_BEHIND + 6))
    assert (events[0].kind, events[0].facts) == ("missed", {"events": 7})
    assert events[0].text == "7 events were dropped: nobody had read them"
    assert events[1].text == "no. 7"
    assert events[-1].kind == "stopped"
    assert len(events) == MAX_BEHIND + 1


@pytest.mark.pure
async def test_it_ends_with_the_forward_and_stays_ended():
    stream = stopped_after(2)
    assert [each.kind async for each in stream] == ["trouble", "trouble", "stopped"]
    assert [each async for each in stream] == []
    assert list(stream) == []


@pytest.mark.pure
@pytest.mark.parametrize("past", [True, False])
def test_of_a_forward_that_is_over_the_end_is_heard(past):
    log = EventLog()
    for event in (trouble("lost"), Event("stopped", {"reason": ""}), trouble("too late")):
        log.record(event)
    kinds = [each.kind for each in log.follow(past=past, only_await=False)]
    assert kinds == (["trouble", "stopped"] if past else ["stopped"])


@pytest.mark.pure
async def test_an_abandoned_reader_leaves_nothing():
    log = EventLog()
    log.record(trouble("one"))
    async for event in log.follow(past=True, only_await=False):
        assert event.text == "one"
        break
    reading = asyncio.create_task(anext(stream := log.follow(past=False, only_await=False)))
    await comes_true(lambda: module._awaited)
    reading.cancel()
    await asyncio.wait((reading,))
    gone = weakref.ref(stream)
    del event, reading, stream
    gc.collect()
    assert gone() is None
    assert len(log._readers) == len(module._awaited) == 0
    log.record(trouble("two"))


@pytest.mark.pure
async def test_a_task_that_nobody_holds_still_gets_its_event():
    log, got = EventLog(), asyncio.Event()

    async def read() -> None:
        async for _ in log.follow(past=False, only_await=False):
            got.set()

    asyncio.create_task(read())  # noqa: RUF006 - that is the point
    await comes_true(lambda: module._awaited)
    gc.collect()
    threading.Thread(target=log.record, args=(trouble("lost"),)).start()
    await asyncio.wait_for(got.wait(), 20)
    log.record(Event("stopped", {"reason": ""}))


@pytest.mark.pure
async def test_one_reader_at_a_time():
    stream = EventLog().follow(past=False, only_await=False)
    first = asyncio.create_task(anext(stream))
    await comes_true(lambda: module._awaited)
    with pytest.raises(RuntimeError, match="somebody else waits"):
        await anext(stream)
    first.cancel()


# -- of a forward ---------------------------------------------------------------------------------


@pytest.mark.chain
async def test_events_reach_another_loop_than_the_forwards(relay, kubeconfig):
    async with forward("web", ":7") as fwd:
        seen: list[str] = []

        async def read() -> None:
            seen.extend([event.kind async for event in fwd.events()])

        reading = asyncio.create_task(read())
        await comes_true(lambda: module._awaited)
        await asyncio.to_thread(a_connection, fwd)
        await fwd.wait_for(lambda fwd: fwd.totals.open == 0, 20)
    await asyncio.wait_for(reading, 20)
    assert seen == ["opened", "pod", "closed", "stopped"]


@pytest.mark.chain
def test_a_blocking_loop_over_events(relay, kubeconfig):
    with forward("web", ":7") as fwd:
        seen = []
        for event in fwd.events(past=True):
            seen.append(event.kind)
            if event.kind == "listening":
                threading.Thread(target=a_connection, args=(fwd,)).start()
            if event.kind == "closed":
                break
    assert seen == ["dialect", "listening", "opened", "pod", "closed"]


# -- waiting --------------------------------------------------------------------------------------


@pytest.mark.chain
async def test_an_event_counts_from_the_call_on(relay, kubeconfig):
    with forward("web", ":7") as fwd:
        closed = fwd.wait_for("closed", 20)
        a_connection(fwd)
        until(lambda: fwd.totals.open == 0)
        event = await closed
        assert (event.kind, event.facts["bytesIn"]) == ("closed", 5)
        with pytest.raises(WaitError):
            await fwd.wait_for("closed", 0.01)


@pytest.mark.chain
@pytest.mark.parametrize("kind", ["listening", "dialect"])
async def test_what_happens_once_may_have_happened(relay, kubeconfig, kind):
    with forward("web", ":7") as fwd:
        assert (await fwd.wait_for(kind, 20)).kind == kind
        assert fwd.wait_until(kind, 20).kind == kind


@pytest.mark.chain
def test_a_predicate_of_a_blocking_cell_may_block(relay, kubeconfig):
    def answers(fwd) -> bool:
        a_connection(fwd)
        return fwd.totals.opened >= 3

    with forward("web", ":7") as fwd:
        assert fwd.wait_until(answers, 20) is True
        assert fwd.wait_until(lambda fwd: fwd.totals.bytes_in, 20) == 15


@pytest.mark.chain
@pytest.mark.parametrize(
    ("condition", "named"),
    [("recovered", '"recovered"'), (lambda _: False, "a condition"), (never, "never()")],
)
async def test_in_vain(relay, kubeconfig, condition, named):
    with forward("web", ":7") as fwd, connect(fwd.local_port) as sock:
        echo(sock, b"x")
        for wait in (
            lambda: fwd.wait_for(condition, 0.05),
            lambda: asyncio.to_thread(fwd.wait_until, condition, 0.05),
        ):
            with pytest.raises(TimeoutError) as caught:
                await wait()
            assert isinstance(caught.value, WaitError)
            assert caught.value.what == (
                f"waited 0.05 s for {named}; web is listening, 1 connection open."
            )


@pytest.mark.chain
async def test_a_forward_that_stops_ends_the_wait(relay, kubeconfig):
    with forward("web", ":7") as fwd:
        opened = asyncio.create_task(fwd.wait_for("opened"))
        await comes_true(lambda: module._awaited)
        until_closed = asyncio.create_task(asyncio.to_thread(fwd.wait_until, lambda _: False))
        stopped = fwd.wait_for("stopped", 20)
        await asyncio.to_thread(fwd.stop, "it had to be")
        assert (await stopped).text == "stopped: it had to be"
        with pytest.raises(LostError, match='for "opened", but web was stopped: it had to be'):
            await opened
        with pytest.raises(LostError, match="for a condition, but web was stopped"):
            await until_closed
    assert fwd.wait_until("stopped").kind == "stopped"


@pytest.mark.chain
def test_events_that_there_are_not(relay, kubeconfig):
    with forward("web", ":7") as fwd, pytest.raises(UsageError, match='"recoverd"') as caught:
        fwd.wait_until("recoverd")
    assert caught.value.hint == 'did you mean "recovered"?'
