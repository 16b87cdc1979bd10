"""`fwd.trace()`: what is in it, what is not, and that connections do not mind."""

from __future__ import annotations

import socket
import subprocess
import sys
import threading
import time

import pytest
from peers import http2
from peers.plain import connect, echo, read_all
from peers.relay import TOKEN

from kfwd_nb.client import forward
from kfwd_nb.client.tracing import trace as trace_module
from kfwd_nb.client.tracing.trace import COLUMNS, MAX_LIMIT, Trace
from kfwd_nb.errors import ConfigError, UsageError
from kfwd_nb.protocol.dissect import UNREADABLE, Frame
from kfwd_nb.protocol.dissect.http2 import Http2Dissector
from kfwd_nb.protocol.hops import PING_MARK

DIALECTS = pytest.mark.parametrize("dialect", ["connect", "websocket", "spdy"])


@pytest.fixture(autouse=True)
def patient(monkeypatch):
    """The end of a `with` block waits for the last frames as long as it takes."""
    monkeypatch.setattr(trace_module, "SETTLE", 60.0)


def one(number: int) -> Frame:
    return Frame("SPDY", "PING", 4, fields=(("id", str(number)),))


def exchange(port: int, data: bytes) -> bytes:
    with connect(port) as sock:
        sock.sendall(data)
        sock.shutdown(socket.SHUT_WR)
        return read_all(sock)


def payload(trace: Trace, direction: str) -> int:
    """Octets of DATA, of all wires."""
    return sum(each.length for each in trace if each.type == "DATA" and each.direction == direction)


# -- the record itself -----------------------------------------------------------------------------


@pytest.mark.pure
def test_the_latest_frames_are_kept_and_the_others_counted():
    trace = Trace("web", 3)
    assert (len(trace), trace.dropped, list(trace)) == (0, 0, [])
    for number in range(5):
        trace.record(1, "out", [one(number)])
    assert (len(trace), trace.dropped) == (3, 2)
    assert [each.details for each in trace] == ["id: 2", "id: 3", "id: 4"]
    assert trace[-1].details == "id: 4"
    assert [each.details for each in trace[:2]] == ["id: 2", "id: 3"]
    trace.record(1, "in", [one(number) for number in range(10)])
    assert (len(trace), trace.dropped) == (3, 12)
    assert repr(trace) == "<Trace of web: 3 frames (recording)>"


@pytest.mark.pure
def test_a_stopped_trace_records_no_more_and_says_so_once():
    told = []
    trace = Trace("web", detach=told.append)
    with trace:
        trace.record(1, "out", [one(1)])
    trace.stop()
    trace.record(1, "out", [one(2)])
    assert told == [trace]
    assert len(trace) == 1
    assert not trace.recording
    assert "stopped" in repr(trace)


@pytest.mark.pure
@pytest.mark.parametrize("limit", [0, -1, MAX_LIMIT + 1])
def test_a_limit_that_cannot_be(limit):
    with pytest.raises(UsageError, match=f"1 to {MAX_LIMIT} frames"):
        Trace("web", limit)


@pytest.mark.pure
def test_the_pings_of_a_survey_are_left_out_and_those_of_keep_alive_stay():
    trace = Trace("web")
    dissectors = {"out": Http2Dissector(client=False), "in": Http2Dissector(client=False)}
    for payload in (PING_MARK + b"1234", b"abcdefgh"):
        for direction, flags in (("out", 0), ("in", http2.ACK)):
            frames = dissectors[direction].feed(http2.frame(http2.PING, flags, 0, payload))
            trace.record(1, direction, frames)
    assert [(each.direction, each.flags, each.details) for each in trace] == [
        ("out", (), f"data: {b'abcdefgh'.hex()}"),
        ("in", ("ACK",), f"data: {b'abcdefgh'.hex()}"),
    ]


