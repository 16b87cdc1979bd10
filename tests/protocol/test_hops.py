"""The question for a hop's report, and its answer."""

from __future__ import annotations

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from kfwd_nb.errors import RemoteProtocolError
from kfwd_nb.protocol.hops import (
    MAX_STREAMS,
    PATH,
    Flow,
    HopReport,
    Link,
    Note,
    Noted,
    SocketFacts,
    Way,
    asked,
    question,
    read_report,
)

pytestmark = pytest.mark.pure


@given(st.lists(st.integers(0, 2**31 - 1), unique=True, max_size=MAX_STREAMS), st.booleans())
def test_a_question_is_understood(streams, notes):
    assert asked(question(streams, notes=notes)) == (streams, notes)


def test_the_newest_are_asked_for_when_there_are_too_many():
    streams, _ = asked(question(list(range(MAX_STREAMS + 7)))) or ([], False)
    assert streams == list(range(7, MAX_STREAMS + 7))


@pytest.mark.parametrize("path", ["/", "/api/v1/pods", f"{PATH}x", f"{PATH}/streams=1", ""])
def test_another_path_is_another_question(path):
    assert asked(path) is None


@pytest.mark.parametrize(
    "query",
    [
        "streams=one",
        "streams=-1",
        "streams=1,,x",
        "streams=" + "9" * 11,
        "streams=" + ",".join(map(str, range(MAX_STREAMS + 1))),
        "streams=٣",
    ],
)
def test_a_question_that_makes_no_sense(query):
    with pytest.raises(RemoteProtocolError):
        asked(f"{PATH}?{query}")


def test_a_report_comes_as_it_was():
    agent = HopReport("node agent", [Flow(3, Way(5, 5), Way(0, 0), socket=SocketFacts(1, 2))])
    report = HopReport(
        "relay",
        [Flow(1, Way(7, 6), Way(9, 9), 0, 3)],
        [Noted(1, [Note(0.5, "up", "asks", "node agent n")], 0, 3)],
        [Link("TLSv1.3", None, 0.4)],
        [agent],
        [""],
    )
    assert read_report(msgspec.json.encode(report)) == report


@pytest.mark.parametrize(
    "body", [b"", b"{}", b"null", b'{"hop": 1}', b'{"hop": "x", "flows": [1]}']
)
def test_what_is_no_report(body):
    with pytest.raises(RemoteProtocolError, match="no report"):
        read_report(body)


NOWHERE = Flow(1, Way(0, 0), Way(0, 0), 1, 3)


@pytest.mark.parametrize(
    "report",
    [
        HopReport("relay", [NOWHERE]),
        HopReport("relay", noted=[Noted(1, [], -1, 3)]),
        HopReport("relay", beyond=[None]),
        HopReport("relay", links=[Link("", None, 0.0)], beyond=[None], failures=[]),
        HopReport("relay", [Flow(1, Way(-1, 0), Way(0, 0))]),
    ],
)
def test_a_report_that_contradicts_itself(report):
    with pytest.raises(RemoteProtocolError, match="no report"):
        read_report(msgspec.json.encode(report))


@pytest.mark.parametrize("depth", [10, 3000])
def test_reports_within_reports_have_a_limit(depth):
    link = b'"links":[{"tls":"","ping":null,"silence":0}],"failures":[""]'
    body = b'{"hop":"x"}'
    for _ in range(depth):
        body = b'{"hop":"x",' + link + b',"beyond":[' + body + b"]}"
    with pytest.raises(RemoteProtocolError):
        read_report(body)
