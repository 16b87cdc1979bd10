"""The player of a request: complete without a script, and in a real browser by mouse and keys."""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Iterator
from datetime import UTC, datetime
from html.parser import HTMLParser
from typing import Any

import pytest

from kfwd_nb.client.tracing.trace import Trace
from kfwd_nb.notebook.drawing.playing import (
    COLOURS,
    MAX_DETAILS,
    MAX_NAME,
    MEASURED,
    SAYS,
    drawn,
    play_bundle,
)
from kfwd_nb.protocol.dissect import Frame

HOSTILE = "<script>alert(1)</script>\x1b[31m'\"&"
VOID = {"br"}


def a_trace(name: str = "web", pod: str = "default/web", node: str = "node-1") -> Trace:
    trace = Trace(name)
    reported = ((":status", "200"), ("kfwd-pod", pod), ("kfwd-node", node))
    trace.record(1, "out", [Frame("HTTP/2", "HEADERS", 67, 1, (), ((":method", "CONNECT"),))])
    trace.record(1, "in", [Frame("HTTP/2", "HEADERS", 34, 1, ("END_HEADERS",), reported)])
    trace.record(1, "out", [Frame("HTTP/2", "DATA", 119, 1)])
    trace.record(1, "in", [Frame("HTTP/2", "DATA", 1000, 1), Frame("HTTP/2", "DATA", 500, 1)])
    trace.record(1, "in", [Frame("HTTP/2", "DATA", 0, 1, ("END_STREAM",))])
    return trace


class Balanced(HTMLParser):
    """Fails on a tag that is not closed in its turn; keeps text by tag."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: list[str] = []
        self.texts: list[tuple[str, str]] = []
        self.feed(html)
        assert not self.open

    def handle_starttag(self, tag: str, attrs: object) -> None:
        self.tags.append(tag)
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: object) -> None:
        self.tags.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if data.strip():
            self.texts.append((self.open[-1], data))


@pytest.mark.pure
def test_every_step_is_a_picture_without_a_script() -> None:
    html = play_bundle(a_trace().play())["text/html"]
    page = Balanced(html)
    assert page.tags.count("svg") == page.tags.count("li") == 5
    assert page.tags.count("rect") == 4 * 5
    assert page.tags.count("script") == page.tags.count("style") == 1
    labels = re.findall(r'<svg [^>]*role="img" aria-label="([^"]*)"', html)
    assert labels == [
        "step 1: HEADERS, 67 B, client to relay",
        "step 2: HEADERS, 34 B, relay to client",
        "step 3: DATA, 119 B, client to relay",
        "step 4: 2 times DATA, 1.5 KiB, relay to client",
        "step 5: DATA, 0 B, relay to client",
    ]
    assert re.search(r'class="controls"[^>]* hidden>', html)  # of no use without a script


@pytest.mark.pure
def test_nothing_is_claimed_of_what_cannot_be_seen() -> None:
    trace = a_trace()
    play = drawn(trace.play())
    assert MEASURED in play.lines
    before, after = play.steps[0].boxes, play.steps[1].boxes
    assert [box.name for box in before] == ["client", "relay", "node agent", "pod"]
    assert [box.hidden for box in before] == [False, False, True, True]
    assert [box.below for box in before[2:]] == [("not visible", "from here")] * 2
    assert [box.below for box in after[2:]] == [("node-1", SAYS), ("default/web", SAYS)]
    assert play.steps[-1].boxes == after
    assert play.steps[0].when == "the first frame"
    times = [each.time for each in trace]
    assert times[-1] - times[0] < 0.1
    assert play.steps[-1].when.endswith("after the step before")


@pytest.mark.pure
def test_a_client_cannot_report_for_the_relay() -> None:
    trace = Trace("web")
    trace.record(1, "out", [Frame("HTTP/2", "HEADERS", 1, 1, (), (("kfwd-pod", "a lie"),))])
    assert drawn(trace.play()).steps[0].boxes[3].below == ("not visible", "from here")


@pytest.mark.pure
def test_what_a_cluster_says_is_text() -> None:
    bundle = play_bundle(a_trace(HOSTILE, HOSTILE, HOSTILE).play())
    page = Balanced(bundle["text/html"])
    assert page.tags.count("script") == 1
    assert "\x1b" not in bundle["text/html"] + bundle["text/plain"]
    assert "\\x1b[31m" in bundle["text/plain"]


@pytest.mark.pure
def test_long_words_are_cut() -> None:
    trace = a_trace(pod="p" * 999)
    step = drawn(trace.play()).steps[1]
    assert max(len(line) for box in step.boxes for line in box.below) == MAX_NAME
    assert len(step.details) == MAX_DETAILS


@pytest.mark.pure
def test_the_text_has_every_step() -> None:
    lines = play_bundle(a_trace().play())["text/plain"].splitlines()
    assert lines[0] == "request 1 of 1 through web, frame by frame"
    assert sum(bool(re.match(r" *\d+  (->|<-)  ", line)) for line in lines) == 5


@pytest.mark.pure
@pytest.mark.parametrize("way", ["out", "in"])
@pytest.mark.parametrize("ground", ["#ffffff", "#111111"])
def test_arrows_stand_out(way: str, ground: str) -> None:
    """3:1 for what is no text (WCAG 2.2, 1.4.11), on Jupyter's light and dark ground."""

    def luminance(colour: str) -> float:
        parts = [int(colour[at : at + 2], 16) / 255 for at in (1, 3, 5)]
        linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in parts]
        return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]

    lighter, darker = sorted((luminance(COLOURS[way]), luminance(ground)), reverse=True)
    assert (lighter + 0.05) / (darker + 0.05) >= 3
    html = play_bundle(a_trace().play())["text/html"]
    assert f"--{way}: {COLOURS[way]}" in html  # the style's own are the same


