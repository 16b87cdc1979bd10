"""The dashboard's page in a real browser, without a kernel: as its modules, and as one text."""

from __future__ import annotations

import json
import re
from urllib.parse import urlsplit

import pytest
from notebook import fake_client
from peers.jupyter_server import browser

from kfwd_nb.notebook.dashboard import script, state, widget
from kfwd_nb.notebook.dashboard.state import key_of

pytestmark = pytest.mark.browser

NOON = 1_700_000_000.0

ORIGIN = "https://page.test/"

RENDER = """async ([file, values]) => {
  const heard = {};
  window.sent = [];
  window.say = (message) => heard["msg:custom"].forEach((each) => each(message));
  const model = {
    get: (name) => values[name],
    set(name, value) {
      values[name] = value;
      (heard[`change:${name}`] ?? []).forEach((each) => each());
    },
    save_changes() {},
    send: (content) => sent.push(content),
    on: (name, each) => (heard[name] ??= []).push(each),
    off: (name, each) => (heard[name] = heard[name].filter((other) => other !== each)),
  };
  const { default: page } = await import(file);
  page.initialize({ model });
  window.close = page.render({ model, el: document.querySelector("main") });
}"""


@pytest.fixture(scope="module")
def chrome():
    with browser() as running:
        yield running


@pytest.fixture
def open_page(chrome):
    """Opens a page that has imported a file and drawn a dashboard by it."""
    context = chrome.new_context(viewport={"width": 1200, "height": 900})
    page = context.new_page()
    page.set_default_timeout(20_000)
    errors = []
    page.on("pageerror", lambda error: errors.append(str(error)))

    def served(route):
        name = urlsplit(route.request.url).path[1:]
        if not name:
            route.fulfill(content_type="text/html", body="<!doctype html><main></main>")
        elif name == "joined.js":
            route.fulfill(content_type="text/javascript", body=script.read(widget.PAGE))
        else:
            text = (widget.PAGE / name).read_text("utf-8")
            route.fulfill(content_type="text/javascript", body=text)

    def opened(file: str, **values):
        page.route(f"{ORIGIN}**", served)
        page.goto(ORIGIN)
        page.evaluate(RENDER, [f"/{file}", json.loads(json.dumps(values))])
        page.locator(".kfwd-dashboard").wait_for()
        return page

    yield opened
    context.close()
    assert errors == []


def sent(page, kind: str) -> list[dict]:
    return [each for each in page.evaluate("sent") if each["kind"] == kind]


@pytest.mark.parametrize("file", ["dashboard.js", "joined.js"])
def test_every_part_shows_what_the_kernel_says_and_asks_it(open_page, file):
    web, db = fake_client.make("svc/web", name="web"), fake_client.make("db", ":5432")
    for number, each in enumerate((web, db)):
        each.started = NOON + number
    web.connect(opened=NOON, bytes_in=3000)
    web.connect(opened=NOON, closed=NOON + 1, reason="refused", failed=True)
    db.connect(opened=NOON)
    line = {"key": "1", "forward": key_of(web), "name": "web", "time": NOON, "kind": "listening"}
    page = open_page(
        file,
        parts=["start", ["forwards", "throughput"], "way", "connections", "events"],
        chosen="",
        still="",
        snapshot=state.read([web, db], NOON).whole()
        | {
            "now": NOON,
            "samples": {"": [[NOON - 1, 2048, 0]]},
            "events": [{**line, "tone": "good", "text": "it listens"}],
        },
    )
    connections = page.locator(".connections tbody tr")
    connections.nth(2).wait_for()
    assert page.locator(".forwards tbody tr").count() == 2
    assert page.locator(".plot .legend").inner_text().startswith("── in 2.0 KiB/s")
    assert page.locator(".log li").count() == 1
    (asked,) = sent(page, "choose")
    choices = {"contexts": ["kind"], "context": "kind", "namespaces": [], "namespace": "default"}
    answer = {"choices": choices | {"targets": ["web"], "ports": ["80"], "problem": ""}}
    page.evaluate("say", {"kind": "done", "asker": asked["asker"], **answer})
    assert page.locator("input[name=port]").input_value() == "80"

    page.locator("details.way summary").click()
    page.wait_for_function("sent.some((each) => each.kind === 'watch')")
    page.locator("button[data-what=pick]", has_text="db").click()
    page.locator("tr.chosen", has_text="db").wait_for()
    assert connections.all_inner_texts()[1:] == []
    assert page.locator(".plot h4").inner_text().startswith("Throughput of db")
    assert page.locator(".log li").count() == 0
    page.wait_for_function("sent.filter((each) => each.kind === 'watch').length === 2")
    assert [each["key"] for each in sent(page, "watch")] == [key_of(web), key_of(db)]
    page.evaluate("say", {"kind": "way", "key": key_of(db), "html": "<p>its hops</p>"})
    page.locator("details.way p", has_text="its hops").wait_for()
    page.locator("button[data-what=pick]", has_text="db").click()
    connections.nth(2).wait_for()

    page.locator(".connections select").select_option("failed")
    assert re.findall(r"web #\d", page.locator(".connections tbody").inner_text()) == ["web #2"]
    page.locator(".connections select").select_option("all")
    page.locator(".connections th button", has_text="In").click()
    assert "web #1" in connections.first.inner_text()

    page.locator("button", has_text="Copy").first.click()
    page.locator("button", has_text="Copied").wait_for()
    page.locator("button[data-what=stop]").first.click()
    page.locator(".status", has_text="a cell may be running").wait_for()
    (asked,) = sent(page, "act")
    assert (asked["what"], asked["key"]) == ("stop", key_of(web))
    page.evaluate("say", {"kind": "done", "asker": asked["asker"], "error": "it cannot be."})
    page.locator(".status.bad", has_text="it cannot be.").wait_for()

    page.evaluate("say", {"kind": "over"})
    page.locator(".status.bad", has_text="has ended").wait_for()
    page.locator(".state.gone").nth(3).wait_for()
    assert page.locator("form :is(input, select, button):enabled").count() == 0
    page.evaluate("close()")
    assert [each["key"] for each in sent(page, "unwatch")] == [
        *(key_of(web), key_of(db), key_of(web))
    ]


@pytest.mark.parametrize("part", widget.PARTS)
def test_a_part_stands_alone(open_page, part):
    page = open_page("joined.js", parts=[part], chosen="", still="", snapshot={})
    assert page.locator(".kfwd-dashboard > section").count() == 1
    assert page.locator(".kfwd-dashboard .status").count() == 1
    assert page.locator("details[open]").count() == (part == "way")
    page.evaluate("close()")
