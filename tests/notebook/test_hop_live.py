"""When the picture of a way is drawn again, and when it is not."""

from __future__ import annotations

from concurrent.futures import Future
from types import SimpleNamespace
from typing import Any

import pytest

from kfwd_nb.client.hops.view import LINKS, PLACES, FlowView, HopView, LinkView
from kfwd_nb.errors import UsageError
from kfwd_nb.notebook import hop_live
from kfwd_nb.notebook.dashboard.ways import LEASE, MAX_WAYS, Ways
from kfwd_nb.notebook.hop_live import STOPPED, LiveHops

pytestmark = pytest.mark.pure

NOTHING = (0,) * len(PLACES)


def view(trip: float = 0.001, down: tuple[int, ...] = NOTHING) -> HopView:
    links = tuple(LinkView(name, "HTTP/2", "TLSv1.3", trip, "PING") for name in LINKS)
    flow = FlowView(1, "default/web", "node-1", NOTHING, down, 0.1, 0.1)
    return HopView("web", "127.0.0.1:8080 -> 80", "connect", 0.0, "", links, (flow,))


class Asked:
    """A forward whose hops answer when the test says so."""

    def __init__(self) -> None:
        self.state = "listening"
        self.questions: list[Future[HopView]] = []

    def hops_soon(self) -> Future[HopView]:
        self.questions.append(Future())
        return self.questions[-1]

    def answer(self, view: HopView) -> None:
        self.questions[-1].set_result(view)


@pytest.fixture
def clock(monkeypatch):
    now = SimpleNamespace(time=100.0)
    monkeypatch.setattr(hop_live, "time", SimpleNamespace(monotonic=lambda: now.time))
    return now


def live(forward: Any, first: HopView | None = None) -> tuple[LiveHops, list[str]]:
    shown: list[str] = []
    return LiveHops(forward, lambda bundle: shown.append(bundle["text/plain"]), first), shown


def test_what_is_there_is_drawn_at_once(clock):
    way, shown = live(Asked(), view())
    assert way.refresh()
    assert "the way of web, 127.0.0.1:8080 -> 80: 1 open connection" in shown[0]


def test_an_answer_that_does_not_come_holds_nobody_up(clock):
    forward = Asked()
    way, shown = live(forward)
    for _ in range(5):
        assert not way.refresh()
        clock.time += 10
    assert len(forward.questions) == 1
    assert shown == []
    forward.answer(view())
    assert way.refresh()
    assert len(shown) == 1


def test_other_round_trips_alone_are_no_news(clock):
    forward = Asked()
    way, shown = live(forward, view())
    way.refresh()
    for news, drawn in ((view(trip=0.5), 1), (view(down=(1, *NOTHING[1:])), 2), (view(), 3)):
        clock.time += 1
        way.refresh()
        forward.answer(news)
        way.refresh()
        assert len(shown) == drawn


def test_it_is_asked_once_a_second(clock):
    forward = Asked()
    way, _ = live(forward, view())
    for _ in range(12):
        way.refresh()
        if forward.questions and not forward.questions[-1].done():
            forward.answer(view())
        clock.time += 0.25
    assert len(forward.questions) == 3


def test_a_forward_that_stops_leaves_its_last_picture(clock):
    forward = Asked()
    way, shown = live(forward, view())
    way.refresh()
    way.refresh()
    forward.state = "stopped"
    forward.questions[-1].set_exception(UsageError("it is stopped"))
    assert way.refresh()
    assert way.over
    assert STOPPED in shown[-1]
    assert not way.refresh()


def test_a_forward_that_stops_while_it_is_asked(clock):
    forward = Asked()
    way, shown = live(forward, view())
    way.refresh()
    way.refresh()
    forward.questions[-1].set_exception(UsageError("it is stopped"))
    assert not way.refresh()
    assert len(shown) == 1


# -- of a dashboard --------------------------------------------------------------------------------


def test_only_what_somebody_looks_at_is_asked_for(clock):
    shown: list[tuple[str, str]] = []
    watched = Ways(lambda key, html: shown.append((key, html)))
    forward = Asked()
    watched.watch("a", "page", forward, clock.time)  # type: ignore[arg-type]
    watched.refresh(clock.time)
    forward.answer(view())
    watched.refresh(clock.time)
    assert [key for key, _ in shown] == ["a"]
    watched.watch("a", "page", forward, clock.time)  # type: ignore[arg-type]
    watched.refresh(clock.time)
    assert len(shown) == 1, "it has that already"
    watched.watch("a", "another", forward, clock.time)  # type: ignore[arg-type]
    watched.refresh(clock.time)
    assert [key for key, _ in shown] == ["a", "a"]
    clock.time += LEASE
    before = len(forward.questions)
    watched.refresh(clock.time)
    assert len(forward.questions) == before


def test_a_page_that_looks_no_more_leaves_the_others_their_picture(clock):
    watched = Ways(lambda *_: None)
    forward = Asked()
    for page in ("one", "another"):
        watched.watch("a", page, forward, clock.time)  # type: ignore[arg-type]
    watched.unwatch("a", "one")
    watched.unwatch("nobody's", "one")
    watched.refresh(clock.time)
    assert len(forward.questions) == 1
    forward.answer(view())
    watched.refresh(clock.time)
    watched.unwatch("a", "another")
    clock.time += 60
    watched.refresh(clock.time)
    assert len(forward.questions) == 1, "it would be due"


def test_there_is_a_limit(clock):
    watched = Ways(lambda *_: None)
    forwards = [Asked() for _ in range(MAX_WAYS + 1)]
    for number, forward in enumerate(forwards):
        watched.watch(str(number), "page", forward, clock.time)  # type: ignore[arg-type]
    watched.refresh(clock.time)
    assert [len(each.questions) for each in forwards] == [0] + [1] * MAX_WAYS
