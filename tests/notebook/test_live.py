"""When a table is shown again, and when it is not."""

from __future__ import annotations

import threading
import time
from itertools import pairwise
from typing import Any

import pytest

from kfwd_nb.notebook.live import (
    INTERVAL,
    MAX_PAUSE,
    MAX_STOPPED,
    MAX_TABLES,
    EveryForward,
    Follower,
    LiveTable,
    pause_after,
)

pytestmark = pytest.mark.pure


class Screen:
    """Takes what a table shows."""

    def __init__(self) -> None:
        self.shown: list[str] = []
        self.times: list[float] = []
        self.news = threading.Condition()

    def __call__(self, bundle: dict[str, str]) -> None:
        with self.news:
            self.shown.append(bundle["text/plain"])
            self.times.append(time.monotonic())
            self.news.notify_all()

    def wait_for(self, text: str, timeout: float = 5) -> None:
        with self.news:
            assert self.news.wait_for(lambda: text in "".join(self.shown[-1:]), timeout)


@pytest.fixture
def screen() -> Screen:
    return Screen()


@pytest.fixture
def follower() -> Any:
    made = Follower()
    yield made
    made.abandon()


def live(forward: Any, screen: Screen, **options: Any) -> LiveTable:
    return LiveTable(lambda: (forward,), screen, **options)


def test_nothing_new_is_not_shown(fake: Any, screen: Screen) -> None:
    forward = fake.make()
    table = live(forward, screen)
    assert table.refresh()
    assert not table.refresh()
    forward.revision += 1
    assert not table.refresh(), "a revision without a visible change"
    forward.connect()
    assert table.refresh()
    assert not table.refresh()
    assert len(screen.shown) == 2


def test_the_rate_falls_to_idle_and_then_there_is_silence(
    fake: Any, screen: Screen, follower: Follower
) -> None:
    forward = fake.make()
    follower.follow(live(forward, screen))
    forward.connect()
    forward.move(1_000_000)
    screen.wait_for("KiB/s")
    screen.wait_for("idle")
    count = len(screen.shown)
    time.sleep(INTERVAL * 4)
    assert len(screen.shown) == count


def test_at_most_four_times_a_second(fake: Any, screen: Screen, follower: Follower) -> None:
    forward = fake.make()
    forward.connect()
    follower.follow(live(forward, screen))
    end = time.monotonic() + 2
    while time.monotonic() < end:
        forward.move(1000)
        time.sleep(0.01)
    follower.abandon()
    updates = screen.times[1:]
    assert 3 <= len(updates) <= 8
    assert all(b - a >= INTERVAL * 0.9 for a, b in pairwise(updates))


def test_a_stopped_forward_gets_one_last_update(
    fake: Any, screen: Screen, follower: Follower
) -> None:
    forward = fake.make()
    table = live(forward, screen)
    follower.follow(table)
    forward.stop()
    screen.wait_for("stopped")
    assert table.over
    forward.connect()
    assert not table.refresh()


def test_the_thread_ends_with_its_last_table(fake: Any, screen: Screen) -> None:
    follower = Follower()
    forward = fake.make()
    follower.follow(live(forward, screen))
    thread = follower._thread
    assert thread is not None
    forward.stop()
    thread.join(5)
    assert not thread.is_alive()
    other = fake.make()
    follower.follow(live(other, screen))
    other.connect()
    screen.wait_for("1 open")
    follower.abandon()


def test_a_table_that_fails_does_not_stop_the_others_says_so_once_and_goes_on(
    fake: Any, screen: Screen, follower: Follower, caplog: pytest.LogCaptureFixture
) -> None:
    forward, other = fake.make(), Screen()
    broken = live(forward, screen)
    follower.follow(broken)
    broken._show = None  # type: ignore[assignment]
    follower.follow(live(forward, other))
    forward.connect()
    other.wait_for("1 open")
    for _ in range(3):
        follower.refresh()
    assert len(caplog.records) == 1
    broken._show = screen
    screen.wait_for("1 open")


def test_tables_are_bounded(fake: Any, screen: Screen, follower: Follower) -> None:
    for _ in range(MAX_TABLES + 5):
        follower.follow(live(fake.make(), screen))
    assert len(follower._tables) == MAX_TABLES


