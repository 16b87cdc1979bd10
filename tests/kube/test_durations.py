"""Time spans as kubectl takes them."""

from __future__ import annotations

import pytest

from kfwd_nb.errors import UsageError
from kfwd_nb.kube.durations import parse_duration

pytestmark = pytest.mark.pure


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("30s", 30.0),
        ("1m", 60.0),
        ("1m30s", 90.0),
        ("1.5h", 5400.0),
        (".5s", 0.5),
        ("250ms", 0.25),
        ("1h2m3s4ms", 3723.004),
        ("2\u03bcs", 2e-6),
        ("1.s", 1.0),
    ],
)
def test_it_reads(text: str, seconds: float) -> None:
    assert parse_duration(text) == pytest.approx(seconds)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "60",
        "0s",
        "-1s",
        "1 m",
        "m",
        "1x",
        "1m30",
        "s1",
        ".s",
        "\u0661s",
        "1e3s",
        "9" * 400 + "h",
    ],
)
def test_it_refuses(text: str) -> None:
    with pytest.raises(UsageError, match="invalid duration"):
        parse_duration(text)


def test_a_bare_number_is_answered_with_its_unit() -> None:
    with pytest.raises(UsageError) as caught:
        parse_duration("60")
    assert "60s for seconds" in str(caught.value.hint)
