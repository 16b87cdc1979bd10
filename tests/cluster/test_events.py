"""The lines between supervisor and owner."""

from __future__ import annotations

import os
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest

from kfwd_nb.cluster import __main__ as supervisor
from kfwd_nb.cluster.__main__ import emit
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


@pytest.fixture
def pipe() -> Iterator[tuple[int, int]]:
    """A pipe as the supervisor's standard output is one: small, and writes to it do not block."""
    out, into = os.pipe()
    os.set_blocking(into, False)
    yield out, into
    os.close(out)
    os.close(into)


def read_lines(out: int, count: int) -> list[bytes]:
    data = b""
    while data.count(b"\n") < count:
        data += os.read(out, 1 << 16)
    return data.splitlines()


@pytest.mark.parametrize("kind", [Ready, Failed])
def test_an_event_longer_than_the_pipe_arrives_whole(pipe: tuple[int, int], kind: type) -> None:
    out, into = pipe
    ready = {"name": "a", "kubeconfig": "k", "relay": "r", "isolation": "netns", "seconds": 1.0}
    pods = [f"default/pod-{number}" for number in range(20_000)]
    event = Ready(pods=pods, **ready) if kind is Ready else Failed(what="x" * 300_000)  # type: ignore[arg-type]
    with ThreadPoolExecutor(1) as pool:
        reading = pool.submit(read_lines, out, 2)
        emit(event, into)
        emit(Progress(text="next"), into)
        lines = reading.result(20)
    assert [decode(line) for line in lines] == [event, Progress(text="next")]


def test_an_owner_that_does_not_read_misses_progress_and_holds_nothing_up(
    pipe: tuple[int, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    out, into = pipe
    monkeypatch.setattr(supervisor, "WRITE_LIMIT", 0.05)
    for _ in range(2000):
        emit(Progress(text="x" * 100), into)
    emit(Failed(what="no"), into)
    assert all(decode(line) for line in os.read(out, 1 << 20).splitlines())


def test_an_owner_that_is_gone_holds_nothing_up() -> None:
    out, into = os.pipe()
    os.close(out)
    emit(Failed(what="no"), into)
    os.close(into)
