"""What a person types for ports and targets."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kfwd_nb.errors import UsageError
from kfwd_nb.ports import (
    KINDS,
    PortSpec,
    Target,
    parse_port,
    parse_ports,
    parse_target,
    split_target,
)

pytestmark = pytest.mark.pure


@pytest.mark.parametrize(
    ("text", "local", "remote"),
    [
        ("8080:80", 8080, 80),
        ("80", 80, 80),
        (":80", 0, 80),
        ("0:80", 0, 80),
        ("1:65535", 1, 65_535),
        ("65535:1", 65_535, 1),
        ("080:0080", 80, 80),
        ("http", None, "http"),
        (":http", 0, "http"),
        ("8080:http-alt", 8080, "http-alt"),
        ("8080:p2p", 8080, "p2p"),
        ("x", None, "x"),
        ("HTTP", None, "HTTP"),
        ("fifteen-letters", None, "fifteen-letters"),
    ],
)
def test_ports_that_can_be_meant(text, local, remote):
    assert parse_port(text) == PortSpec(local, remote)


@pytest.mark.parametrize(
    "text",
    [
        "",
        ":",
        "80:",
        "8080:",
        "::80",
        "1:2:3",
        "8080:80/tcp",
        "http:80",
        "abc:def",
        "-1",
        "+80",
        "-80:80",
        "80:-80",
        "8080:65536",
        "65536:80",
        "70000",
        "8_0",
        " 80",
        "80 ",
        "8080: 80",
        "80,81",
        "80.0",
        "٨٠",
        "²",
        "-http",
        "http-",
        "ht tp",
        "sixteen--letters",
        "[::1]:80:80",
        "{port}",
        "$port",
        "\x1b[2J",
        "9" * 5000,
        "9" * 5000 + ":80",
    ],
)
def test_ports_that_cannot_be_meant(text):
    with pytest.raises(UsageError, match="invalid port format") as caught:
        parse_port(text)
    assert "8080:80" in str(caught.value.hint)


@pytest.mark.parametrize("text", ["0", ":0", "8080:0", "0:0", "000"])
def test_the_remote_port_is_never_0(text):
    with pytest.raises(UsageError, match="the remote port cannot be 0"):
        parse_port(text)


@given(st.text(max_size=12))
def test_any_text_is_a_port_or_a_clear_refusal(text):
    try:
        spec = parse_port(text)
    except UsageError:
        return
    assert parse_port(str(spec)) == spec


@given(st.integers(0, 65_535), st.integers(1, 65_535))
def test_a_spec_is_shown_as_it_is_typed(local, remote):
    assert parse_port(str(PortSpec(local, remote))) == PortSpec(local, remote)


def test_several_ports():
    assert parse_ports(["8080:80", ":443", "http"]) == (
        PortSpec(8080, 80),
        PortSpec(0, 443),
        PortSpec(None, "http"),
    )
    assert parse_ports((80, "8080:80")) == (PortSpec(80, 80), PortSpec(8080, 80))
    assert parse_ports([":80", ":80", "0:81"]), "free ports are never the same one"


def test_no_port_is_refused():
    with pytest.raises(UsageError, match="no port given"):
        parse_ports([])


@pytest.mark.parametrize("texts", [["80", "80:443"], ["8080:80", "1:1", "8080:81"], [80, "80"]])
def test_a_local_port_is_named_once(texts):
    with pytest.raises(UsageError, match="is given twice"):
        parse_ports(texts)


@pytest.mark.parametrize(
    ("text", "kind", "name"),
    [
        ("web", "pod", "web"),
        ("pod", "pod", "pod"),
        ("svc", "pod", "svc"),
        ("pod/web", "pod", "web"),
        ("po/web", "pod", "web"),
        ("pods/web", "pod", "web"),
        ("Pod/web", "pod", "web"),
        ("svc/api", "svc", "api"),
        ("service/api", "svc", "api"),
        ("SERVICES/api", "svc", "api"),
        ("deploy/api", "deploy", "api"),
        ("deployment/api", "deploy", "api"),
        ("deployments/pod", "deploy", "pod"),
    ],
)
def test_targets(text, kind, name):
    assert parse_target(text) == Target(kind, name)


@pytest.mark.parametrize(
    "text",
    ["", "/", "/web", "pod/", "svc/a/b", "node/n1", "deploy.batch/api", "http://x", "pod//x"],
)
def test_targets_that_cannot_be_meant(text):
    with pytest.raises(UsageError):
        parse_target(text)


@pytest.mark.parametrize(
    ("line", "target", "ports"),
    [
        ("web 8080:80", "pod/web", ["8080:80"]),
        ("web", "pod/web", []),
        ("pod web 8080:80", "pod/web", ["8080:80"]),
        ("pod 8888:80", "pod/pod", ["8888:80"]),
        ("pod 80", "pod/pod", ["80"]),
        ("pod :80", "pod/pod", [":80"]),
        ("pod :http", "pod/pod", [":http"]),
        ("pod 8080:http", "pod/pod", ["8080:http"]),
        ("svc api :80 :443", "svc/api", [":80", ":443"]),
        ("deployment api http", "deploy/api", ["http"]),
        ("SVC api 80", "svc/api", ["80"]),
        ("svc/api 80", "svc/api", ["80"]),
        ("svc pod 80", "svc/pod", ["80"]),
        ("pod pod 80", "pod/pod", ["80"]),
        ("svc", "pod/svc", []),
        ("web pod 80", "pod/web", ["pod", "80"]),
        ("pod web", "pod/web", []),
        ("service 0:80", "pod/service", ["0:80"]),
    ],
)
def test_a_kind_and_a_name_in_two_words(line, target, ports):
    found, rest = split_target(line.split())
    assert (str(found), rest) == (target, ports)


def test_no_words_are_refused():
    with pytest.raises(UsageError, match="no target given"):
        split_target([])


def test_every_spelling_of_a_kind_has_a_short_one_that_is_a_kind_itself():
    assert set(KINDS.values()) <= set(KINDS)
