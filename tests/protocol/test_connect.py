"""Names and refusals of the `connect` dialect."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kfwd_nb import errors
from kfwd_nb.protocol.connect import Authority, Refusal, error_of, parse_authority, refusal_of

pytestmark = pytest.mark.pure

LABEL = st.from_regex(r"[a-z0-9]([a-z0-9-]{0,20}[a-z0-9])?", fullmatch=True)
AUTHORITIES = st.builds(
    Authority,
    st.sampled_from(["pod", "svc"]),
    LABEL,
    st.lists(LABEL, min_size=1, max_size=4).map(".".join),
    st.integers(1, 65_535),
)


@given(AUTHORITIES)
def test_an_authority_comes_back_as_it_went(authority):
    assert parse_authority(str(authority)) == authority


@pytest.mark.parametrize(
    ("text", "kind", "namespace", "name", "port"),
    [
        ("web.default.pod:80", "pod", "default", "web", 80),
        ("api.team-a.svc:65535", "svc", "team-a", "api", 65_535),
        ("a.b.c.pod:1", "pod", "c", "a.b", 1),
        ("pod.svc.pod:7", "pod", "svc", "pod", 7),
        ("0.0.pod:9", "pod", "0", "0", 9),
    ],
)
def test_authorities(text, kind, namespace, name, port):
    assert parse_authority(text) == Authority(kind, namespace, name, port)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "web",
        "web:80",
        "default.pod:80",
        ".default.pod:80",
        "web..pod:80",
        "web.default.pod",
        "web.default.pod:",
        "web.default.pod:0",
        "web.default.pod:65536",
        "web.default.pod:123456",
        "web.default.pod:8o",
        "web.default.pod:-1",
        "web.default.pod:+1",
        "web.default.pod: 80",
        "web.default.pod:80\n",
        "\nweb.default.pod:80",
        "web.default.node:80",
        "WEB.default.pod:80",
        "web/../x.default.pod:80",
        "wéb.default.pod:80",
        "web.default.pod:٨٠",
        "example.org:443",
        "127.0.0.1:22",
        "[::1]:22",
        f"{'a' * 254}.default.pod:80",
        f"web.{'a' * 64}.pod:80",
        "x" * 100_000,
    ],
)
def test_anything_else_is_refused_in_one_short_sentence(text):
    with pytest.raises(
        errors.RemoteProtocolError, match=r"CONNECT needs NAME\.NAMESPACE"
    ) as caught:
        parse_authority(text)
    assert len(caught.value.what) < 500
    assert "\n" not in caught.value.what


KINDS = [
    (errors.UnauthorizedError, 401),
    (errors.ForbiddenError, 403),
    (errors.NotFoundError, 404),
    (errors.LimitError, 429),
    (errors.RefusedError, 502),
    (errors.UnavailableError, 503),
    (errors.LostError, 504),
]


@pytest.mark.parametrize(("kind", "status"), KINDS)
@pytest.mark.parametrize("hop", ["client", "relay", "node agent", "pod"])
def test_a_refusal_comes_back_as_the_error_it_was(kind, status, hop):
    refusal = refusal_of(kind('Pod "web" says \\ and; a=b, c="d".'), hop)
    back = error_of(refusal.status, refusal.header())
    assert refusal.status == status
    assert type(back) is kind
    assert back.what == 'Pod "web" says \\ and; a=b, c="d".'
    assert back.where == hop


def test_an_error_that_names_its_own_hop_keeps_it():
    refusal = refusal_of(errors.RefusedError("nobody listens.", where="node agent"), "relay")
    assert error_of(refusal.status, refusal.header()).where == "node agent"


@pytest.mark.parametrize(
    ("error", "status"),
    [
        (errors.RemoteProtocolError("no authority."), 400),
        (errors.KfwdError("a bug."), 500),
        (errors.ListenError("a bug."), 500),
    ],
)
def test_errors_that_are_no_refusals_of_their_own_come_back_with_their_words(error, status):
    refusal = refusal_of(error, "relay")
    assert refusal.status == status
    assert error_of(refusal.status, refusal.header()).what == error.what


STRUCTURED_FIELD = re.compile(
    r'[A-Za-z*][!-~]*?; error=[a-z_]+; details="(?:[ !#-\[\]-~]|\\["\\])*"'
)
"""A token, a token parameter and an sf-string (RFC 8941 §3.3.3, 3.3.4)."""


@given(st.text(max_size=60))
def test_any_words_make_a_valid_field_and_the_same_kind_of_error(words):
    header = Refusal(502, "connection_refused", words, "node agent").header()
    assert STRUCTURED_FIELD.fullmatch(header), header
    back = error_of(502, header)
    assert type(back) is errors.RefusedError
    if words.isascii() and words.isprintable() and words:
        assert back.what == words


def test_a_refusal_never_outgrows_a_header_section():
    refusal = refusal_of(errors.NotFoundError("no such pod: " + "é" * 200_000), "relay")
    assert len(refusal.header()) < 8_000
    assert type(error_of(refusal.status, refusal.header())) is errors.NotFoundError


TWO_MEMBERS = (
    'node-agent; error=connection_refused; details="there, nobody; listens", '
    'relay; error=destination_unavailable; details="here"'
)


@pytest.mark.parametrize(
    ("status", "proxy_status", "kind", "what", "where"),
    [
        (404, None, errors.NotFoundError, "the relay answered 404.", "relay"),
        (401, "", errors.UnauthorizedError, "the relay answered 401.", "relay"),
        (418, None, errors.UnavailableError, "the relay answered 418.", "relay"),
        (502, "squid", errors.RefusedError, "the relay answered 502.", "relay"),
        (
            502,
            "squid; error=dns_timeout",
            errors.UnavailableError,
            "the relay answered 502.",
            "relay",
        ),
        (502, 'p;error=connection_refused;details="x"', errors.RefusedError, "x", "relay"),
        (503, '\x00\xff;;;==="""', errors.UnavailableError, "the relay answered 503.", "relay"),
        (504, 'pod; details="unfinished', errors.LostError, None, "pod"),
        (
            502,
            TWO_MEMBERS,
            errors.UnavailableError,
            "here",
            "relay",
        ),
    ],
)
def test_what_foreign_proxies_answer(status, proxy_status, kind, what, where):
    """Of several members the last one counts: its hop is the nearest to us (RFC 9209 §2)."""
    error = error_of(status, proxy_status)
    assert type(error) is kind
    assert what is None or error.what == what
    assert error.where == where


@given(st.integers(100, 599), st.text(max_size=80) | st.from_regex(r"[a-z;=\", \\-]{0,40}"))
def test_no_answer_makes_anything_but_an_error_to_show(status, proxy_status):
    assert isinstance(error_of(status, proxy_status), errors.KfwdError)