class Held:
    """Something that holds what it has to let go of."""

    over = False

    def __init__(self, *owner: str) -> None:
        self.owner = owner
        self.told: list[str] = []

    def refresh(self) -> bool:
        return False

    def settle(self) -> None:
        pass

    def freeze(self) -> None:
        self.told.append("freeze")

    def close(self) -> None:
        self.told.append("close")


def test_what_is_replaced_is_closed_and_what_is_pushed_out_too(follower: Follower) -> None:
    old: Any = Held("cell", "1")
    follower.follow(old)
    first: Any = Held("cell", "2")
    follower.follow(first)
    assert (old.told, first.told) == (["close"], [])
    others: list[Any] = [Held("", "") for _ in range(MAX_TABLES)]
    for each in others:
        follower.follow(each)
    assert first.told == ["freeze", "close"]
    assert [each.told for each in others] == [[]] * MAX_TABLES


def test_what_is_abandoned_while_the_thread_looks_does_not_come_back(follower: Follower) -> None:
    looks, go = threading.Event(), threading.Event()
    asked: list[threading.Thread] = []

    class Slow(Held):
        @property
        def over(self) -> bool:  # type: ignore[override]
            asked.append(threading.current_thread())
            if asked.count(threading.current_thread()) == 2:  # which tables are kept
                looks.set()
                go.wait(5)
            return False

    slow: Any = Slow("", "")
    follower.follow(slow)
    assert looks.wait(5)
    leaves = threading.Thread(target=follower.abandon)
    leaves.start()
    leaves.join(0.2)
    go.set()
    leaves.join(5)
    asked[-1].join(5)
    assert follower._tables == []


def test_a_cell_that_runs_again_has_one_table(
    fake: Any, screen: Screen, follower: Follower
) -> None:
    forward = fake.make()
    follower.follow(live(forward, screen, owner=("cell", "1")))
    follower.follow(live(forward, screen, owner=("cell", "1")))
    assert len(follower._tables) == 2, "two tables of one run stand side by side"
    follower.follow(live(forward, screen, owner=("cell", "2")))
    assert len(follower._tables) == 1
    follower.follow(live(forward, screen))
    assert len(follower._tables) == 2


def test_a_table_of_all_forwards_sees_them_come_and_go(fake: Any) -> None:
    running = [fake.make("a"), fake.make("b")]
    source = EveryForward(lambda: running)
    assert list(source()) == running
    gone = running.pop(0)
    gone.state = "stopped"
    assert list(source()) == [*running, gone]
    running.append(fake.make("c"))
    assert list(source()) == [*running, gone]


def test_a_table_of_all_forwards_forgets_the_oldest_stopped(fake: Any) -> None:
    running: list[Any] = []
    source = EveryForward(lambda: running)
    for _ in range(MAX_STOPPED + 5):
        running[:] = [fake.make()]
        source()
        running[0].state = "stopped"
    running.clear()
    assert len(source()) == MAX_STOPPED
    assert len(source()) == MAX_STOPPED


def test_a_table_of_all_forwards_is_asked_by_one_thread_at_a_time() -> None:
    asking: list[int] = []
    most = 0

    def running() -> list[Any]:
        nonlocal most
        asking.append(1)
        most = max(most, len(asking))
        time.sleep(0.001)  # others may come meanwhile
        asking.pop()
        return []

    source = EveryForward(running)
    threads = [threading.Thread(target=source) for _ in range(8)]
    for each in threads:
        each.start()
    for each in threads:
        each.join()
    assert most == 1


@pytest.mark.parametrize(
    ("cost", "pause"),
    [(0.0, INTERVAL), (0.001, INTERVAL), (0.02, 0.5), (0.04, 1.0), (5.0, MAX_PAUSE)],
)
def test_what_costs_much_is_drawn_less_often(cost: float, pause: float) -> None:
    assert pause_after(cost) == pytest.approx(pause)


def test_a_table_that_is_shown_late_has_what_passed_before(fake: Any, screen: Screen) -> None:
    """It agrees with those that were there."""
    forward = fake.make()
    forward.throughput.add(time.time() - 20, 2048, 0)
    for _ in range(2):
        live(forward, screen).refresh()
    assert [text.count("at most 2.0 KiB/s") for text in screen.shown] == [1, 1]
