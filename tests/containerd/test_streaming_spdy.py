"""Our SPDY client against containerd's streaming server, which real kubelets pass forwards to."""

from __future__ import annotations

import asyncio
import hashlib

import pytest
from containerd.transfers import MIB, UPGRADE, Digest, digest_of_sent, number
from peers.streams import ODD_SIZES, PATIENCE, chunk, record, until

from kfwd_nb.errors import KfwdError, RefusedError, UnavailableError
from kfwd_nb.transport.http1.client import UpgradeError, upgrade

pytestmark = pytest.mark.chain


async def test_an_echo_comes_back_though_nothing_was_waited_for(connection):
    stream = connection.open(7)
    side = record(stream)
    stream.write(*chunk(b"first words"))
    await until(lambda: side.received == b"first words")
    assert await connection.ping() < PATIENCE


async def test_256_mib_come_down_whole(connection):
    stream = connection.open(70)
    side = Digest(stream)
    stream.write(*number(256 * MIB))
    await until(lambda: side.count == 256 * MIB or side.over)
    assert side.digest == digest_of_sent(256 * MIB)


async def test_256_mib_go_up_whole(connection):
    stream = connection.open(80)
    side = record(stream)
    stream.write(*number(256 * MIB))
    sent, piece = hashlib.sha256(), bytes(range(256)) * (1 << 12)
    for _ in range(256):
        await side.send(piece, (1 << 17, 65_537, 1, 300_001))
        sent.update(piece)
    await until(lambda: len(side.received) == 32)
    assert side.received == sent.digest()


async def test_the_pods_end_arrives_after_all_it_sent(connection):
    stream = connection.open(71)
    side = Digest(stream)
    stream.write(*number(8 * MIB))
    await until(lambda: side.at_eof)
    assert side.digest == digest_of_sent(8 * MIB)
    stream.close()
    await until(lambda: side.over)
    assert side.error is None


async def test_a_refused_port_ends_its_own_pair_and_no_other(connection):
    good = record(connection.open(7))
    bad = record(connection.open(9))
    await until(lambda: bad.over)
    assert isinstance(bad.error, RefusedError)
    assert "nobody listens on port 9 of the pod" in bad.error.what
    assert "connection refused" in bad.error.what, "the runtime's own words"
    assert bad.error.where == "pod"
    good.stream.write(*chunk(b"x"))
    await until(lambda: good.received == b"x")
    again = record(connection.open(7))
    again.stream.write(*chunk(b"y"))
    await until(lambda: again.received == b"y")


async def test_a_reset_port_ends_its_own_pair_and_no_other(connection):
    bad = record(connection.open(13))
    bad.stream.write(*chunk(b"!"))
    await until(lambda: bad.at_eof or bad.over)
    assert not bad.received
    bad.stream.close()
    good = record(connection.open(7))
    good.stream.write(*chunk(b"x"))
    await until(lambda: good.received == b"x")


async def test_600_pairs_in_a_row_on_one_connection(connection):
    """A pair that is given up is over for its connection at once; its late frames are swallowed.

    containerd still ends the cancelled pairs' error streams about a second later.
    """
    for turn in range(600):
        stream = connection.open(7)
        side = record(stream)
        word = b"%d" % turn
        stream.write(*chunk(word))
        await until(lambda side=side, word=word: side.received == word)
        stream.close()
        assert connection.pairs == 0
        assert connection.alive
    last = record(connection.open(71))
    last.stream.write(*number(1))
    await until(lambda: last.at_eof)  # later than the ends of those before it
    assert connection.alive


async def test_200_connections_at_once_on_one(connection):
    sides = [record(connection.open(7)) for _ in range(200)]
    for turn, side in enumerate(sides):
        side.stream.write(*chunk(b"%06d" % turn))
    for turn, side in enumerate(sides):
        await until(lambda side=side, turn=turn: side.received == b"%06d" % turn)
    assert connection.pairs == 200


async def test_20_upgraded_connections_at_once(connect, pod):
    made = await asyncio.gather(*(connect(pod) for _ in range(20)))
    sides = [record(each.open(7)) for each in made for _ in range(10)]
    for side in sides:
        await side.send(b"0123456789" * 10_000, ODD_SIZES)
    for side in sides:
        await until(lambda side=side: len(side.received) == 100_000)


async def test_the_sandbox_is_removed_under_way(connect, containerd, fresh_pod):
    connection = await connect(fresh_pod)
    quiet, busy = record(connection.open(7)), Digest(connection.open(70))
    quiet.stream.write(*chunk(b"x"))
    busy.stream.write(*number(1 << 40))
    await until(lambda: quiet.received and busy.count > 4 * MIB)
    await asyncio.to_thread(containerd.remove, fresh_pod)
    for side in (quiet, busy):
        await until(lambda side=side: side.at_eof or side.over)
    late = record(connection.open(7))
    await until(lambda: late.over)
    assert isinstance(late.error, UnavailableError), late.error
    assert "the pod is gone" in late.error.what


async def test_a_url_is_good_for_one_connection(containerd, pod, in_daemons_network):
    endpoint, path = await asyncio.to_thread(containerd.portforward_url, pod)
    (await upgrade(endpoint, path, UPGRADE)).abort()
    with pytest.raises(UpgradeError) as caught:
        await upgrade(endpoint, path, UPGRADE)
    assert caught.value.status == 404
    assert isinstance(caught.value, KfwdError)


# -- what containerd does with a half-close, which no client can mend ------------------------------


async def test_containerd_does_not_pass_our_end_on_and_cuts_what_follows(connection):
    """The pod is never told of the end, so its reply to it does not come; the pair is torn down
    about a second after its first direction ended, and a download after that is cut in silence.
    """
    asking = record(connection.open(7))
    asking.stream.write(*chunk(b"last words"))
    asking.stream.write_eof()
    loading = Digest(connection.open(70))
    loading.stream.write(*number(1 << 40))
    await until(lambda: loading.count > MIB)
    loading.stream.write_eof()
    for side in (asking, loading):
        await until(lambda side=side: side.at_eof or side.over)
    assert asking.received == b"last words", "`bye` would be the reply after the end"
    assert loading.error is None, "and nothing tells that there should be more"
    assert loading.count < 1 << 40