# -- in a browser ----------------------------------------------------------------------------------

HAS_BROWSER = shutil.which("chromium") is not None


@pytest.fixture(scope="module")
def chrome() -> Iterator[Any]:
    if not HAS_BROWSER and "CI" not in os.environ:
        pytest.skip("no chromium here")
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=shutil.which("chromium"), args=["--no-sandbox", "--disable-gpu"]
        )
        yield browser
        browser.close()


@pytest.fixture
def page(chrome: Any) -> Iterator[Any]:
    """A page with two players, and a clock that the test moves."""
    page = chrome.new_page()
    page.clock.install(time=datetime(2030, 1, 1, tzinfo=UTC))
    html = play_bundle(a_trace().play())["text/html"]
    page.set_content(f"<!doctype html><body>{html}{html}</body>")
    page.clock.pause_at(datetime(2030, 1, 2, tzinfo=UTC))
    yield page
    page.close()


def place(page: Any, player: int = 0) -> str:
    """What it says of its place; one step is to be seen, and it is that one."""
    root = page.locator(".kfwd.play").nth(player)
    said = root.get_by_role("status").inner_text()
    shown = [each for each in root.locator("li").all() if each.is_visible()]
    assert len(shown) == 1
    number = re.search(r"step (\d+) of 5", said)
    assert number is not None
    assert f"step {number[1]}:" in shown[0].locator("svg").get_attribute("aria-label")
    return number[1]


@pytest.mark.notebook
def test_by_mouse(page: Any) -> None:
    root = page.locator(".kfwd.play").first

    def press(name: str) -> str:
        root.get_by_role("button", name=name, exact=True).click(force=True)
        return place(page)

    assert place(page) == "1"
    assert [press("next") for _ in range(6)] == ["2", "3", "4", "5", "5", "5"]
    assert [press("back") for _ in range(5)] == ["4", "3", "2", "1", "1"]
    assert place(page, player=1) == "1"  # the other one has not moved


@pytest.mark.notebook
def test_by_keys(page: Any) -> None:
    root = page.locator(".kfwd.play").first
    root.focus()

    def press(key: str) -> str:
        root.press(key)
        return place(page)

    keys = ("ArrowRight", "ArrowDown", "End", "ArrowRight", "ArrowLeft", "ArrowUp", "Home", "x")
    assert [press(key) for key in keys] == ["2", "3", "5", "5", "4", "3", "1", "1"]
    assert press("Control+ArrowRight") == "1"
    root.get_by_role("button", name="next", exact=True).focus()
    page.keyboard.press("Space")  # presses the button, and does not play
    assert place(page) == "2"
    page.clock.run_for(5000)
    assert place(page) == "2"


@pytest.mark.notebook
def test_it_plays_at_human_speed_and_can_be_paused(page: Any) -> None:
    root = page.locator(".kfwd.play").first
    root.focus()
    root.press(" ")
    assert place(page) == "1"
    page.clock.run_for(1500)
    assert place(page) == "1"
    page.clock.run_for(200)
    assert place(page) == "2"
    root.get_by_role("button", name="pause", exact=True).click()
    page.clock.run_for(10_000)
    assert place(page) == "2"
    root.get_by_role("button", name="play", exact=True).click()
    page.clock.run_for(60_000)
    assert place(page) == "5"  # and stands there
    assert root.get_by_role("button", name="play", exact=True).is_visible()
    root.get_by_role("button", name="replay", exact=True).click()
    assert place(page) == "1"
    page.clock.run_for(1700)
    assert place(page) == "2"
    root.press("ArrowLeft")  # a step by hand ends the play
    page.clock.run_for(10_000)
    assert place(page) == "1"


@pytest.mark.notebook
def test_without_scripts_all_steps_are_there(chrome: Any) -> None:
    context = chrome.new_context(java_script_enabled=False)
    page = context.new_page()
    page.set_content(f"<!doctype html>{play_bundle(a_trace().play())['text/html']}")
    assert [each.is_visible() for each in page.locator("li").all()] == [True] * 5
    assert not page.locator(".controls").is_visible()
    context.close()


@pytest.mark.notebook
def test_in_a_kernel(up_kernel: Any) -> None:
    up_kernel.ok("import urllib.request")
    run = up_kernel.ok(
        "%%portforward web :80\n"
        "with fwd.trace() as trace:\n"
        "    page = urllib.request.urlopen(fwd.url()).read()\n"
        "trace.play()"
    )
    (bundle,) = [each for each in run.bundles if "frame by frame" in each["text/plain"]]
    assert Balanced(bundle["text/html"]).tags.count("svg") >= 4
    assert "default/web" in bundle["text/plain"]
    assert 'aria-label="step 2: CONNECT, relay to node agent"' in bundle["text/html"]
    missing = up_kernel.run("trace.play(9)")
    assert missing.lines == ["the trace has the requests 1 to 1, but no 9."]
