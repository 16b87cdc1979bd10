"""HTML and text: complete, equal in content, and safe."""

from __future__ import annotations

import re
from html.parser import HTMLParser
from typing import Any

import pytest

from kfwd_nb.notebook.drawing.render import (
    EMPTY,
    SIMULATED,
    Sheet,
    columns,
    sheet_bundle,
    table_bundle,
)
from kfwd_nb.notebook.drawing.spark import SECONDS
from kfwd_nb.notebook.drawing.table import Table, build

pytestmark = pytest.mark.pure

NOON = 1_700_000_000.0
HOSTILE = "<script>alert(1)</script>\x1b[31m\x00 'a' \"b\" & <b>"


class Balanced(HTMLParser):
    """Fails on a tag that is not closed in its turn."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.seen: set[str] = set()

    def handle_starttag(self, tag: str, attrs: object) -> None:
        self.seen.add(tag)
        if tag != "br":
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


def check(html: str) -> Balanced:
    parser = Balanced()
    parser.feed(html)
    assert not parser.open
    return parser


def full(fake: Any) -> Any:
    forward = fake.make("svc/api", "8080:80", context=HOSTILE, namespace="shop")
    forward.connect(pod=HOSTILE, reason=HOSTILE, closed=NOON, state="closed", failed=True)
    forward.connect(opened=NOON - 3)
    forward.move(123_456)
    return forward


def test_a_table_in_both_forms(fake: Any) -> None:
    bundle = table_bundle(build([full(fake)], NOON, "already forwarding"))
    assert set(bundle) == {"text/html", "text/plain"}
    html, text = bundle["text/html"], bundle["text/plain"]
    assert {"details", "summary", "table", "a", "style"} <= check(html).seen
    for each in ("already forwarding", "svc/api", "shop", "listening", "121 KiB", "node-1"):
        assert each in html
        assert each in text
    assert 'href="http://localhost:8080/"' in html
    assert 'value="123456"' in html
    assert "localhost:8080 -> 80" in text


def test_text_from_a_cluster_is_text(fake: Any) -> None:
    bundle = table_bundle(build([full(fake)], NOON))
    assert bundle["text/html"].count("<script") == 1, "our own"
    assert "<b>" not in bundle["text/html"]
    for form in bundle.values():
        assert not re.search(r"[\x00-\x09\x0b-\x1f]", form)
    sheet = sheet_bundle(Sheet(HOSTILE, (HOSTILE,), ("a",), ((HOSTILE,),), (HOSTILE,)))
    assert "<script" not in sheet["text/html"]
    assert not re.search(r"[\x00-\x09\x0b-\x1f]", sheet["text/plain"])


def test_one_line_a_forward_at_first_sight(fake: Any) -> None:
    html = table_bundle(build([full(fake), fake.make()], NOON))["text/html"]
    assert html.count("<details") == html.count("<summary>") == 2
    assert "<details open" not in html


def test_what_is_wrong_stands_in_the_line_that_is_always_seen(fake: Any) -> None:
    forward = fake.make("web", "80", name="page")
    forward.ports[0].address = "0.0.0.0"
    forward.connect(closed=NOON, state="closed", reason="nobody listens", failed=True)
    bundle = table_bundle(build([forward], NOON))
    summary = bundle["text/html"].partition("<summary>")[2].partition("</summary>")[0]
    first_lines = "\n".join(bundle["text/plain"].splitlines()[:3])
    for form in (summary, first_lines):
        for each in ("0.0.0.0:80", "(page)", "other machines can reach", "connection 1: nobody"):
            assert each in form


def test_the_dialect_is_shown_with_its_reason(fake: Any) -> None:
    forward = fake.make(dialect="spdy", dialect_reason=f"the server refused WebSocket {HOSTILE}")
    bundle = table_bundle(build([forward], NOON))
    assert "    dialect spdy: the server refused WebSocket <script>" in bundle["text/plain"]
    html = bundle["text/html"]
    check(html)
    assert html.count("dialect spdy: the server refused WebSocket &lt;script&gt;") == 2
    assert 'title="dialect spdy' in html
    starting = table_bundle(build([fake.make(dialect="", dialect_reason="")], NOON))
    assert "dialect" not in starting["text/plain"]


def test_state_and_bytes_come_before_what_a_narrow_cell_cuts_off(fake: Any) -> None:
    bundle = table_bundle(build([full(fake)], NOON))
    heads = re.findall(r"<th[^>]*>([^<]+)</th>", bundle["text/html"])
    assert heads[:4] == ["#", "state", "in", "out"]
    line = next(each for each in bundle["text/plain"].splitlines() if each.split()[:1] == ["#"])
    assert line.split()[:4] == heads[:4]


def test_a_connection_that_is_held_says_so(fake: Any) -> None:
    forward = fake.make(reason="1 connection waits for a pod: deploy/api has no pods.")
    forward.connect(state="waiting", pod="", node="")
    for form in table_bundle(build([forward], NOON)).values():
        assert "waits for a pod" in form.replace(forward.reason, "")
        assert forward.reason in form


def test_links_are_for_programs_that_the_user_runs(fake: Any) -> None:
    line = "open https://login.example/?a=1&b=2 \x1b[1m<b>now</b>"
    html = sheet_bundle(Sheet("t", (line,), links=True))["text/html"]
    check(html)
    assert 'href="https://login.example/?a=1&amp;b=2"' in html
    assert "<b>" not in html
    assert "\x1b" not in html
    assert "<a" not in sheet_bundle(Sheet("t", (line,)))["text/html"]


def test_an_empty_table_says_what_to_do() -> None:
    for form in table_bundle(Table(())).values():
        assert EMPTY in form


def test_simulated_isolation_stands_in_both_forms(fake: Any) -> None:
    for form in table_bundle(build([fake.make(isolation="loopback")], NOON)).values():
        assert SIMULATED in form


def test_a_sheet_in_both_forms() -> None:
    sheet = Sheet("pods", ("two",), ("name", "line"), (("a", "%portforward a :80"),), ("x\ny",))
    bundle = sheet_bundle(sheet)
    check(bundle["text/html"])
    assert "<code>%portforward a :80</code>" in bundle["text/html"]
    assert bundle["text/plain"].splitlines() == [
        "pods",
        "two",
        "    name  line",
        "    a     %portforward a :80",
        "x",
        "y",
    ]


def test_columns_are_straight() -> None:
    assert columns([("a", "bb"), ("ccc", "d\ne"), ("f",)]) == ["a    bb", "ccc  d e", "f"]


def test_the_line_to_copy_stands_under_a_forward_that_listens(fake: Any) -> None:
    forward = fake.make("db", "6000:5432", "8080:80", "5000:6333")
    bundle = table_bundle(build([forward], NOON))
    html = bundle["text/html"]
    check(html)
    under = html.partition("</details>")[2]
    for line in ("postgresql://127.0.0.1:6000/", "QdrantClient(url=", "http://127.0.0.1:8080/"):
        assert line in under
        assert f"    {line}" in bundle["text/plain"]
    assert '<a href="http://localhost:8080/"' in under
    assert '<a href="http://localhost:5000/dashboard"' in under
    assert 'href="http://localhost:6000' not in html, "PostgreSQL is nothing to click"
    forward.state = "stopped"
    assert "postgresql://" not in "".join(table_bundle(build([forward], NOON)).values())


def test_the_last_minute_is_a_picture_and_words(fake: Any) -> None:
    forward = fake.make()
    forward.throughput.add(NOON - 2, 2048, 0)
    forward.throughput.add(NOON - 1, 1024, 0)
    bundle = table_bundle(build([forward], NOON))
    check(bundle["text/html"])
    label = re.search(r'role="img" aria-label="([^"]+)"', bundle["text/html"])
    assert label is not None
    assert "in (above) at most 2.0 KiB/s, out (below) at most 0 B/s" in label[1]
    (blocks,) = [each for each in bundle["text/plain"].splitlines() if "▁" in each]
    assert blocks.startswith(f"    in  {'▁' * 29}█ at most 2.0 KiB/s, 60 s before ")
    idle = table_bundle(build([forward], NOON + SECONDS + 1))["text/plain"]
    assert "▁" not in idle


def test_its_size_is_bounded_whatever_passes(fake: Any) -> None:
    """Ten thousand connections, and everything from elsewhere as long as it can be."""
    long = "<&'\">" * 400
    forward = fake.make(dialect_reason=long, reason=long, context=long, name=long)
    for number in range(10_000):
        over = number % 2
        forward.connect(
            pod=long,
            node=long,
            reason=f"{number} {long}" if over else "",
            closed=NOON if over else None,
            failed=bool(over),
        )
        forward.move(2**50, 2**50)
    for second in range(SECONDS):
        forward.throughput.add(
            NOON - SECONDS + second, second * 7919 % 1000 + 1, second * 104729 % 1000 + 1
        )
    html = table_bundle(build([forward], NOON))["text/html"]
    check(html)
    assert len(html) < 128_000


def test_an_ordinary_table_is_small_with_ten_thousand_connections(fake: Any) -> None:
    forward = fake.make()
    for number in range(10_000):
        forward.connect(closed=NOON if number % 2 else None, reason="both sides done.")
    bundle = table_bundle(build([forward], NOON))
    assert sum(map(len, bundle.values())) < 24_000
    assert "and 9,980 more: 4,988 open" in bundle["text/plain"]
    assert "4,992 closed: both sides done" in bundle["text/html"]


def test_scripts_and_styles_go_without_their_comments(fake: Any) -> None:
    html = table_bundle(build([fake.make()], NOON))["text/html"]
    assert "/*" not in html
    assert not re.search(r"(?<!:)//", html)
    assert "kfwdOpened" in html
    assert "kfwdCopied" in html
