"""Forwards → rows of a table, and what counts as news."""

from __future__ import annotations

from typing import Any

import pytest

from kfwd_nb.client.browser.links import browser
from kfwd_nb.notebook.drawing.render import table_bundle
from kfwd_nb.notebook.drawing.table import MAX_FORWARDS, MAX_PORTS, MAX_ROWS, build

pytestmark = pytest.mark.pure

NOON = 1_700_000_000.0


def test_one_line_says_where_a_forward_leads(fake: Any) -> None:
    forward = fake.make("svc/api", "8080:80", "9090:http", context="kind", namespace="shop")
    (row,) = build([forward], NOON).forwards
    assert [(each.text, each.link, each.remote) for each in row.addresses] == [
        ("localhost:8080", "http://localhost:8080/", "80"),
        ("localhost:9090", "http://localhost:9090/", "http"),
    ]
    assert (row.target, row.context, row.namespace) == ("svc/api", "kind", "shop")
    assert (row.state, row.connections, str(row.rate)) == ("listening", "0 open, 0 in all", "idle")


@pytest.mark.parametrize(
    ("address", "text"),
    [("::1", "localhost:80"), ("127.0.0.9", "127.0.0.9:80"), ("fd00::7", "[fd00::7]:80")],
)
def test_an_address_is_one_that_can_be_clicked(fake: Any, address: str, text: str) -> None:
    forward = fake.make("web", "80")
    forward.ports[0].address = address
    (cell,) = build([forward], NOON).forwards[0].addresses
    assert (cell.text, cell.link) == (text, f"http://{text}/")


@pytest.mark.parametrize(
    ("address", "text", "link"),
    [
        ("0.0.0.0", "0.0.0.0:80", "http://localhost:80/"),
        ("::", "[::]:80", "http://localhost:80/"),
        ("10.0.0.7", "10.0.0.7:80", "http://10.0.0.7:80/"),
    ],
)
def test_an_address_that_others_can_reach_is_shown_with_a_warning(
    fake: Any, address: str, text: str, link: str
) -> None:
    forward = fake.make("web", "80")
    forward.ports[0].address = address
    (row,) = build([forward], NOON).forwards
    assert [(each.text, each.link) for each in row.addresses] == [(text, link)]
    assert row.warning == f"warning: other machines can reach {text}, too"


@pytest.mark.parametrize("address", ["127.0.0.1", "::1", "127.0.0.9"])
def test_the_loopback_is_no_warning(fake: Any, address: str) -> None:
    forward = fake.make("web", "80")
    forward.ports[0].address = address
    assert build([forward], NOON).forwards[0].warning == ""


@pytest.mark.parametrize(
    ("target", "name", "shown"),
    [("web", "web", ""), ("svc/api", "svc/api", ""), ("web", "web-81", "web-81")],
)
def test_a_name_is_shown_where_it_is_not_the_target(
    fake: Any, target: str, name: str, shown: str
) -> None:
    (row,) = build([fake.make(target, name=name)], NOON).forwards
    assert (row.name, row.key) == (shown, name)


def test_a_line_to_copy_names_what_is_listened_on(fake: Any) -> None:
    forward = fake.make("svc/db", "6000:5432", "7000:9999", "8000:443")
    forward.ports[0].name = "tcp-postgresql"
    cells = build([forward], NOON).forwards[0].addresses
    assert [(each.line.text, each.link) for each in cells] == [
        ("postgresql://127.0.0.1:6000/", ""),
        ("127.0.0.1:7000", "http://localhost:7000/"),
        ("https://127.0.0.1:8000/", "https://localhost:8000/"),
    ]


@pytest.mark.parametrize(
    ("address", "line"),
    [
        ("0.0.0.0", "http://127.0.0.1:80/"),
        ("::", "http://[::1]:80/"),
        ("10.0.0.7", "http://10.0.0.7:80/"),
        ("::1", "http://[::1]:80/"),
    ],
)
def test_a_line_to_copy_names_an_address_that_leads_there(
    fake: Any, address: str, line: str
) -> None:
    forward = fake.make("web", "80")
    forward.ports[0].address = address
    assert build([forward], NOON).forwards[0].addresses[0].line.text == line


def test_a_line_is_for_programs_here_and_its_link_for_the_browser_wherever_it_is(
    fake: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(browser, "_way", None)
    monkeypatch.setattr(browser, "_template", "https://hub.example/user/ann/proxy/{port}")
    forward = fake.make("web", "8080:80", "6000:6333", "7000:5432")
    cells = build([forward], NOON).forwards[0].addresses
    assert [(each.line.text, each.line.link) for each in cells] == [
        ("http://127.0.0.1:8080/", "https://hub.example/user/ann/proxy/8080/"),
        (
            "QdrantClient(url='http://127.0.0.1:6000')",
            "https://hub.example/user/ann/proxy/6000/dashboard",
        ),
        ("postgresql://127.0.0.1:7000/", ""),
    ]
    html = table_bundle(build([forward], NOON))["text/html"]
    assert 'proxy/8080/" target="_blank" rel="noopener">http://127.0.0.1:8080/</a></code>' in html
    assert 'proxy/6000/dashboard" target="_blank" rel="noopener">open</a>' in html


def test_a_port_on_both_loopback_addresses_is_one_address(fake: Any) -> None:
    forward = fake.make("web", "8080:80")
    forward.ports = (*forward.ports, fake.Port("::1", 8080, 80))
    assert len(build([forward], NOON).forwards[0].addresses) == 1


def test_time_alone_is_no_news(fake: Any) -> None:
    forward = fake.make()
    forward.connect(opened=NOON)
    before = build([forward], NOON)
    assert build([forward], NOON + 60) == before
    forward.move(1)
    assert build([forward], NOON + 60) != before


def test_the_last_minute_is_no_news_but_it_is_shown(fake: Any) -> None:
    forward = fake.make()
    forward.connect()
    before = build([forward], NOON)
    forward.throughput.add(NOON - 20, 2048, 0)
    after = build([forward], NOON)
    assert after == before
    assert before.forwards[0].spark.quiet
    assert after.forwards[0].spark.inward.most == "2.0 KiB/s"


def test_many_forwards_share_the_room(fake: Any) -> None:
    def busy() -> Any:
        forward = fake.make("web", *(f"{8000 + n}:80" for n in range(MAX_PORTS + 5)))
        for number in range(40):
            forward.connect(closed=NOON if number % 2 else None)
        return forward

    table = build([busy() for _ in range(MAX_FORWARDS + 7)], NOON)
    assert (len(table.forwards), table.more) == (MAX_FORWARDS, 7)
    assert sum(len(each.rows) for each in table.forwards) <= MAX_ROWS
    assert all({row.closed for row in each.rows} == {True, False} for each in table.forwards)
    assert all(len(each.addresses) == MAX_PORTS for each in table.forwards)


def test_simulated_isolation_is_said(fake: Any) -> None:
    assert not build([fake.make()], NOON).simulated
    assert build([fake.make(), fake.make(isolation="loopback")], NOON).simulated


def test_a_stopped_forward_has_no_rate(fake: Any) -> None:
    forward = fake.make(state="stopped", reason="lost connection to pod")
    forward.throughput.add(NOON - 0.5, 1, 1)
    (row,) = build([forward], NOON).forwards
    assert (row.state, row.reason, str(row.rate)) == ("stopped", "lost connection to pod", "idle")
