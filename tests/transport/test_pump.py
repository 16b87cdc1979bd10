"""Two streams coupled: bytes, ends and losses of one become those of the other."""

from __future__ import annotations

import asyncio
import random
import socket
import struct

import pytest
from peers.streams import ODD_SIZES, MemoryStream, chunk, fill, memory_pair, record, until

from kfwd_nb.errors import KfwdError, LostError, ResetError
from kfwd_nb.transport.pump import Pump
from kfwd_nb.transport.sockets import accepted_socket

pytestmark = pytest.mark.chain

RESET_ON_CLOSE = struct.pack("ii", 1, 0)


class Books:
    """An observer that adds up."""

    def __init__(self) -> None:
        self.sums = [0, 0]
        self.ends: list[int] = []
        self.finishes: list[tuple[int, KfwdError | None]] = []

    def passed(self, side: int, count: int) -> None:
        assert count > 0
        assert not self.finishes
        self.sums[side] += count

    def ended(self, side: int) -> None:
        self.ends.append(side)

    def finished(self, side: int, error: KfwdError | None) -> None:
        self.finishes.append((side, error))


class Chain:
    """left ⇄ (near, far) ⇄ right, with the pump in the middle."""

    def __init__(self, limit: int = 1 << 16) -> None:
        left, self.near = memory_pair(limit)
        self.far, right = memory_pair(limit)
        self.books = Books()
        self.pump = Pump(self.near, self.far, self.books)
        self.left, self.right = record(left), record(right)


async def test_bytes_pass_both_ways_and_are_counted():
    chain = Chain()
    there, back = random.Random(1).randbytes(700_000), random.Random(2).randbytes(500_001)
    await asyncio.gather(
        chain.left.send(there, ODD_SIZES), chain.right.send(back, reversed(ODD_SIZES))
    )
    await until(lambda: len(chain.right.received) == len(there))
    await until(lambda: len(chain.left.received) == len(back))
    assert (chain.right.received, chain.left.received) == (there, back)
    assert chain.books.sums == [len(there), len(back)]
    assert not chain.pump.done.done()


@pytest.mark.parametrize("first", ["left", "right"])
async def test_half_close_passes_and_the_reply_comes_back(first):
    chain = Chain()
    asker, answerer = (chain.left, chain.right) if first == "left" else (chain.right, chain.left)
    asker.stream.write(*chunk(b"question"))
    asker.stream.write_eof()
    await until(lambda: answerer.at_eof)
    assert chain.books.ends == [0 if first == "left" else 1]
    assert not chain.pump.done.done()
    await answerer.send(b"a long answer" * 50_000)
    answerer.stream.write_eof()
    assert await chain.pump.done is None
    await until(lambda: asker.over and answerer.over)
    assert answerer.received == b"question"
    assert asker.received == b"a long answer" * 50_000
    assert len(chain.books.finishes) == 1


@pytest.mark.parametrize("side", [0, 1])
async def test_an_error_of_one_side_resets_the_other(side):
    chain = Chain()
    broken, other = (chain.left, chain.right) if side == 0 else (chain.right, chain.left)
    broken.stream.close(ResetError("reset"))
    await until(lambda: other.over)
    assert isinstance(other.error, ResetError)
    assert isinstance(await chain.pump.done, ResetError)
    ((first, error),) = chain.books.finishes
    assert (first, type(error)) == (side, ResetError)


async def test_errors_of_both_sides_at_once_finish_it_once():
    chain = Chain()
    chain.left.stream.close(ResetError("reset"))
    chain.right.stream.close(LostError("lost"))
    await chain.pump.done
    await asyncio.sleep(0.01)
    assert len(chain.books.finishes) == 1


async def test_an_error_after_a_half_close_is_an_error():
    chain = Chain()
    chain.left.stream.write_eof()
    await until(lambda: chain.right.at_eof)
    chain.right.stream.close(ResetError("reset"))
    assert isinstance(await chain.pump.done, ResetError)
    await until(lambda: chain.left.over)
    assert isinstance(chain.left.error, ResetError)


async def test_streams_that_were_over_before_the_pump():
    left, near = memory_pair()
    far, right = memory_pair()
    gone, stays = record(left), record(right)
    gone.stream.close(ResetError("gone before"))
    await until(lambda: gone.over)
    pump = Pump(near, far)
    assert isinstance(await pump.done, ResetError)
    await until(lambda: stays.over)
    assert isinstance(stays.error, ResetError)


async def test_closing_one_end_ends_both():
    chain = Chain()
    chain.near.close()
    assert await chain.pump.done is None
    await until(lambda: chain.left.over and chain.right.over)


async def test_a_stalled_reader_stops_the_far_writer_and_memory_is_bounded():
    chain = Chain(limit=10_000)
    chain.right.stream.pause()
    piece = b"x" * 3000
    written = await fill(chain.left.stream, piece, limit=100_000)
    await asyncio.sleep(0)
    right = chain.right.stream
    assert isinstance(right, MemoryStream)
    # Full in the middle means paused: one more piece may come until that is noticed.
    assert right.most_held <= 10_000 + 2 * len(piece)
    assert chain.near.most_held <= 10_000 + 2 * len(piece)
    right.resume()
    await until(lambda: len(chain.right.received) == written)
    await chain.left.send(piece * 10)
    await until(lambda: len(chain.right.received) == written + 10 * len(piece))


async def test_one_direction_stalls_and_the_other_goes_on():
    chain = Chain(limit=10_000)
    chain.right.stream.pause()
    await fill(chain.left.stream, b"x" * 3000, limit=100_000)
    await chain.right.send(b"y" * 200_000)
    await until(lambda: len(chain.left.received) == 200_000)


async def test_a_long_chain_of_pumps():
    """Three hops, as client, relay and node agent are."""
    left, stream = memory_pair(10_000)
    pumps = []
    for _ in range(3):
        near, far = memory_pair(10_000)
        pumps.append(Pump(stream, near))
        stream = far
    one, other = record(left), record(stream)
    data = random.Random(3).randbytes(600_000)
    await one.send(data, ODD_SIZES)
    one.stream.write_eof()
    await until(lambda: other.at_eof)
    assert other.received == data
    await other.send(data[::-1])
    other.stream.write_eof()
    assert await asyncio.gather(*(pump.done for pump in pumps)) == [None] * 3
    assert one.received == data[::-1]


async def test_a_socket_that_was_reset_while_nobody_read_it_harms_nobody_else():
    """Its pump ends its direction before the reset was read: that must be no error of the caller.

    The caller is the tunnel, which would end with all of its other streams.
    """
    with socket.create_server(("127.0.0.1", 0)) as listener:
        local = socket.create_connection(listener.getsockname())
        accepted, _ = listener.accept()
        stream = await accepted_socket(accepted)
        local.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET_ON_CLOSE)
        local.close()
        await asyncio.sleep(0.01)
        stream.write_eof()
        stream.write(*chunk(b"x"))
        recorder = record(stream)
        await until(lambda: recorder.over)
        assert recorder.error is not None
