"""One request over each wire to the embedded cluster, frame by frame."""

from __future__ import annotations

import pytest
from peers.plain import connect, read_all

from kfwd_nb import forward
from kfwd_nb.client.tracing import trace as trace_module
from kfwd_nb.client.tracing.trace import Trace
from kfwd_nb.client.tracing.traced_frame import TracedFrame

pytestmark = pytest.mark.chain


@pytest.fixture(autouse=True)
def patient(monkeypatch):
    """The end of a `with` block waits for the last frames as long as it takes."""
    monkeypatch.setattr(trace_module, "SETTLE", 60.0)


def one_request(cluster, dialect: str) -> tuple[Trace, int, int]:
    """The trace of a GET, and what came in and went out by the connection's own count."""
    with forward("web", ":80", kubeconfig=cluster.kubeconfig, dialect=dialect) as fwd:
        with fwd.trace() as trace:
            with connect(fwd.local_port) as sock:
                sock.sendall(b"GET / HTTP/1.1\r\nHost: pod\r\nConnection: close\r\n\r\n")
                read_all(sock)  # to the end: the pod is done first
        (connection,) = fwd.connections()
        assert connection.closed is not None
        return trace, connection.bytes_in, connection.bytes_out


def of(trace: Trace, layer: str, direction: str) -> list[TracedFrame]:
    """Of the wire that carried it."""
    wire = next(each.wire for each in trace if each.type == "DATA")
    return [
        each
        for each in trace
        if (each.wire, each.layer, each.direction) == (wire, layer, direction)
        and each.type not in ("PING", "WINDOW_UPDATE")  # when they come is not for this test
        and (each.type, each.flags) != ("SETTINGS", ("ACK",))
    ]


def data(frames: list[TracedFrame]) -> int:
    return sum(each.length for each in frames if each.type == "DATA")


def without_repeats(frames: list[TracedFrame]) -> list[str]:
    """Types and flags; how many DATA frames a reply takes is the pod's affair."""
    words = [" ".join((each.type, *each.flags)) for each in frames]
    return [word for word, before in zip(words, ["", *words], strict=False) if word != before]


def test_connect(cluster):
    trace, bytes_in, bytes_out = one_request(cluster, "connect")
    sent, received = of(trace, "HTTP/2", "out"), of(trace, "HTTP/2", "in")
    assert without_repeats(sent) == [
        "PREFACE",
        "SETTINGS",
        "HEADERS END_HEADERS",
        "DATA",
        "DATA END_STREAM",
    ]
    request = next(each for each in sent if each.type == "HEADERS")
    assert request.fields[:2] == ((":method", "CONNECT"), (":authority", "web.default.pod:80"))
    assert ("authorization", "(hidden)") in request.fields
    kinds = without_repeats(received)
    assert kinds[0] == "SETTINGS"
    assert kinds[-3:] == ["HEADERS END_HEADERS", "DATA", "DATA END_STREAM"]
    answer = next(each for each in received if each.type == "HEADERS")
    assert dict(answer.fields)[":status"] == "200"
    assert dict(answer.fields)["kfwd-pod"] == "default/web"
    assert request.stream == answer.stream
    assert request.time < answer.time
    assert (data(received), data(sent)) == (bytes_in, bytes_out)


@pytest.mark.parametrize("dialect", ["spdy", "websocket"])
def test_upgraded(cluster, dialect):
    trace, bytes_in, bytes_out = one_request(cluster, dialect)
    (request,), (answer,) = of(trace, "HTTP/1.1", "out"), of(trace, "HTTP/1.1", "in")
    method = "POST" if dialect == "spdy" else "GET"
    path = "/api/v1/namespaces/default/pods/web/portforward"
    assert dict(request.fields)["request"] == f"{method} {path}"
    assert dict(answer.fields)["status"] == "101"
    sent, received = of(trace, "SPDY", "out"), of(trace, "SPDY", "in")
    assert without_repeats(sent)[:3] == ["SYN_STREAM FIN", "SYN_STREAM", "DATA"]
    assert [each.details for each in sent[:2]] == [
        "streamtype: error, port: 80, requestid: 0",
        "streamtype: data, port: 80, requestid: 0",
    ]
    assert without_repeats(sent)[3:] in (["DATA FIN"], ["RST_STREAM"], ["DATA FIN", "RST_STREAM"])
    assert without_repeats(received) == ["SYN_REPLY", "DATA", "DATA FIN"]
    assert [each.stream for each in received[:2]] == [1, 3]
    assert {each.stream for each in received if each.type == "DATA" and each.length} == {3}
    assert (data(received), data(sent)) == (bytes_in, bytes_out)
    for direction, frames in (("out", sent), ("in", received)):
        messages = of(trace, "WebSocket", direction)
        inside = sum(8 + each.length for each in frames if each.type != "PING")
        inside += sum(
            8 + each.length
            for each in trace
            if (each.type, each.layer, each.direction) == ("PING", "SPDY", direction)
            and each.wire == request.wire
        )
        assert sum(each.length for each in messages) == (inside if dialect == "websocket" else 0)
