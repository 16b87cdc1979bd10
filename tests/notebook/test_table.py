"""Forwards → rows, and the units that people read."""

from __future__ import annotations

from typing import Any

import pytest

from kfwd_nb.client.connection import Totals
from kfwd_nb.notebook.rate import RateMeter
from kfwd_nb.notebook.table import (
    MAX_CONNECTIONS,
    Rate,
    build,
    bytes_text,
    duration_text,
)

pytestmark = pytest.mark.pure

NOON = 1_700_000_000.0


@pytest.mark.parametrize(
    ("count", "text"),
    [
        (0, "0 B"),
        (512, "512 B"),
        (1023, "1023 B"),
        (1024, "1.0 KiB"),
        (1536, "1.5 KiB"),
        (100 * 1024, "100 KiB"),
        (1000 * 1024, "1.0 MiB"),
        (640 * 2**20, "640 MiB"),
        (2**30, "1.0 GiB"),
        (5 * 2**50, "5120 TiB"),
    ],
)
def test_bytes_text(count: float, text: str) -> None:
    assert bytes_text(count) == text


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0.0004, "0.4 ms"),
        (0.012, "12 ms"),
        (0.4, "0.4 s"),
        (9.96, "10 s"),
        (59.7, "1 min 0 s"),
        (185, "3 min 5 s"),
        (7440, "2 h 4 min"),
        (90_000, "1 d 1 h"),
        (40 * 86_400, "40 d 0 h"),
    ],
)
def test_duration_text(seconds: float, text: str) -> None:
    assert duration_text(seconds) == text


def test_one_line_says_where_a_forward_leads(fake: Any) -> None:
    forward = fake.make("svc/api", "8080:80", "9090:http", context="kind", namespace="shop")
    (row,) = build([forward], {}, NOON).forwards
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
    (cell,) = build([forward], {}, NOON).forwards[0].addresses
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
    (row,) = build([forward], {}, NOON).forwards
    assert [(each.text, each.link) for each in row.addresses] == [(text, link)]
    assert row.warning == f"warning: other machines can reach {text}, too"


@pytest.mark.parametrize("address", ["127.0.0.1", "::1", "127.0.0.9"])
def test_the_loopback_is_no_warning(fake: Any, address: str) -> None:
    forward = fake.make("web", "80")
    forward.ports[0].address = address
    assert build([forward], {}, NOON).forwards[0].warning == ""


@pytest.mark.parametrize(
    ("target", "name", "shown"),
    [("web", "web", ""), ("svc/api", "svc/api", ""), ("web", "web-81", "web-81")],
)
def test_a_name_is_shown_where_it_is_not_the_target(
    fake: Any, target: str, name: str, shown: str
) -> None:
    (row,) = build([fake.make(target, name=name)], {}, NOON).forwards
    assert (row.name, row.key) == (shown, name)


def test_the_last_failure_is_said(fake: Any) -> None:
    forward = fake.make()
    assert build([forward], {}, NOON).forwards[0].failure == ""
    for reason in ("first", "second"):
        forward.connect(closed=NOON, state="closed", reason=reason, failed=True)
    forward.connect()
    (row,) = build([forward], {}, NOON).forwards
    assert row.failure == "last failure: connection 2: second"
    assert [each.state for each in row.rows] == ["opening", "failed", "failed"]


def test_a_port_on_both_loopback_addresses_is_one_address(fake: Any) -> None:
    forward = fake.make("web", "8080:80")
    forward.ports = (*forward.ports, fake.Port("::1", 8080, 80))
    assert len(build([forward], {}, NOON).forwards[0].addresses) == 1


def test_a_connection_shows_its_life(fake: Any) -> None:
    forward = fake.make()
    forward.connect(opened=NOON - 5, first_byte=0.012)
    forward.move(2048, 10)
    forward.connect(opened=NOON - 3, closed=NOON - 1, state="closed", reason="refused", failed=True)
    newest, oldest = build([forward], {}, NOON).forwards[0].rows
    assert (oldest.number, oldest.pod, oldest.node, oldest.state) == (
        1,
        "default/web",
        "node-1",
        "opening",
    )
    assert (str(oldest.bytes_in), str(oldest.bytes_out)) == ("2.0 KiB", "10 B")
    assert (oldest.age, oldest.first_byte) == ("5.0 s", "12 ms")
    assert (newest.age, newest.reason, newest.failed) == ("2.0 s", "refused", True)


def test_older_connections_are_summed_up(fake: Any) -> None:
    forward = fake.make(forgotten=Totals(opened=100, failed=2, bytes_in=1000, bytes_out=50))
    for _ in range(MAX_CONNECTIONS + 3):
        forward.connect()
        forward.move(1, 1)
    (row,) = build([forward], {}, NOON).forwards
    assert [each.number for each in row.rows] == list(range(115, 115 - MAX_CONNECTIONS, -1))
    assert row.rest == "and 103 older: 3 open, in 1003 B, out 53 B"
    assert row.connections == "15 open, 115 in all, 2 failed"


def test_time_alone_is_no_news(fake: Any) -> None:
    forward = fake.make()
    forward.connect(opened=NOON)
    before = build([forward], {}, NOON)
    assert build([forward], {}, NOON + 60) == before
    forward.move(1)
    assert build([forward], {}, NOON + 60) != before


def test_simulated_isolation_is_said(fake: Any) -> None:
    assert not build([fake.make()], {}, NOON).simulated
    assert build([fake.make(), fake.make(isolation="loopback")], {}, NOON).simulated


def test_a_stopped_forward_has_no_rate(fake: Any) -> None:
    forward = fake.make(state="stopped", reason="lost connection to pod")
    (row,) = build([forward], {id(forward): Rate(1.0, 1.0)}, NOON).forwards
    assert (row.state, row.reason, str(row.rate)) == ("stopped", "lost connection to pod", "idle")


class TestRateMeter:
    @staticmethod
    def totals(inward: int, outward: int = 0) -> Totals:
        return Totals(bytes_in=inward, bytes_out=outward)

    def test_first_reading_is_idle(self) -> None:
        assert RateMeter().read(self.totals(1000), 5.0) == Rate()

    def test_steady(self) -> None:
        meter = RateMeter()
        rates = [meter.read(self.totals(n * 250, n * 25), n * 0.25) for n in range(20)]
        assert rates[1:] == [Rate(1000.0, 100.0)] * 19

    def test_zero_a_window_after_the_last_byte(self) -> None:
        meter = RateMeter()
        for n in range(5):
            meter.read(self.totals(n * 250), n * 0.25)
        falling = [meter.read(self.totals(1000), 1.0 + n * 0.25).inward for n in range(1, 5)]
        assert falling == [750.0, 500.0, 250.0, 0.0]

    def test_after_a_long_silence_only_the_window_counts(self) -> None:
        meter = RateMeter()
        meter.read(self.totals(0), 0.0)
        assert meter.read(self.totals(500), 100.0) == Rate(500.0, 0.0)
