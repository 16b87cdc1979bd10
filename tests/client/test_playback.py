"""Which frames are one request, and how they become steps."""

from __future__ import annotations

import pytest

from kfwd_nb.client.tracing.playback import MAX_STEPS, gaps, playback, requests, steps_of
from kfwd_nb.client.tracing.trace import Trace
from kfwd_nb.client.tracing.traced_frame import Direction, TracedFrame
from kfwd_nb.errors import UsageError
from kfwd_nb.protocol.dissect import Frame

pytestmark = pytest.mark.pure


def http2(kind: str, direction: Direction = "out", **facts: object) -> TracedFrame:
    return frame("HTTP/2", kind, direction, **facts)


def spdy(kind: str, direction: Direction = "out", **facts: object) -> TracedFrame:
    return frame("SPDY", kind, direction, **facts)


def frame(layer, kind, direction, stream=1, wire=1, length=0, flags=(), fields=(), time=0.0):
    return TracedFrame(
        layer, kind, length, stream, flags, fields, time=time, direction=direction, wire=wire
    )


def pair(kind: str, stream: int, request: int, wire: int = 1) -> TracedFrame:
    fields = (("streamtype", kind), ("port", "80"), ("requestid", str(request)))
    return spdy("SYN_STREAM", stream=stream, wire=wire, fields=fields)


def test_streams_of_http2():
    frames = [
        http2("PREFACE", stream=None),
        http2("SETTINGS", stream=0),
        one := http2("HEADERS", stream=1),
        two := http2("HEADERS", stream=3),
        http2("DATA", "in", stream=9),  # its beginning was dropped
        answer := http2("HEADERS", "in", stream=1),
        other := http2("HEADERS", stream=1, wire=2),
        data := http2("DATA", "in", stream=3),
        window := http2("WINDOW_UPDATE", stream=3),
    ]
    assert requests(frames) == [[one, answer], [two, data, window], [other]]


def test_pairs_of_spdy_and_their_upgrade():
    def http1(kind: str, direction: Direction, wire: int) -> TracedFrame:
        return frame("HTTP/1.1", kind, direction, stream=None, wire=wire)

    frames = [
        asked := http1("REQUEST", "out", 1),
        http1("REQUEST", "out", 2),  # a spare one, of which nobody has use
        switched := http1("RESPONSE", "in", 1),
        spdy("PING", stream=None),
        frame("WebSocket", "BINARY", "out", stream=None),
        error := pair("error", 1, 0),
        data := pair("data", 3, 0),
        reply := spdy("SYN_REPLY", "in", stream=1),
        again := pair("error", 5, 1),
        more := pair("data", 7, 1),
        late := spdy("DATA", "in", stream=3),
    ]
    assert requests(frames) == [[asked, switched, error, data, reply, late], [again, more]]


def test_payload_in_a_row_is_one_step():
    frames = [
        http2("HEADERS", time=1),
        http2("DATA", length=5, time=2),
        http2("DATA", length=6, time=3),
        http2("DATA", "in", length=7, time=4),
        http2("DATA", length=8, time=5),
        http2("DATA", length=9, time=6),
        http2("DATA", length=1, flags=("END_STREAM",), time=8),
        http2("WINDOW_UPDATE", time=9),
        http2("WINDOW_UPDATE", time=9),
    ]
    steps = steps_of(frames)
    assert [(each.count, each.length, each.until) for each in steps] == [
        *[(1, 0, 1), (2, 11, 3), (1, 7, 4), (2, 17, 6), (1, 1, 8), (1, 0, 9), (1, 0, 9)]
    ]
    assert gaps(steps) == [0, 2, 1, 2, 2, 1, 0]
    assert gaps([]) == [0.0]


def test_a_request_is_chosen_by_its_number():
    frames = [http2("HEADERS", stream=stream, time=stream) for stream in (1, 3, 5)]
    numbers = {number: playback("web", frames, number) for number in (1, 3, -1, -3)}
    assert [each.number for each in numbers.values()] == [1, 3, 3, 1]
    assert numbers[-1].steps[0].frame is frames[2]
    for number in (0, 4, -4):
        with pytest.raises(UsageError, match="requests 1 to 3"):
            playback("web", frames, number)
    with pytest.raises(UsageError, match="no request from its beginning"):
        playback("web", [], -1)


def test_a_long_request_is_cut():
    frames = [http2("HEADERS"), *(http2("WINDOW_UPDATE") for _ in range(MAX_STEPS + 4))]
    long = playback("web", frames, 1)
    assert (len(long.steps), long.more) == (MAX_STEPS, 5)


def test_a_trace_plays_its_last_request():
    trace = Trace("web")
    trace.record(1, "out", [Frame("HTTP/2", "HEADERS", 30, stream) for stream in (1, 3)])
    assert trace.play().number == 2
    assert trace.play(1).steps[0].frame == trace[0]
    assert repr(trace.play()) == "<Playback of web: request 2, 1 steps>"
    assert all(trace.play()._repr_mimebundle_().values())
