"""Notes of other hops on the client's clock: never an effect before its cause."""

from __future__ import annotations

from itertools import accumulate

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kfwd_nb.client.tracing.beyond import Beyond, beyond, seen
from kfwd_nb.client.tracing.traced_frame import TracedFrame
from kfwd_nb.protocol.hops import HopReport, Note, Noted

pytestmark = pytest.mark.pure

EVENTS = (
    ("client", "out", "HEADERS"),
    ("relay", "up", "asks"),
    ("agent", "up", "connects"),
    ("agent", "down", "accepts"),
    ("relay", "down", "accepts"),
    ("client", "in", "HEADERS"),
    ("client", "out", "DATA"),
    ("relay", "up", "passes"),
    ("agent", "up", "passes"),
    ("agent", "down", "passes"),
    ("relay", "down", "passes"),
    ("client", "in", "DATA"),
)
"""One request, in the order of cause and effect."""


def frame(kind: str, direction: str, time: float) -> TracedFrame:
    return TracedFrame("HTTP/2", kind, 9, 1, (), (), time=time, direction=direction, wire=1)  # type: ignore[arg-type]


def story(waits: list[float], skews: dict[str, float]) -> tuple[list[TracedFrame], list[Beyond]]:
    """The events with those pauses before each, noted by clocks that are apart by `skews`."""
    moments = list(accumulate(waits))
    frames, notes = [], {"relay": [], "agent": []}
    for moment, (who, way, what) in zip(moments, EVENTS, strict=True):
        if who == "client":
            frames.append(frame(what, way, moment))
        else:
            notes[who].append(Note(moment - skews[who], way, what, "", 9))
    return frames, [Beyond(name, tuple(found)) for name, found in notes.items()]


pauses = st.floats(1e-6, 1.0)


@given(st.lists(pauses, min_size=len(EVENTS), max_size=len(EVENTS)), st.data())
def test_no_effect_comes_before_its_cause(waits, data):
    begun = list(accumulate(waits))
    # Each hop's clock starts when it hears of the stream: before its first note, after the frame
    # or the note that caused it.
    skews = {
        "relay": data.draw(st.floats(begun[0], begun[1])),
        "agent": data.draw(st.floats(begun[1], begun[2])),
    }
    frames, hops = story(waits, skews)
    found = {(each.place, each.way, each.kind): each.until for each in seen(frames, hops)}
    asked, accepted, sent, answered = (each.time for each in frames)
    order = [
        asked,
        found[1, "up", "asks"],
        found[2, "up", "connects"],
        found[2, "down", "accepts"],
        accepted,
    ]
    passed = [sent, found[1, "up", "passes"], found[2, "up", "passes"]]
    assert order == pytest.approx(sorted(order))
    assert passed == pytest.approx(sorted(passed))
    assert found[2, "down", "passes"] <= answered + 1e-9


def test_what_the_frames_show_is_not_told_twice():
    frames, hops = story([0.1] * len(EVENTS), {"relay": 0.15, "agent": 0.25})
    assert not [each for each in seen(frames, hops) if (each.place, each.way) == (1, "down")]


def test_a_clean_end_is_no_step_but_a_broken_one_is():
    frames, _ = story([0.1] * len(EVENTS), {"relay": 0.15, "agent": 0.25})
    notes = (
        Note(0.0, "up", "asks"),
        Note(0.1, "up", "forgets"),
        Note(0.1, "up", "forgets", "reset"),
    )
    found = seen(frames, [Beyond("relay", notes)])
    assert [(each.kind, each.detail) for each in found] == [("asks", ""), ("forgets", "reset")]


def test_a_hop_whose_request_is_not_in_the_frames_is_left_out():
    assert seen([], [Beyond("relay", (Note(0.0, "up", "asks"),))]) == []


def test_notes_are_followed_from_hop_to_hop():
    agent = HopReport("node agent", noted=[Noted(7, [Note(0.0, "up", "connects")])])
    noted = [Noted(1, [Note(0.0, "up", "asks")], 0, 7), Noted(3, [], None, None)]
    relay = HopReport("relay", noted=noted, beyond=[agent])
    assert [each.hop for each in beyond(relay, 1)] == ["relay", "node agent"]
    assert [each.hop for each in beyond(relay, 3)] == ["relay"]
    assert beyond(relay, 5) == ()
    silent = HopReport("relay", noted=noted, beyond=[None])
    assert [each.hop for each in beyond(silent, 1)] == ["relay"]
