"""What a dashboard answers to a page that asks again, because it has heard nothing."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from typing import Any

import pytest
import traitlets

from kfwd_nb.errors import LimitError, UsageError
from kfwd_nb.notebook.dashboard import actions, questions, widget
from kfwd_nb.notebook.dashboard.questions import MAX_ANSWERS, MAX_BUSY, Questions

pytestmark = pytest.mark.pure


def test_a_question_is_new_once():
    asked = Questions()
    assert asked.begin("a")
    assert not asked.begin("a")
    assert asked.told("a") == {}
    asked.tell("a", {"line": "log in"})
    assert asked.told("a") == {"line": "log in"}
    asked.end("a", {"note": "done"})
    assert not asked.begin("a")
    assert asked.told("a") == {"note": "done"}
    asked.tell("a", {"line": "too late"})
    assert asked.told("a") == {"note": "done"}


def test_one_whose_answer_is_not_kept_is_new_again():
    asked = Questions()
    asked.begin("a")
    asked.tell("a", {"line": "log in"})
    asked.end("a", None)
    assert asked.begin("a")
    assert asked.told("a") == {}


def test_too_many_at_once_are_refused_until_one_has_ended():
    asked = Questions()
    for number in range(MAX_BUSY):
        asked.begin(str(number))
    with pytest.raises(LimitError):
        asked.begin("one more")
    assert not asked.begin("0"), "it is known already"
    asked.end("0", {})
    assert asked.begin("one more")


def test_answers_are_bounded_and_what_is_under_way_is_kept():
    asked = Questions()
    asked.begin("long")
    asked.tell("long", {"line": "x"})
    for number in range(2 * MAX_ANSWERS):
        asked.begin(str(number))
        asked.end(str(number), {})
    assert len(asked._last) == MAX_ANSWERS + questions.MAX_BUSY
    assert asked.told("long") == {"line": "x"}
    assert asked.begin("0"), "forgotten"


# -- the widget -----------------------------------------------------------------------------------


class Told(threading.Condition):
    """What a page hears."""

    def __init__(self) -> None:
        super().__init__()
        self.messages: list[dict[str, Any]] = []

    def __call__(self, message: dict[str, Any]) -> None:
        with self:
            self.messages.append(message)
            self.notify_all()

    def take(self, kind: str) -> dict[str, Any]:
        """The next one of that kind; none before it is looked at again."""
        with self:
            assert self.wait_for(lambda: any(each["kind"] == kind for each in self.messages), 20)
            while True:
                if (message := self.messages.pop(0))["kind"] == kind:
                    return message


@pytest.fixture
def told() -> Told:
    return Told()


@pytest.fixture
def board(fake: Any, told: Told, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """A dashboard outside a kernel, and what it says."""
    monkeypatch.setattr(widget, "execution", lambda _: ("", ""))
    made = widget.Dashboard()
    made.send = told
    yield made
    made.close()


def act(board: Any, asker: str = "page/1") -> None:
    board._heard(None, {"kind": "act", "asker": asker, "what": "stop"}, None)


def test_what_is_asked_again_is_done_once_and_answered_again(board, told, monkeypatch):
    done: list[str] = []
    go = threading.Event()

    def perform(what: str, *rest: Any) -> str:
        rest[-1]("type the code")
        assert go.wait(20)
        done.append(what)
        return "so it is"

    monkeypatch.setattr(actions, "perform", perform)
    act(board)
    told.take("taken")
    assert told.take("said")["line"] == "type the code"
    act(board)
    assert told.take("said")["line"] == "type the code"
    go.set()
    answer = told.take("done")
    act(board)
    assert told.take("done") == {each: answer[each] for each in ("kind", "asker", "note")}
    assert answer["note"] == "so it is"
    assert done == ["stop"]


def test_a_thread_that_cannot_be_started_leaves_nothing_busy(board, told, monkeypatch):
    def start(_: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    with monkeypatch.context() as full:
        full.setattr(threading.Thread, "start", start)
        for number in range(MAX_BUSY + 1):
            act(board, str(number))
            assert "start new thread" in told.take("done")["error"]
    monkeypatch.setattr(actions, "perform", lambda *_: "well")
    act(board, "later")
    assert told.take("done")["note"] == "well"


def test_an_update_that_failed_is_made_up_for(board, told, fake, monkeypatch):
    forward = fake.make("web")
    forward.started, forward.log = 1.0, list
    monkeypatch.setattr(board, "_every", lambda: [forward])
    with monkeypatch.context() as broken:
        broken.setattr(widget.state, "read", None)
        with pytest.raises(TypeError):
            board.refresh()
    assert board.refresh()
    assert [row["name"] for row in told.take("changed")["forwards"]] == ["web"]


def test_what_passed_before_the_dashboard_was_made_is_in_its_plot_and_later_ones_follow(
    board, told, fake
):
    web = fake.make("web")
    web.started, web.log = 1.0, list
    board._every = lambda: [web]
    board.over = True  # nobody else looks
    began = board._told
    web.throughput.add(began - 30, 5000, 40)
    board._refresh(began + 0.5)
    assert board._whole()["samples"][""] == [(began - 29, 5000, 40), (began - 28, 0, 0)]
    web.throughput.add(began + 1.25, 300, 0)
    board._refresh(began + 2.0)
    assert "samples" not in told.take("changed")
    of_all, (sample,) = told.take("changed")["samples"].values()
    assert of_all == [sample]
    assert sample == (began + 2, 300, 0)


def test_a_clock_that_jumps_far_ahead_costs_no_more_than_what_is_kept(board, fake):
    """A machine that was asleep, or had no clock when it began."""
    web, asked = fake.make("web"), []
    web.started, web.log = 1.0, list
    board._every = lambda: [web]
    board.over = True  # nobody else looks
    now = 1_700_000_000
    board._told = now - 10_000
    seconds = web.throughput.seconds
    web.throughput.seconds = lambda first, last: asked.append(last - first) or seconds(first, last)
    board._refresh(now + 0.5)
    assert 0 < max(asked) <= widget.KEPT + 1
    assert board._told == now


class Screen:
    """An output of a cell."""

    def __init__(self) -> None:
        self.shown = 0

    def show(self, _: object) -> None:
        self.shown += 1

    freeze = show

    def settle(self) -> None:
        pass


def test_one_that_many_cells_have_shown_is_kept_up_in_the_last_ones(board, fake, monkeypatch):
    screens: list[Screen] = []
    web = fake.make("web")
    web.started, web.log = 1.0, list
    board._every = lambda: [web]
    monkeypatch.setattr(widget, "get_ipython", object)
    monkeypatch.setattr(widget, "updates_in_place", lambda _: True)
    monkeypatch.setattr(widget, "wanted_form", lambda _: "html")
    monkeypatch.setattr(widget, "Output", lambda: screens.append(Screen()) or screens[-1])
    for _ in range(widget.MAX_OUTPUTS + 3):
        board.show()
    web.connect()
    board.settle()
    plain = [each.shown for each in screens[::2]]
    assert plain == [1] * 3 + [2] * widget.MAX_OUTPUTS


def test_at_its_end_it_says_so_to_the_pages(board, told):
    board.freeze()
    assert told.take("over")
    board._heard(board, {"kind": "hello", "asker": "a page that is loaded again"}, [])
    assert told.take("over")


# -- the forward that is picked -------------------------------------------------------------------


@pytest.fixture
def forwards(board, fake):
    """The forwards that the dashboard lists."""
    made = [fake.make("web"), fake.make("db")]
    for number, each in enumerate(made):
        each.started, each.log = float(number), list
    board._every = lambda: list(made)
    return made


def test_only_a_forward_that_there_is_can_be_chosen(board, forwards):
    with pytest.raises(UsageError, match="no forward 'nosuch'") as caught:
        board.chosen = "nosuch"
    assert "forwards are web, db." in str(caught.value)
    assert board.chosen == ""
    board.chosen = "db"
    board.chosen = ""


def test_what_is_chosen_stays_when_it_stops_and_when_it_is_forgotten(board, forwards):
    board.chosen = "db"
    forwards[1].stop()
    board.chosen = "db"
    del forwards[1]
    board.refresh()
    assert board.chosen == "db"
    board.chosen = "web"
    with pytest.raises(UsageError, match="forwards are web"):
        board.chosen = "db"


def test_a_linked_dashboard_follows_to_a_forward_that_it_has_never_listed(board, forwards):
    other = widget.Dashboard(["events"])
    other.send = lambda _: None
    traitlets.link((board, "chosen"), (other, "chosen"))
    board.chosen = "db"
    assert other.chosen == "db"
    del forwards[1]
    board.set_state({"chosen": "db"})  # as a page picks that has not heard of it yet
    board.set_state({"chosen": ""})
    board.set_state({"chosen": "db"})
    assert other.chosen == "db"
    with pytest.raises(UsageError):
        other.chosen = "nosuch"
    assert (board.chosen, other.chosen) == ("db", "db")
    other.close()


@pytest.mark.parametrize("wrong", [[["nosuch"]], [[]], [[["way"]]], ["way", 1]])
def test_parts_side_by_side_are_parts(wrong):
    assert widget._checked_parts((("forwards", "way"), "events")) == [["forwards", "way"], "events"]
    with pytest.raises(UsageError, match="those of a list in it stand side by side"):
        widget._checked_parts(wrong)
