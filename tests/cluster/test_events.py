"""The lines between supervisor and owner."""

from __future__ import annotations

import pytest

from kfwd_nb.cluster.events import AnyEvent, Failed, Progress, Ready, decode, encode

pytestmark = pytest.mark.pure

EVENTS = [
    Progress(text="relay listens\non 1", seconds=0.25),
    Ready(
        name="a1b2c3",
        kubeconfig="/tmp/kubeconfig",
        relay="https://127.0.0.1:1",
        isolation="netns",
        pods=["default/web"],
        seconds=1.5,
        phases={"relay": 0.3},
        pod_seconds={"default/web": 0.2},
    ),
    Failed(what="no", hint="yes", kind="ConfigError"),
]


@pytest.mark.parametrize("event", EVENTS)
def test_an_event_is_one_line(event: AnyEvent) -> None:
    line = encode(event)
    assert line.endswith(b"\n")
    assert line.count(b"\n") == 1
    assert decode(line) == event


@pytest.mark.parametrize(
    "line", [b"", b"Traceback (most recent call last):\n", b"{}", b"[1]", b'{"event":"x"}', b"\xff"]
)
def test_other_lines_are_no_events(line: bytes) -> None:
    assert decode(line) is None
