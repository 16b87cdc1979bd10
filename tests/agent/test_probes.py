from __future__ import annotations

import itertools

import pytest

from kfwd_nb.agent.httpget import get_status
from kfwd_nb.agent.probes import FAST_FIRST, Threshold, intervals, read_listening
from kfwd_nb.errors import KfwdError, LostError
from kfwd_nb.transport.stream import HEADROOM, ByteStream

pytestmark = pytest.mark.pure

TABLE = """\
  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode
   0: 0100007F:0050 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 1 1
   1: 0100007F:1F90 0100007F:C350 01 00000000:00000000 00:00000000 00000000     0        0 2 1
   2: 00000000:0007 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 3 1
"""


def test_listening_ports_are_read_from_the_kernels_table():
    assert read_listening(TABLE) == {80, 7}
    assert read_listening("") == set()


def test_looks_are_fast_at_first_and_never_slower_than_the_period():
    waits = list(itertools.islice(intervals(1.0), 40))
    assert waits[0] == FAST_FIRST
    assert waits == sorted(waits)
    assert waits[-1] == 1.0
    assert sum(wait < 0.1 for wait in waits) >= 5


@pytest.mark.parametrize(
    ("success", "failure", "answers", "states"),
    [
        (1, 1, "+-+", "+-+"),
        (2, 1, "++-++", "-+--+"),
        (1, 3, "+--+---+", "++++++-+"),
        (3, 1, "+-+++", "----+"),
    ],
)
def test_thresholds(success, failure, answers, states):
    threshold = Threshold(success, failure)
    assert "".join("+" if threshold.feed(a == "+") else "-" for a in answers) == states


class Scripted(ByteStream):
    """Answers a request with the given pieces, then ends."""

    def __init__(self, *pieces: bytes | KfwdError | None) -> None:
        self.pieces = pieces
        self.sent = b""

    def start(self, receiver) -> None:
        self.receiver = receiver

    def write(self, buffer, start, end) -> bool:
        self.sent += bytes(buffer[start:end])
        for piece in self.pieces:
            if isinstance(piece, bytes):
                data = memoryview(bytearray(HEADROOM) + piece)
                self.receiver.data_received(data, HEADROOM, len(data))
            elif piece is None:
                self.receiver.eof_received()
            else:
                self.receiver.closed(piece)
        return True

    def write_eof(self) -> None: ...
    def pause(self) -> None: ...
    def resume(self) -> None: ...
    def close(self, error=None) -> None: ...


@pytest.mark.parametrize(
    ("pieces", "status"),
    [
        ([b"HTTP/1.1 200 OK\r\n\r\n"], 200),
        ([b"HTTP/1.1 2", b"04 No Content\r\ncontent-length: 0\r\n", b"\r\n"], 204),
        ([b"HTTP/1.0 503 Busy\r\n\r\nbody", None], 503),
        ([b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 301 Moved\r\n\r\n"], 301),
    ],
)
async def test_http_get(pieces, status):
    stream = Scripted(*pieces)
    assert await get_status(stream, "/healthz?full=1", "localhost:80") == status
    assert stream.sent.startswith(b"GET /healthz?full=1 HTTP/1.1\r\nhost: localhost:80\r\n")


@pytest.mark.parametrize(
    "pieces",
    [[None], [b"HTTP/1.1 20", None], [b"220 smtp ready\r\n\r\n"], [LostError("gone")]],
)
async def test_http_get_of_something_else_is_an_error(pieces):
    with pytest.raises(KfwdError):
        await get_status(Scripted(*pieces), "/", "localhost")


async def test_http_get_of_an_impossible_path_is_an_error():
    with pytest.raises(KfwdError, match="httpGet path"):
        await get_status(Scripted(), "/a b", "localhost")
