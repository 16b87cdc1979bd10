"""The table of a trace: in both forms, bounded, and in a real kernel."""

from __future__ import annotations

import re
from typing import Any

import pytest

from kfwd_nb.client.tracing.trace import Trace
from kfwd_nb.notebook.drawing.traced import HEAD, MAX_DETAILS, MAX_ROWS, trace_bundle, trace_sheet
from kfwd_nb.protocol.dissect import Frame

HOSTILE = "<script>alert(1)</script>\x1b[31m"


def data(length: int, stream: int = 1) -> Frame:
    return Frame("HTTP/2", "DATA", length, stream, ("END_STREAM",))


@pytest.mark.pure
def test_a_row_for_each_frame() -> None:
    trace = Trace("web", before=2)
    trace.record(1, "out", [Frame("HTTP/2", "HEADERS", 30, 1, (), ((":method", "CONNECT"),))])
    trace.record(1, "in", [data(7), Frame("SPDY", "PING", 4, None)])
    sheet = trace_sheet(trace)
    assert sheet.title == "trace of web: 3 frames, recording"
    assert sheet.head == HEAD
    assert [row[1:] for row in sheet.rows] == [
        ("→ out", "1", "HTTP/2", "1", "HEADERS", "30", "", ":method: CONNECT"),
        ("← in", "1", "HTTP/2", "1", "DATA", "7", "END_STREAM", ""),
        ("← in", "1", "SPDY", "", "PING", "4", "", ""),
    ]
    assert float(sheet.rows[0][0]) == round(trace[0].time * 1000, 2)
    assert "2 connections were open before" in " ".join(sheet.lines)
    trace.stop()
    assert trace_sheet(trace).title.endswith("stopped")


@pytest.mark.pure
def test_what_a_server_says_is_text() -> None:
    trace = Trace(HOSTILE)
    trace.record(1, "in", [Frame("HTTP/2", HOSTILE, 1, 1, (HOSTILE,), (("kfwd-pod", HOSTILE),))])
    bundle = trace_bundle(trace)
    assert "<script" not in bundle["text/html"]
    assert "\x1b" not in bundle["text/html"] + bundle["text/plain"]
    assert bundle["text/plain"].count("<script>alert(1)</script>\\x1b[31m") == 4


@pytest.mark.pure
def test_a_long_trace_shows_its_end() -> None:
    trace = Trace("web", MAX_ROWS + 50)
    trace.record(1, "in", [data(n) for n in range(MAX_ROWS + 60)])
    trace.record(1, "in", [Frame("HTTP/2", "HEADERS", 1, 1, (), ((":path", "x" * 999),))])
    sheet = trace_sheet(trace)
    assert len(sheet.rows) == MAX_ROWS
    assert sheet.rows[-2][6] == str(MAX_ROWS + 59)
    assert len(sheet.rows[-1][-1]) == MAX_DETAILS + 1
    words = " ".join(sheet.lines)
    assert "11 older frames had to go" in words
    assert f"the last {MAX_ROWS}" in words


@pytest.mark.pure
def test_an_empty_one_says_what_it_waits_for() -> None:
    assert "nothing yet" in trace_bundle(Trace("web"))["text/plain"]


@pytest.mark.notebook
@pytest.mark.parametrize("dialect", ["connect", "websocket", "spdy"])
def test_in_a_kernel(up_kernel: Any, dialect: str) -> None:
    up_kernel.ok("import urllib.request")
    run = up_kernel.ok(
        f"%%portforward web :80 --dialect {dialect}\n"
        "with fwd.trace() as trace:\n"
        "    page = urllib.request.urlopen(fwd.url()).read()\n"
        "trace"
    )
    (bundle,) = [each for each in run.bundles if "trace of web" in each["text/plain"]]
    html, text = bundle["text/html"], bundle["text/plain"]
    kind = "HEADERS" if dialect == "connect" else "SYN_STREAM"
    for words in (html, text):
        assert kind in words
        assert "DATA" in words
        assert "(hidden)" in words
    assert re.search(r"<td>← in</td><td>\d</td><td>(HTTP/2|SPDY)</td>", html)
    assert up_kernel.ok("print(trace.to_frame()['type'].eq('DATA').sum() > 1)").printed == "True\n"
    assert up_kernel.ok("trace").displays[0]["msg_type"] == "execute_result"


@pytest.mark.notebook
def test_without_the_extension_it_is_a_line(up_kernel: Any) -> None:
    up_kernel.ok("%unload_ext kfwd_nb")
    up_kernel.ok("from kfwd_nb.client.tracing.trace import Trace")
    (bundle,) = up_kernel.ok("Trace('web')").bundles
    assert bundle["text/plain"] == "<Trace of web: 0 frames (recording)>"
    assert bundle["text/html"] == "<code>&lt;Trace of web: 0 frames (recording)&gt;</code>"
    up_kernel.ok("%load_ext kfwd_nb")
    assert "nothing yet" in up_kernel.ok("Trace('web')").text


@pytest.mark.notebook
def test_it_obeys_the_form_that_is_forced(up_kernel: Any) -> None:
    up_kernel.ok("from kfwd_nb.client.tracing.trace import Trace")
    up_kernel.ok("%config Kfwd.display = 'text'")
    assert [list(each) for each in up_kernel.ok("Trace('web')").bundles] == [["text/plain"]]
    up_kernel.ok("%config Kfwd.display = 'auto'")
    assert "text/html" in up_kernel.ok("Trace('web')").bundles[0]
