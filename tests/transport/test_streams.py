"""What every byte stream does alike: the contract of `transport.stream`, kind by kind."""

from __future__ import annotations

import asyncio
import hashlib
import random

import pytest
from peers.streams import ODD_SIZES, chunk, fill, record, until

from kfwd_nb.errors import LostError, ResetError
from kfwd_nb.protocol.http2.windows import STREAM_WINDOW
from kfwd_nb.transport import driver, sockets

pytestmark = pytest.mark.chain

MEBIBYTE = 1 << 20


def noise(count: int, seed: int = 1) -> bytes:
    return random.Random(seed).randbytes(count)


async def test_echo(pair):
    one, other = record(pair[0]), record(pair[1])
    one.stream.write(*chunk(b"ping"))
    await until(lambda: other.received == b"ping")
    other.stream.write(*chunk(b"pong"))
    await until(lambda: one.received == b"pong")
    assert not one.over
    assert not other.over


async def test_eight_mebibytes_each_way_at_once_in_odd_pieces(pair):
    there, back = noise(8 * MEBIBYTE, 1), noise(8 * MEBIBYTE, 2)
    one, other = record(pair[0]), record(pair[1])
    await asyncio.gather(one.send(there, ODD_SIZES), other.send(back, ODD_SIZES[::-1]))
    await until(lambda: len(other.received) == len(there) and len(one.received) == len(back))
    assert hashlib.sha256(other.received).digest() == hashlib.sha256(there).digest()
    assert hashlib.sha256(one.received).digest() == hashlib.sha256(back).digest()


async def test_the_writer_may_use_its_buffer_again_at_once(pair):
    """All connections of a loop read into one buffer: what was written must not change with it."""
    one, other = record(pair[0]), record(pair[1])
    buffer, start, end = chunk(bytes(1000))
    sent = bytearray()
    for number in range(200):
        buffer[start:end] = bytes((number,)) * 1000
        sent += buffer[start:end]
        one.stream.write(buffer, start, end)
        buffer[:] = b"\xff" * len(buffer)
    await until(lambda: len(other.received) == len(sent))
    assert other.received == sent


async def test_half_close_and_the_reply_that_comes_after_it(pair):
    one, other = record(pair[0]), record(pair[1])
    one.stream.write(*chunk(b"the whole request"))
    one.stream.write_eof()
    await until(lambda: other.at_eof)
    assert other.received == b"the whole request"
    reply = noise(3 * MEBIBYTE)
    await other.send(reply)
    other.stream.write_eof()
    await until(lambda: one.over and other.over)
    assert one.received == reply
    assert one.at_eof
    assert (one.error, other.error) == (None, None)
    assert (one.calls[-1], other.calls[-1]) == ("closed", "closed")


async def test_both_directions_end_at_the_same_time(pair):
    one, other = record(pair[0]), record(pair[1])
    for each in (one, other):
        each.stream.write(*chunk(b"last words"))
        each.stream.write_eof()
    await until(lambda: one.over and other.over)
    assert one.received == other.received == b"last words"
    assert (one.error, other.error) == (None, None)


async def test_an_end_comes_after_everything_that_was_held_back(pair):
    """The reader stalls, the writer ends: nothing is lost, and the end is last."""
    one, other = record(pair[0]), record(pair[1])
    other.stream.pause()
    data = noise(2 * STREAM_WINDOW)
    one.stream.write(*chunk(data))
    one.stream.write_eof()
    await asyncio.sleep(0.01)
    assert not other.at_eof
    other.stream.resume()
    await until(lambda: other.at_eof)
    assert other.received == data


async def test_close_gives_up_both_directions_and_the_peer_notices(pair):
    one, other = record(pair[0]), record(pair[1])
    await one.send(noise(MEBIBYTE))
    one.stream.close()
    await until(lambda: one.over)
    assert one.error is None
    await until(lambda: other.over or other.at_eof)
    other.stream.close()
    await until(lambda: other.over)


async def test_an_error_reaches_the_peer_as_a_loss_or_a_reset(pair, kind):
    one, other = record(pair[0]), record(pair[1])
    one.stream.write(*chunk(b"half of it"))
    await until(lambda: other.received)
    one.stream.close(LostError("something broke."))
    await until(lambda: one.over)
    assert one.error is None, "it is the caller's own error"
    if kind == "unix":  # knows no reset
        await until(lambda: other.at_eof)
        return
    await until(lambda: other.over)
    assert isinstance(other.error, LostError | ResetError)
    assert other.error.what


async def test_close_while_both_sides_write(pair):
    one, other = record(pair[0]), record(pair[1])
    writing = asyncio.gather(one.send(noise(4 * MEBIBYTE)), other.send(noise(4 * MEBIBYTE)))
    await until(lambda: len(one.received) > MEBIBYTE and len(other.received) > MEBIBYTE)
    one.stream.close(ResetError("enough."))
    await until(lambda: one.over)
    there = len(one.received)
    await until(lambda: other.over or other.at_eof)
    other.stream.close()
    await writing
    await until(lambda: other.over)
    assert len(one.received) == there


