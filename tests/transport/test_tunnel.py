"""The client's end: requests, watches and CONNECT streams, side by side on one connection."""

from __future__ import annotations

import asyncio
import gc
import random

import pytest
from peers.leftovers import left_over, left_over_at, of_server
from peers.streams import chunk, fill, record, until

from kfwd_nb import errors
from kfwd_nb.errors import KfwdError, LostError, ResetError
from kfwd_nb.protocol.http2.windows import CONNECTION_WINDOW, STREAM_WINDOW
from kfwd_nb.transport import answers, driver
from kfwd_nb.transport.endpoint import Endpoint
from kfwd_nb.transport.http2 import client as http2_client
from kfwd_nb.transport.http2.client import Tunnel

pytestmark = pytest.mark.chain

TARGET = "web.default.pod:80"


# -- CONNECT --------------------------------------------------------------------------------------


async def test_the_headers_of_both_ends(tunnel, handler):
    stream = await tunnel.connect(TARGET, headers={"x-who": "me"})
    assert stream.headers["kfwd-pod"] == "default/web"
    there = await handler.streams.get()
    assert there.headers[":authority"] == TARGET
    assert there.headers["x-who"] == "me"


@pytest.mark.parametrize(
    "kind",
    [
        "UnauthorizedError",
        "ForbiddenError",
        "NotFoundError",
        "LimitError",
        "RefusedError",
        "UnavailableError",
        "LostError",
    ],
)
async def test_a_refusal_is_the_same_error_here(tunnel, server, kind):
    with pytest.raises(getattr(errors, kind)) as caught:
        await tunnel.connect(f"error.{kind}.pod:1")
    assert type(caught.value) is getattr(errors, kind)
    assert caught.value.what == f"this is {kind}."
    assert caught.value.where == "relay"
    assert tunnel.alive
    await until(lambda: not left_over(tunnel) and not left_over_at(server))


async def test_a_bug_of_the_handler_refuses_and_tells_nothing(tunnel, server):
    with pytest.raises(KfwdError) as caught:
        await tunnel.connect("crash.default.pod:1")
    assert "a bug of the handler" not in caught.value.what
    await until(lambda: not left_over(tunnel) and not left_over_at(server))


async def test_an_error_after_accept_resets_the_stream(tunnel, server):
    stream = record(await tunnel.connect("late.default.pod:1"))
    await until(lambda: stream.over)
    assert stream.error is not None
    await until(lambda: not left_over(tunnel) and not left_over_at(server))


async def test_streams_leave_nothing_behind_however_they_end(tunnel, server, handler):
    for how in ("half-close", "our close", "their reset", "both at once"):
        one = record(await tunnel.connect(TARGET))
        other = record(await handler.streams.get())
        one.stream.write(*chunk(b"x" * 1000))
        if how == "our close":
            one.stream.close()
        elif how == "their reset":
            other.stream.close(ResetError("x"))
        else:
            one.stream.write_eof()
            if how == "half-close":
                await until(lambda other=other: other.at_eof)
            other.stream.write_eof()
        await until(lambda one=one, other=other: one.over and other.over)
    await until(lambda: not left_over(tunnel) and not left_over_at(server))
    assert tunnel._driver.connection.open_streams == 0
    assert of_server(server).driver.connection.open_streams == 0
    assert tunnel.alive


async def test_two_hundred_connects_at_once(tunnel, server, handler):
    streams = await asyncio.gather(*(tunnel.connect(TARGET) for _ in range(200)))
    echoes = [record(handler.streams.get_nowait()) for _ in range(200)]
    ours = [record(stream) for stream in streams]
    for number, each in enumerate(ours):
        each.stream.write(*chunk(f"number {number}".encode()))
        each.stream.write_eof()
    await until(lambda: all(each.at_eof for each in echoes))
    assert sorted(bytes(each.received) for each in echoes) == sorted(
        f"number {n}".encode() for n in range(200)
    )
    for each in echoes:
        each.stream.write(*chunk(each.received[::-1]))
        each.stream.write_eof()
    await until(lambda: all(each.over for each in (*ours, *echoes)))
    assert [bytes(each.received) for each in ours] == [
        f"number {n}".encode()[::-1] for n in range(200)
    ]
    assert not left_over(tunnel)


