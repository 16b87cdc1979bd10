"""The two windows, as tables."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kfwd_nb.errors import RemoteProtocolError
from kfwd_nb.protocol.http2.windows import (
    CONNECTION_GRANT,
    CONNECTION_WINDOW,
    MAX_WINDOW,
    STREAM_WINDOW,
    ReceiveWindow,
    SendWindow,
)

pytestmark = pytest.mark.pure


@pytest.mark.parametrize(
    ("before", "increment", "after"),
    [
        (0, 1, 1),
        (65_535, 10, 65_545),
        (-500, 400, -100),
        (1000, -4000, -3000),
        (0, MAX_WINDOW, MAX_WINDOW),
        (MAX_WINDOW - 1, 1, MAX_WINDOW),
        (-MAX_WINDOW, MAX_WINDOW, 0),
        (MAX_WINDOW, 1, None),
        (1, MAX_WINDOW, None),
    ],
)
def test_send_window(before, increment, after):
    window = SendWindow(before)
    if after is not None:
        window.widen(increment)
        assert window.available == after
        return
    with pytest.raises(RemoteProtocolError) as caught:
        window.widen(increment)
    assert caught.value.code == 3
    assert window.available == before


@pytest.mark.parametrize(
    ("steps", "granted", "available"),
    [
        ([(10, 0)], [0], 90),
        ([(10, 10)], [0], 90),
        ([(50, 50)], [50], 100),
        ([(30, 30), (30, 19)], [0, 0], 40),
        ([(30, 30), (30, 20)], [0, 50], 90),
        ([(100, 0), (0, 100)], [0, 100], 100),
        ([(100, 49), (0, 51)], [0, 100], 100),
    ],
)
def test_receive_window_of_100_that_grants_50(steps, granted, available):
    window = ReceiveWindow(100, 50)
    seen = []
    for consumed, released in steps:
        window.consume(consumed)
        seen.append(window.release(released))
    assert (seen, window.available) == (granted, available)


@pytest.mark.parametrize("counts", [(101,), (100, 1), (50, 50, 1)])
def test_more_than_was_granted_is_refused(counts):
    window = ReceiveWindow(100, 50)
    for count in counts[:-1]:
        window.consume(count)
    with pytest.raises(RemoteProtocolError) as caught:
        window.consume(counts[-1])
    assert caught.value.code == 3


@given(st.lists(st.tuples(st.integers(0, 100), st.integers(0, 100))))
def test_a_receive_window_is_never_wider_than_its_size_nor_stuck(steps):
    window = ReceiveWindow(100, 50)
    held = 0
    for wanted, taken in steps:
        sent = min(wanted, window.available)
        window.consume(sent)
        read = min(taken, held + sent)
        held += sent - read
        window.release(read)
        assert window.available <= 100
        assert held or window.available > 0, "all is read, so the peer may go on"


def test_the_sizes_fit_each_other():
    assert STREAM_WINDOW < CONNECTION_WINDOW < MAX_WINDOW
    assert CONNECTION_GRANT <= CONNECTION_WINDOW // 2
