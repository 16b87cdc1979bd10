"""What stays in sight while something takes long."""

from __future__ import annotations

import pytest
from IPython.core.interactiveshell import InteractiveShell

from kfwd_nb.notebook import progress
from kfwd_nb.notebook.progress import MAX_LINES, Progress

pytestmark = pytest.mark.pure


class Screen:
    """Takes the place of Output."""

    text = ""

    def show(self, bundle: dict[str, str]) -> None:
        Screen.text = bundle["text/plain"]


@pytest.fixture
def window(monkeypatch: pytest.MonkeyPatch) -> Progress:
    monkeypatch.setattr(progress, "Output", Screen)
    monkeypatch.setattr(progress, "updates_in_place", lambda _: True)
    return Progress(InteractiveShell.__new__(InteractiveShell), "cluster")


def test_a_reminder_takes_the_place_of_the_one_before(window: Progress) -> None:
    for line in ("relay listens", "waiting for web; db", "waiting for db", "pod web is ready"):
        window(line)
    assert Screen.text.splitlines() == [
        "cluster",
        "relay listens",
        "waiting for db",
        "pod web is ready",
    ]


def test_the_last_lines_stay(window: Progress) -> None:
    for number in range(MAX_LINES + 3):
        window(f"line {number}")
    assert Screen.text.splitlines()[1:] == [f"line {n}" for n in range(3, MAX_LINES + 3)]