@pytest.mark.pure
def test_a_dataframe():
    trace = Trace("web", 2)
    trace.record(1, "out", [Frame("HTTP/2", "DATA", 7, 5, ("END_STREAM", "PADDED"))])
    trace.record(2, "in", [one(1)])
    frame = trace.to_frame()
    assert tuple(frame.columns) == COLUMNS
    assert frame["length"].sum() == 11
    assert frame["stream"].tolist()[0] == 5
    assert frame["stream"].isna().tolist() == [False, True]
    assert frame["flags"].tolist() == ["END_STREAM PADDED", ""]
    assert frame.attrs == {"name": "web", "started": trace.started, "dropped": 0}
    assert tuple(Trace("web").to_frame().columns) == COLUMNS


@pytest.mark.pure
def test_without_pandas(monkeypatch):
    monkeypatch.setitem(sys.modules, "pandas", None)
    with pytest.raises(ConfigError, match="not installed") as caught:
        Trace("web").to_frame()
    assert caught.value.hint == "%pip install pandas"


@pytest.mark.pure
def test_a_bug_in_a_dissector_stops_the_reading_and_nothing_else(monkeypatch):
    trace = Trace("web")
    wire = trace.tap("connect")
    wire.received(memoryview(b"\0\0\0\4\1\0\0\0\0"))
    monkeypatch.setattr(trace_module.Dissector, "feed", None)
    monkeypatch.setattr("kfwd_nb.protocol.dissect.reader.FramedDissector.feed", None)
    wire.received(memoryview(b"\0\0\0\4\1\0\0\0\0"))
    monkeypatch.undo()
    wire.received(memoryview(b"\0\0\0\4\1\0\0\0\0"))
    assert len(trace) == 1


# -- on a forward ----------------------------------------------------------------------------------


@pytest.mark.chain
@DIALECTS
def test_octets_of_data_are_those_of_the_connection(relay, kubeconfig, dialect):
    data = b"x" * 300_000
    with forward("web", ":7", dialect=dialect) as fwd:
        with fwd.trace() as trace:
            assert exchange(fwd.local_port, data) == data
        (connection,) = fwd.connections()
        assert connection.closed is not None
        assert (payload(trace, "out"), payload(trace, "in")) == (
            connection.bytes_out,
            connection.bytes_in,
        )
        assert connection.bytes_in == len(data)
        assert not [each for each in trace if each.type == UNREADABLE]
        times = [each.time for each in trace]
        assert times == sorted(times)
        assert times[0] > 0


@pytest.mark.chain
@DIALECTS
def test_the_token_is_in_no_form_of_it(relay, kubeconfig, dialect):
    with forward("web", ":7", dialect=dialect) as fwd:
        with fwd.trace() as trace:
            exchange(fwd.local_port, b"hunter2")
        words = repr(list(trace)) + trace.to_frame().to_csv()
        assert "authorization: (hidden)" in words
        assert TOKEN not in words
        assert "hunter2" not in words


@pytest.mark.chain
@DIALECTS
def test_what_was_open_goes_on_untraced_and_what_comes_after_is_ordinary(
    relay, kubeconfig, dialect
):
    with forward("web", ":7", dialect=dialect) as fwd, connect(fwd.local_port) as before:
        assert echo(before, b"before") == b"before"
        trace = fwd.trace()
        assert trace.before == 1
        with connect(fwd.local_port) as during:
            assert echo(during, b"during") == b"during"
            assert echo(before, b"still") == b"still"
            assert (payload(trace, "out"), payload(trace, "in")) == (6, 6)
            trace.stop()
            count = len(trace)
            assert echo(during, b"after") == b"after"
            assert exchange(fwd.local_port, b"another") == b"another"
        assert len(trace) == count
        assert trace.dropped == 0
        with fwd.trace() as again:
            assert exchange(fwd.local_port, b"x") == b"x"
        assert payload(again, "in") == 1
        assert echo(before, b"and still") == b"and still"