async def test_twenty_stalled_streams_leave_another_one_alone(tunnel, server, handler):
    """What a stalled reader costs is bounded at each hop, and nobody else pays for it."""
    stalled = []
    for _ in range(20):
        one = record(await tunnel.connect(TARGET))
        stalled.append((one, await handler.streams.get()))  # its reader never starts
    piece = bytes(1 << 16)
    written = [await fill(one.stream, piece) for one, _ in stalled]
    assert max(written) <= STREAM_WINDOW + driver.WRITE_HIGH_WATER + 2 * len(piece)
    full = [STREAM_WINDOW] * len(stalled)
    await until(lambda: [sum(map(len, stream._early)) for _, stream in stalled] == full)
    held_here = [sum(map(len, one.stream._outbound._held)) for one, _ in stalled]
    assert max(held_here) <= driver.WRITE_HIGH_WATER + 2 * len(piece)

    one, other = record(await tunnel.connect(TARGET)), record(await handler.streams.get())
    data = random.Random(1).randbytes(8 << 20)
    await asyncio.gather(one.send(data), other.send(data))
    await until(lambda: len(one.received) == len(other.received) == len(data))
    assert one.received == other.received == data
    assert (await tunnel.request("GET", f"/bytes/{1 << 20}")).status == 200
    assert [sum(map(len, stream._early)) for _, stream in stalled] == full


async def test_stalled_streams_beyond_the_connections_window(tunnel, handler):
    """80 MiB of stalled payload against a connection window of 64."""
    count = CONNECTION_WINDOW // STREAM_WINDOW + 16
    piece = bytes(1 << 18)
    for _ in range(count):
        stream = record(await tunnel.connect(TARGET))
        await handler.streams.get()
        await fill(stream.stream, piece)
    one, other = record(await tunnel.connect(TARGET)), record(await handler.streams.get())
    one.stream.write(*chunk(b"still here"))
    await until(lambda: other.received == b"still here")


async def test_an_elephant_does_not_starve_an_echo(tunnel, handler):
    """While a stream sends all it can, another one's bytes come after few of its own."""
    elephant, there = record(await tunnel.connect(TARGET)), record(await handler.streams.get())
    mouse, echo = record(await tunnel.connect(TARGET)), record(await handler.streams.get())
    running = asyncio.create_task(elephant.send(bytes(64 << 20), (1 << 18,)))
    await until(lambda: len(there.received) > 1 << 20)
    rounds = 0
    while not running.done():
        before = len(there.received)
        mouse.stream.write(*chunk(b"x"))
        await until(lambda rounds=rounds: len(echo.received) > rounds)
        assert len(there.received) - before <= 8 << 20
        rounds += 1
    assert rounds >= 8
    await running


# -- requests -------------------------------------------------------------------------------------


async def test_the_headers_of_the_tunnel_go_with_every_request(server, client_tls, handler):
    tunnel = await Tunnel.open(
        Endpoint("127.0.0.1", server.port, client_tls), headers={"authorization": "Bearer x"}
    )
    await tunnel.request("GET", "/echo", headers={"x-more": "1"})
    await tunnel.connect(TARGET)
    assert [each.headers["authorization"] for each in handler.requests] == ["Bearer x"] * 2
    assert handler.requests[0].headers["x-more"] == "1"
    tunnel.close()


async def test_many_requests_at_once(tunnel):
    replies = await asyncio.gather(
        *(tunnel.request("PUT", "/echo", body=bytes([n]) * 70_000) for n in range(50))
    )
    assert [reply.body for reply in replies] == [bytes([n]) * 70_000 for n in range(50)]


async def test_an_answer_that_does_not_come(tunnel, server, handler, monkeypatch):
    monkeypatch.setattr(http2_client, "REQUEST_TIMEOUT", 0.05)
    with pytest.raises(LostError, match="no answer to GET /never"):
        await tunnel.request("GET", "/never")
    with pytest.raises(LostError, match="no answer to GET /never"):
        await anext(tunnel.lines("/never"))
    await until(lambda: handler.cancelled == 2)
    await until(lambda: not left_over(tunnel) and not left_over_at(server))
    assert tunnel.alive


async def test_an_answer_that_is_too_large_is_given_up(tunnel, server, handler):
    with pytest.raises(errors.LimitError, match="exceeds"):
        await tunnel.request("GET", "/flood/1000")
    await until(lambda: handler.watches_open == 0)
    await until(lambda: not left_over(tunnel) and not left_over_at(server))


