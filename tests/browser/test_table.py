"""The live table in JupyterLab: what a person opens stays open, and what is saved is the last."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

pytestmark = pytest.mark.browser


LEAST_CONTRAST = 4.5
"""For text of ordinary size (WCAG 2.2, 1.4.3)."""

TABLE = ".jp-OutputArea .kfwd"


@pytest.fixture(scope="module")
def notebook(lab: Any, moved_by_hand: str) -> Any:
    """A notebook with the tables of two forwards, which have run."""
    opened = lab.open(
        moved_by_hand,
        "db = %portforward db 47432:5432 --name db",
        "web = %portforward web 47080:80 --name web",
        "for forward in (db, web):\n    forward.connect()\n    forward.move(1234)",
    )
    opened.run_all()
    return opened


@pytest.fixture(scope="module")
def elsewhere(notebook: Any, run_elsewhere: Callable[..., str]) -> Callable[[str], str]:
    """Runs code in the notebook's kernel, not by the page."""
    client = notebook.kernel()
    return lambda code: run_elsewhere(client, code)


def row(notebook: Any, name: str) -> Any:
    return notebook.page.locator(f'{TABLE} [data-forward="{name}"]')


def news(notebook: Any, name: str, text: str) -> None:
    """Wait for the update that says it."""
    row(notebook, name).locator("summary", has_text=text).wait_for()


def test_a_row_that_is_opened_stays_open(notebook: Any, elsewhere: Callable[[str], str]) -> None:
    db, web = row(notebook, "db"), row(notebook, "web")
    db.locator(".count").click()
    assert db.locator("details").get_attribute("open") is not None
    elsewhere("for forward in (db, web):\n    forward.connect()\n    forward.move(5000)")
    news(notebook, "db", "2 open")
    news(notebook, "web", "2 open")
    assert db.locator("details").get_attribute("open") is not None
    assert db.locator("tbody tr").count() == 2
    assert web.locator("details").get_attribute("open") is None
    db.locator(".count").click()
    elsewhere("db.connect()")
    news(notebook, "db", "3 open")
    assert db.locator("details").get_attribute("open") is None


def test_the_keyboard_stays_where_it_was(notebook: Any, elsewhere: Callable[[str], str]) -> None:
    page, web = notebook.page, row(notebook, "web")
    focused = "document.activeElement.closest('[data-forward]')?.dataset.forward"
    web.locator("summary").focus()
    elsewhere("web.connect()")
    news(notebook, "web", "3 open")
    assert page.evaluate(focused) == "web"
    assert page.evaluate("document.activeElement.tagName") == "SUMMARY"
    page.keyboard.press("Enter")
    assert web.locator("details").get_attribute("open") is not None
    page.keyboard.press("Enter")
    for tag in ("A", "A", "BUTTON"):  # the address, the line's link, its button
        page.keyboard.press("Tab")
        assert page.evaluate("document.activeElement.tagName") == tag
    elsewhere("web.connect()")
    news(notebook, "web", "4 open")
    assert page.evaluate("document.activeElement.tagName") == "BUTTON"
    # Who has gone elsewhere is not brought back.
    page.evaluate("document.activeElement.blur()")
    elsewhere("web.connect()")
    news(notebook, "web", "5 open")
    assert page.evaluate(focused) is None


def test_the_line_is_copied_by_its_button(notebook: Any, elsewhere: Callable[[str], str]) -> None:
    page, db = notebook.page, row(notebook, "db")
    button = db.locator(".line button")
    assert button.inner_text() == "copy"
    button.click()
    db.locator(".line button", has_text="copied").wait_for()
    assert page.evaluate("navigator.clipboard.readText()") == "postgresql://127.0.0.1:47432/"
    db.locator(".line button", has_text="copy").wait_for()


def test_without_a_button_one_click_chooses_the_line(notebook: Any) -> None:
    line = row(notebook, "db").locator(".line code")
    assert line.evaluate("each => getComputedStyle(each).userSelect") == "all"
    line.click()
    assert notebook.page.evaluate("getSelection().toString()") == "postgresql://127.0.0.1:47432/"


def test_the_last_minute_is_drawn(notebook: Any, elsewhere: Callable[[str], str]) -> None:
    elsewhere("import time\nfor _ in range(8):\n    db.move(1 << 20, 1 << 18); time.sleep(0.25)")
    row(notebook, "db").locator(".rate", has_text="idle").wait_for()
    picture = row(notebook, "db").locator('svg[role="img"]')
    assert "in (above) at most" in picture.get_attribute("aria-label")
    sizes = picture.locator(".in, .out").evaluate_all(
        "paths => paths.map(each => each.getBBox().height)"
    )
    assert len(sizes) == 2
    assert sizes[0] > sizes[1] > 0


def test_what_failed_is_said_in_words(notebook: Any, elsewhere: Callable[[str], str]) -> None:
    elsewhere("db.connect(state='closed', closed=1.0, failed=True, reason='nobody listens')")
    news(notebook, "db", "nobody listens")


def test_a_saved_notebook_shows_the_last_state(lab: Any, notebook: Any) -> None:
    """With its kernel gone, and the page loaded anew. No update comes after this test."""
    said = [row(notebook, name).locator("summary").inner_text() for name in ("db", "web")]
    notebook.save()
    notebook.shut_down()
    notebook.load()
    for name, before in zip(("db", "web"), said, strict=True):
        found = row(notebook, name)
        found.wait_for()
        assert found.locator("summary").inner_text() == before
        assert found.locator("details").get_attribute("open") is None
        found.locator(".count").click()
        assert found.locator("tbody tr").first.is_visible()


@pytest.mark.parametrize("theme", ["JupyterLab Light", "JupyterLab Dark"])
def test_every_text_can_be_read(notebook: Any, theme: str) -> None:
    notebook.themed(theme)
    row(notebook, "db").locator("tbody .failed").first.wait_for(state="attached")
    notebook.picture(f"table-{theme.rsplit(maxsplit=1)[-1].lower()}")
    texts = notebook.texts()
    assert len(texts) > 50
    assert {"failed", "quiet", "copy"} <= {word for _, kind, text in texts for word in (kind, text)}
    assert [each for each in texts if each[0] < LEAST_CONTRAST] == []
