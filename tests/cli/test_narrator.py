"""kubectl's lines: what is said of ports and connections."""

from __future__ import annotations

import pytest

from kfwd_nb.cli.port_forward import Narrator, opening_lines
from kfwd_nb.client import Connection, ForwardedPort

pytestmark = pytest.mark.pure


def connection(number: int, *, closed: bool = False, reason: str = "") -> Connection:
    return Connection(
        number,
        "127.0.0.1:50000",
        8080,
        80,
        opened=1.0,
        closed=2.0 if closed else None,
        reason=reason,
        failed=bool(reason),
    )


def test_each_address_of_each_port_has_a_line() -> None:
    ports = [
        ForwardedPort(("127.0.0.1", "::1"), 8080, 80),
        ForwardedPort(("127.0.0.1",), 40001, "http"),
    ]
    assert list(opening_lines(ports)) == [
        "Forwarding from 127.0.0.1:8080 -> 80",
        "Forwarding from [::1]:8080 -> 80",
        "Forwarding from 127.0.0.1:40001 -> http",
    ]


def test_each_connection_is_told_once(capsys: pytest.CaptureFixture[str]) -> None:
    narrator = Narrator()
    narrator.look([connection(1)])
    narrator.look([connection(1), connection(2)])
    narrator.look([connection(1, closed=True), connection(2), connection(3, closed=True)])
    narrator.look([])
    assert capsys.readouterr().out == 3 * "Handling connection for 8080\n"


def test_a_failed_connection_is_told_with_its_reason(capsys: pytest.CaptureFixture[str]) -> None:
    narrator = Narrator()
    narrator.look([connection(1)])
    for _ in range(2):
        narrator.look([connection(1, closed=True, reason="nobody \x07listens.")])
    out, err = capsys.readouterr()
    assert out == "Handling connection for 8080\n"
    assert err == "error: an error occurred forwarding 8080 -> 80: nobody \\x07listens.\n"


def test_what_was_forgotten_meanwhile_is_not_remembered_here() -> None:
    narrator = Narrator()
    for first in range(1, 1000, 10):
        narrator.look([connection(number) for number in range(first, first + 10)])
    assert len(narrator._open) == 10
