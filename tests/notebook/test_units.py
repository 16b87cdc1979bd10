"""Numbers as people read them."""

from __future__ import annotations

import pytest

from kfwd_nb.notebook.drawing.units import MAX_TEXT, bytes_text, cut, duration_text

pytestmark = pytest.mark.pure


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


def test_text_from_elsewhere_is_cut() -> None:
    assert cut("a" * MAX_TEXT) == "a" * MAX_TEXT
    assert cut("a" * 10_000) == "a" * (MAX_TEXT - 1) + "…"
