"""Stream pairs: how they find each other, and what the texts on error streams mean."""

from __future__ import annotations

import pytest

from kfwd_nb.errors import KfwdError, LostError, RefusedError, RemoteProtocolError, ResetError
from kfwd_nb.errors import UnavailableError as Gone
from kfwd_nb.protocol import portforward
from kfwd_nb.protocol.portforward import (
    PAIR_TIMEOUT,
    Pair,
    Pairing,
    error_of_text,
    pair_headers,
    text_of_error,
)

pytestmark = pytest.mark.pure


@pytest.mark.parametrize("kinds", [("error", "data"), ("data", "error")])
def test_either_order_makes_a_pair(kinds):
    pairing = Pairing()
    assert pairing.offer(1, pair_headers(kinds[0], 80, 7), 0.0) is None
    ids = (1, 3) if kinds[0] == "error" else (3, 1)
    assert pairing.offer(3, pair_headers(kinds[1], 80, 7), 0.0) == Pair(*ids, 80)
    assert pairing.next_due is None


def test_pairs_are_told_apart_by_requestid():
    pairing = Pairing()
    for stream_id, kind, request in [(1, "error", 0), (3, "error", 1)]:
        assert pairing.offer(stream_id, pair_headers(kind, 80, request), 0.0) is None
    assert pairing.offer(5, pair_headers("data", 80, 1), 0.0) == Pair(3, 5, 80)
    assert pairing.offer(7, pair_headers("data", 80, 0), 0.0) == Pair(1, 7, 80)


def test_without_requestid_it_is_the_data_id_minus_two():
    pairing = Pairing()
    assert pairing.offer(1, {"streamtype": "error", "port": "80"}, 0.0) is None
    assert pairing.offer(5, {"streamtype": "data", "port": "80"}, 0.0) is None
    assert pairing.offer(3, {"streamtype": "data", "port": "80"}, 0.0) == Pair(1, 3, 80)


def test_a_pair_that_never_completes_expires_in_time():
    pairing = Pairing()
    pairing.offer(1, pair_headers("error", 80, 0), 100.0)
    assert pairing.next_due == 100.0 + PAIR_TIMEOUT
    assert pairing.expired(100.0 + PAIR_TIMEOUT - 0.001) == []
    assert [half.stream_id for half in pairing.expired(100.0 + PAIR_TIMEOUT)] == [1]
    assert pairing.next_due is None


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"streamtype": "resize", "port": "80"},
        {"streamtype": "data"},
        {"streamtype": "data", "port": "0"},
        {"streamtype": "data", "port": "65536"},
        {"streamtype": "data", "port": "-1"},
        {"streamtype": "data", "port": "٣"},
        {"streamtype": "data", "port": "9" * 5000},
    ],
)
def test_headers_that_make_no_half(headers):
    with pytest.raises(RemoteProtocolError):
        Pairing().offer(1, headers, 0.0)


@pytest.mark.parametrize("second", [("error", 80), ("data", 81)])
def test_two_that_are_no_pair(second):
    pairing = Pairing()
    pairing.offer(1, pair_headers("error", 80, 0), 0.0)
    with pytest.raises(RemoteProtocolError):
        pairing.offer(3, pair_headers(*second, 0), 0.0)


def test_no_more_halves_than_the_limit(monkeypatch):
    monkeypatch.setattr(portforward, "MAX_HALVES", 2)
    pairing = Pairing()
    for n in range(2):
        pairing.offer(1 + 2 * n, pair_headers("error", 80, n), 0.0)
    with pytest.raises(RemoteProtocolError):
        pairing.offer(5, pair_headers("error", 80, 2), 0.0)
    pairing.forget(1)
    assert pairing.offer(7, pair_headers("error", 80, 3), 0.0) is None


PREFIX = "error forwarding port 80 to pod abc, uid : "


@pytest.mark.parametrize(
    ("cause", "kind"),
    [
        ('network namespace for sandbox "abc" is closed', Gone),
        ('sandbox container "abc" is not running', Gone),
        ('failed to find sandbox "abc" in store: not found', Gone),
        ("unable to forward port because pod is not running. Current status=Pending", Gone),
        ("dial tcp4 127.0.0.1:80: connect: connection refused", RefusedError),
        ("read tcp4: read: connection reset by peer", ResetError),
        ("unable to do port forwarding: socat not found", LostError),
        ("exec: container runtime is not running a shell", LostError),
        ("timed out waiting for streams", LostError),
    ],
)
def test_only_the_texts_that_say_so_mean_that_the_pod_is_gone(cause, kind):
    error = error_of_text(PREFIX + cause, 80)
    assert type(error) is kind
    assert cause in error.what


def test_our_own_words_come_back_as_what_they_were():
    for error in (RefusedError("nobody listens."), LostError("the agent was lost.")):
        text = text_of_error(error, 80, "web")
        assert text.startswith("error forwarding port 80 to pod web, uid : ")
        back: KfwdError = error_of_text(text, 80)
        assert type(back) is type(error)