@pytest.mark.parametrize("stalled", ["paused", "never started"])
async def test_a_stalled_reader_stops_the_writer_in_bounds_and_gets_it_all_later(
    pair, kind, stalled
):
    one = record(pair[0])
    other = record(pair[1]) if stalled == "paused" else None
    if other is not None:
        other.stream.pause()
    piece = noise(1 << 15)
    written = await fill(one.stream, piece)
    if kind.startswith("tunnel"):
        assert written <= STREAM_WINDOW + driver.WRITE_HIGH_WATER + 2 * len(piece)
    if kind == "memory":
        assert written <= pair[0].limit + len(piece)
    if other is None:
        other = record(pair[1])
    else:
        other.stream.resume()
    await until(lambda: len(other.received) == written)
    assert other.received == piece * (written // len(piece))
    await until(one.may_write.is_set)


async def test_a_stalled_reader_still_writes(pair):
    one, other = record(pair[0]), record(pair[1])
    one.stream.pause()
    await fill(other.stream, bytes(1 << 16))
    one.stream.write(*chunk(b"I am well, thank you"))
    await until(lambda: other.received == b"I am well, thank you")


async def test_what_comes_before_the_start_is_kept(pair):
    early = record(pair[0])
    early.stream.write(*chunk(b"early "))
    early.stream.write(*chunk(b"bird"))
    early.stream.write_eof()
    await asyncio.sleep(0.01)
    late = record(pair[1])
    await until(lambda: late.at_eof)
    assert late.received == b"early bird"
    late.stream.write(*chunk(b"worm"))
    late.stream.write_eof()
    await until(lambda: early.over and late.over)
    assert early.received == b"worm"


async def test_an_end_of_both_directions_before_the_start_is_told_in_order(pair):
    early = record(pair[0])
    early.stream.write(*chunk(b"x"))
    early.stream.write_eof()
    pair[1].write_eof()
    await until(lambda: early.at_eof)
    late = record(pair[1])
    await until(lambda: late.over)
    assert [call for call in late.calls if call != "writable"] == ["data", "eof", "closed"]
    assert late.error is None


async def test_a_stream_that_was_lost_before_the_start_says_so_once(pair, kind):
    early = record(pair[0])
    early.stream.close(ResetError("gone."))
    await until(lambda: early.over)
    await asyncio.sleep(0.01)
    late = record(pair[1])
    await until(lambda: late.over or late.at_eof)
    if kind != "unix":
        await until(lambda: late.over)
        assert isinstance(late.error, LostError | ResetError)
    assert "data" not in late.calls


async def test_a_stream_that_we_close_before_the_start_is_told_closed_and_nothing_else(pair):
    early = record(pair[0])
    early.stream.write(*chunk(b"unwanted"))
    early.stream.write_eof()
    await asyncio.sleep(0.01)
    pair[1].close()
    late = record(pair[1])
    await until(lambda: late.over)
    assert late.calls == ["closed"]
    assert late.error is None


async def test_a_receiver_that_closes_in_its_first_call_hears_nothing_more(pair):
    early = record(pair[0])
    for _ in range(3):
        early.stream.write(*chunk(b"x" * 1000))
    early.stream.write_eof()
    await asyncio.sleep(0.01)

    late = record(pair[1])
    hear = late.data_received

    def close_at_once(buffer: memoryview, start: int, end: int) -> None:
        hear(buffer, start, end)
        late.stream.close()

    late.data_received = close_at_once
    await until(lambda: late.over)
    assert late.calls == ["data", "closed"]


async def test_calls_after_the_end_do_nothing(pair):
    one, other = record(pair[0]), record(pair[1])
    one.stream.close()
    for each in (one, other):
        for _ in range(2):  # once between `close` and `closed`, once after
            each.stream.write(*chunk(b"x"))
            each.stream.write_eof()
            each.stream.pause()
            each.stream.resume()
            each.stream.close()
            each.stream.close(LostError("again."))
            await until(lambda each=each: each.over)
    await asyncio.sleep(0.01)
    assert one.calls.count("closed") == other.calls.count("closed") == 1


async def test_writes_after_our_own_end_do_nothing(pair):
    one, other = record(pair[0]), record(pair[1])
    one.stream.write(*chunk(b"all"))
    one.stream.write_eof()
    assert one.stream.write(*chunk(b" and more"))
    one.stream.write_eof()
    await until(lambda: other.at_eof)
    other.stream.write_eof()
    await until(lambda: other.over)
    assert other.received == b"all"


async def test_a_socket_that_stalls_holds_no_more_than_its_high_water(pair, kind):
    if kind not in ("tcp", "unix"):
        return
    one = record(pair[0])
    await fill(one.stream, bytes(1 << 14))
    held = one.stream._transport.get_write_buffer_size()
    assert 0 < held <= sockets.WRITE_HIGH_WATER + (1 << 14)
