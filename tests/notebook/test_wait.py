"""What a cell shows of a wait, and what becomes of it."""

from __future__ import annotations

import re
from typing import Any

import pytest
from IPython.core.interactiveshell import InteractiveShell

from kfwd_nb.kube.waiting import Waiting
from kfwd_nb.notebook import wait as module
from kfwd_nb.notebook.drawing.render import sheet_bundle
from kfwd_nb.notebook.drawing.units import clock
from kfwd_nb.notebook.wait import Wait, waited_sheet, waiting_line, waiting_sheet

pytestmark = pytest.mark.pure

NOON = 1_700_000_000.0
POD = Waiting("deploy/api to run", 'pod "api": Creating', NOON, NOON + 60, "--pod-running-timeout")


@pytest.mark.parametrize(
    ("after", "words", "part"),
    [
        (1.2, "1 s of 1 min 0 s", 0.02),
        (12, "12 s of 1 min 0 s", 0.2),
        (60, "1 min 0 s of 1 min 0 s", 1.0),
        (75, "1 min 0 s of 1 min 0 s", 1.0),
        (-5, "0 s of 1 min 0 s", 0.0),
    ],
)
def test_a_wait_says_what_for_since_when_and_until_when(
    after: float, words: str, part: float
) -> None:
    sheet = waiting_sheet(POD, NOON + after)
    assert sheet.title == "waiting for deploy/api to run"
    why, times = sheet.lines
    assert why == 'pod "api": Creating'
    assert times.startswith(f"{words}: since {clock(NOON)}, until {clock(NOON + 60)} at the latest")
    assert times.endswith(" (--pod-running-timeout)")
    assert sheet.part == pytest.approx(part)
    assert sheet.busy


def test_a_wait_is_a_bar_that_says_what_it_is() -> None:
    html = sheet_bundle(waiting_sheet(POD, NOON + 15))["text/html"]
    assert re.search(r'<progress max="100" value="25" aria-label="waiting for deploy/api to', html)
    assert "<progress" not in sheet_bundle(waited_sheet(POD, NOON + 15))["text/html"]


def test_a_wait_that_was_in_vain_says_how_long() -> None:
    sheet = waited_sheet(POD, NOON + 61)
    assert sheet.title == f"waited for deploy/api to run: 1 min 1 s, since {clock(NOON)}"
    assert not sheet.busy


def test_a_terminal_gets_one_line() -> None:
    plugin = Waiting("the exec plugin aws", "", NOON, NOON + 300)
    assert waiting_line(plugin) == (
        f"waiting for the exec plugin aws, until {clock(NOON + 300)} at the latest"
    )


class Screen:
    """Takes the place of Output."""

    def __init__(self) -> None:
        self.shown: list[str] = []

    def show(self, bundle: dict[str, str]) -> None:
        self.shown.append(bundle["text/plain"])


def a_wait(monkeypatch: pytest.MonkeyPatch, *, in_place: bool) -> Any:
    monkeypatch.setattr(module, "Output", Screen)
    monkeypatch.setattr(module, "updates_in_place", lambda _: in_place)
    return Wait(InteractiveShell.__new__(InteractiveShell))


def test_one_that_ends_well_leaves_its_place_to_the_table(monkeypatch: pytest.MonkeyPatch) -> None:
    wait = a_wait(monkeypatch, in_place=True)
    wait(POD)
    wait.over(failed=False)
    wait(POD)  # the plugin runs again, an hour later
    assert len(wait.output.shown) == 1


def test_one_that_fails_stays(monkeypatch: pytest.MonkeyPatch) -> None:
    wait = a_wait(monkeypatch, in_place=True)
    wait(POD)
    wait.over(failed=True)
    assert [each.split()[0] for each in wait.output.shown] == ["waiting", "waited"]


def test_nothing_is_said_where_nothing_was_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    wait = a_wait(monkeypatch, in_place=True)
    wait.over(failed=True)
    assert wait.output.shown == []


def test_a_terminal_is_told_only_what_is_new(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    wait = a_wait(monkeypatch, in_place=False)
    for why in ("a", "a", "a", "b\x1b[1m"):
        wait(Waiting("web to run", why, NOON, NOON + 60))
    wait.over(failed=True)
    assert [line.rpartition(": ")[2] for line in capsys.readouterr().out.splitlines()] == [
        "a",
        "b\\x1b[1m",
    ]
    assert wait.output.shown == []