async def test_answers_that_nobody_reads_to_the_end_cost_the_connection_nothing(tunnel, handler):
    """Each leaves a window of body unread; together more than the connection's own window."""
    for _ in range(CONNECTION_WINDOW // STREAM_WINDOW + 16):
        lines = tunnel.lines("/flood/1000")
        await anext(lines)
        await lines.aclose()
    await until(lambda: handler.watches_open == 0)
    assert len((await tunnel.request("GET", f"/bytes/{4 << 20}")).body) == 4 << 20


async def test_lines_of_a_watch(tunnel, server, handler):
    for piece in (b"one\ntw", b"o\n", b"\n", b"three\nfour", None):
        handler.lines.put_nowait(piece)
    assert [line async for line in tunnel.lines("/watch")] == [
        b"one",
        b"two",
        b"",
        b"three",
        b"four",
    ]
    await until(lambda: not left_over(tunnel) and not left_over_at(server))


async def test_a_watch_that_is_left_is_ended_there(tunnel, server, handler):
    lines = tunnel.lines("/watch")
    handler.lines.put_nowait(b"one\n")
    assert await anext(lines) == b"one"
    await lines.aclose()
    await until(lambda: handler.watches_open == 0)
    await until(lambda: not left_over(tunnel) and not left_over_at(server))


async def test_a_slow_reader_of_a_watch_stops_its_generator(tunnel, handler):
    lines = tunnel.lines("/flood/1000")
    assert len(await anext(lines)) == 65_535
    made = -1
    while made != handler.pieces_made:
        made = handler.pieces_made
        await asyncio.sleep(0.05)
    assert made * 65_536 <= STREAM_WINDOW + driver.WRITE_HIGH_WATER + 4 * 65_536
    assert len([line async for line in lines]) == 999
    assert handler.watches_open == 0


@pytest.mark.parametrize("error", [LostError("its node went."), RuntimeError("a bug")])
async def test_a_watch_whose_generator_fails_ends_with_an_error(tunnel, server, handler, error):
    handler.lines.put_nowait(b"one\n")
    handler.lines.put_nowait(error)
    lines = tunnel.lines("/watch")
    assert await anext(lines) == b"one"
    with pytest.raises((LostError, ResetError)):
        await anext(lines)
    await until(lambda: not left_over(tunnel) and not left_over_at(server))


async def test_a_watch_that_is_refused(tunnel):
    with pytest.raises(errors.ForbiddenError, match=r"this is ForbiddenError\."):
        await anext(tunnel.lines("/error/ForbiddenError"))


async def test_lines_that_do_not_come(tunnel, handler, server):
    lines = tunnel.lines("/watch", silence=0.2)
    handler.lines.put_nowait(b"one\ntw")
    assert await anext(lines) == b"one"
    with pytest.raises(LostError, match="nothing came from /watch"):
        await anext(lines)
    await until(lambda: handler.watches_open == 0)
    await until(lambda: not left_over(tunnel) and not left_over_at(server))
    assert tunnel.alive


async def test_a_line_without_end_is_given_up(tunnel, handler, monkeypatch):
    monkeypatch.setattr(answers, "MAX_LINE", 1000)
    handler.lines.put_nowait(b"x" * 2000)
    with pytest.raises(errors.LimitError, match="a line of /watch"):
        await anext(tunnel.lines("/watch"))
    await until(lambda: handler.watches_open == 0)


# -- cancellation ---------------------------------------------------------------------------------


async def test_a_cancelled_connect_resets_its_stream(tunnel, server, handler):
    connecting = asyncio.create_task(tunnel.connect("never.default.pod:1"))
    await until(lambda: handler.requests)
    connecting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await connecting
    await until(lambda: handler.cancelled == 1)
    await until(lambda: not left_over(tunnel) and not left_over_at(server))


async def test_a_connect_cancelled_at_any_turn_of_the_loop(tunnel, server, handler):
    """Before it is sent, while it is on its way, and when the answer is there already."""
    for turns in range(40):
        connecting = asyncio.create_task(tunnel.connect(TARGET))
        for _ in range(turns):
            await asyncio.sleep(0)
        connecting.cancel()
        for result in await asyncio.gather(connecting, return_exceptions=True):
            if not isinstance(result, BaseException):
                result.close()
    await until(lambda: not left_over(tunnel))
    while not handler.streams.empty():
        record(handler.streams.get_nowait())
    await until(lambda: not left_over_at(server))
    assert (await tunnel.request("GET", "/echo")).status == 200


async def test_a_request_cancelled_at_any_turn_of_the_loop(tunnel, server):
    for turns in range(40):
        asking = asyncio.create_task(tunnel.request("PUT", "/echo", body=bytes(200_000)))
        for _ in range(turns):
            await asyncio.sleep(0)
        asking.cancel()
        await asyncio.gather(asking, return_exceptions=True)
    await until(lambda: not left_over(tunnel) and not left_over_at(server))
    assert (await tunnel.request("GET", "/echo")).status == 200


async def test_an_open_cancelled_at_any_turn_of_the_loop_leaves_no_socket(server, client_tls):
    for turns in range(25):
        opening = asyncio.create_task(Tunnel.open(Endpoint("127.0.0.1", server.port, client_tls)))
        for _ in range(turns):
            await asyncio.sleep(0)
        opening.cancel()
        for result in await asyncio.gather(opening, return_exceptions=True):
            if isinstance(result, Tunnel):
                result.close(LostError("not wanted."))
    await until(lambda: not server.connections)
    gc.collect()