@pytest.mark.chain
def test_a_second_trace_ends_the_first_and_the_end_of_the_forward_the_second(relay, kubeconfig):
    with forward("web", ":7") as fwd:
        first = fwd.trace()
        exchange(fwd.local_port, b"first")
        second = fwd.trace(limit=100)
        exchange(fwd.local_port, b"second!")
        assert (first.recording, second.recording) == (False, True)
        assert payload(second, "out") == 7
        assert second.limit == 100
    assert not second.recording
    with pytest.raises(UsageError, match="is stopped: nothing passes"):
        fwd.trace()


@pytest.mark.chain
def test_a_wire_that_breaks_is_replaced(relay, kubeconfig):
    with forward("web", ":7", dialect="connect") as fwd, fwd.trace() as trace:
        exchange(fwd.local_port, b"one")
        relay.stop()
        relay.start()
        assert exchange(fwd.local_port, b"two") == b"two"
        assert {each.wire for each in trace} == {1, 2}


@pytest.mark.chain
@DIALECTS
def test_nothing_is_left_of_a_trace(relay, kubeconfig, dialect):
    """Connections of its own end with their last stream, or with the forward."""
    with forward("web", ":7", dialect=dialect) as fwd:
        wires: list[trace_module.Wire] = []
        closed = []
        trace = fwd.trace()
        make = trace.tap

        def tap(dialect: str) -> trace_module.Wire:
            wire = make(dialect)
            wire.closed = lambda: closed.append(wire)  # type: ignore[method-assign]
            wires.append(wire)
            return wire

        trace.tap = tap
        with connect(fwd.local_port) as sock:
            assert echo(sock, b"x") == b"x"
            trace.stop()
            assert exchange(fwd.local_port, b"y") == b"y"
            assert echo(sock, b"z") == b"z"
    assert wires
    deadline = time.monotonic() + 10
    while len(closed) < len(wires) and time.monotonic() < deadline:
        time.sleep(0.01)
    assert len(closed) == len(wires)


@pytest.mark.chain
@DIALECTS
def test_many_connections_at_once_share_what_they_would_share(relay, kubeconfig, dialect):
    with forward("web", ":7", dialect=dialect) as fwd, fwd.trace() as trace:
        threads = [
            threading.Thread(target=exchange, args=(fwd.local_port, bytes(n * 1000)))
            for n in range(1, 13)
        ]
        for each in threads:
            each.start()
        for each in threads:
            each.join(30)
    assert payload(trace, "in") == fwd.totals.bytes_in == 78_000
    wires = {each.wire for each in trace}
    assert len(wires) == 1 if dialect == "connect" else len(wires) > 1


PROGRAM = """
import asyncio, sys, threading
from kfwd_nb.client import forward
from kfwd_nb.client.tracing import trace

trace.SETTLE = 60.0

async def echo(port, data):
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(data)
    writer.write_eof()
    answer = await reader.read()
    writer.close()
    return answer

def data(trace, direction):
    return sum(each.length for each in trace if each.type == "DATA" and each.direction == direction)

async def main():
    async with forward("web", ":7", loop="kernel", dialect=sys.argv[1]) as fwd:
        async with fwd.trace() as trace:
            assert await echo(fwd.local_port, b"x" * 1000) == b"x" * 1000
        assert (data(trace, "out"), data(trace, "in")) == (1000, 1000)
        assert fwd.connections()[0].closed
        made = []
        thread = threading.Thread(target=lambda: made.append(fwd.trace()))
        thread.start()
        thread.join()  # the loop stands still meanwhile: nothing waits for it
        assert await echo(fwd.local_port, b"y") == b"y"
        with made[0] as other:
            pass
        assert data(other, "in") == 1

asyncio.run(main())
"""


@pytest.mark.chain
@DIALECTS
def test_on_the_callers_own_loop_and_from_another_thread(relay, kubeconfig, dialect):
    done = subprocess.run(
        [sys.executable, "-X", "dev", "-W", "ignore", "-c", PROGRAM, dialect],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert "never" not in done.stderr
