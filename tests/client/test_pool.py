"""The pool of upgraded connections: what it opens, gives, keeps and closes; no network."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from kfwd_nb.client.dialing import pool as module
from kfwd_nb.client.dialing.pool import MAX_IDLE, MAX_OPENING, Budget, Pool
from kfwd_nb.errors import KfwdError, LimitError, LostError, UnavailableError

pytestmark = pytest.mark.pure


class Connection:
    """As much of a `PortforwardConnection` as a pool sees."""

    def __init__(self) -> None:
        self.closed: asyncio.Future[KfwdError | None] = asyncio.get_running_loop().create_future()
        self.error: KfwdError | None = None
        self.released: Any = None
        self.spoiled = False

    @property
    def alive(self) -> bool:
        return not self.closed.done()

    def close(self, error: KfwdError | None = None) -> None:
        if self.alive:
            self.error = error
            self.closed.set_result(error)


class Server:
    """Opens connections when it is told to, or at once."""

    def __init__(self, *, at_once: bool = True) -> None:
        self.opened: list[Connection] = []
        self.asked: list[asyncio.Future[None]] = []
        self.at_once = at_once
        self.refusing: BaseException | None = None
        self.most = 0

    async def open(self) -> Any:
        permission = asyncio.get_running_loop().create_future()
        self.asked.append(permission)
        self.most = max(self.most, len(self.waiting))
        if self.at_once:
            permission.set_result(None)
        await permission
        if self.refusing is not None:
            raise self.refusing
        self.opened.append(Connection())
        return self.opened[-1]

    @property
    def waiting(self) -> list[asyncio.Future[None]]:
        return [each for each in self.asked if not each.done()]

    @property
    def living(self) -> int:
        return sum(each.alive for each in self.opened)


async def settle() -> None:
    for _ in range(20):
        await asyncio.sleep(0)


async def test_one_is_ready_before_it_is_needed_and_another_when_it_is_taken():
    server, budget = Server(), Budget()
    pool = Pool(server.open, budget)
    await pool.warm()
    await settle()
    before = len(server.opened)
    assert pool.idle == before > 0
    taken = await pool.take()
    assert taken in server.opened[:before], "it was there"
    await settle()
    assert pool.idle >= 1, "and another one is"
    assert budget.used == server.living


async def test_what_comes_back_is_given_again():
    server = Server()
    pool = Pool(server.open, Budget())
    for _ in range(50):
        connection = await pool.take()
        connection.released()
        await settle()
    assert len(server.opened) <= 3
    assert all(each.alive for each in server.opened)


async def test_a_dead_one_is_never_given():
    server, budget = Server(), Budget()
    pool = Pool(server.open, budget)
    await pool.warm()
    await settle()
    for each in server.opened:
        each.closed.set_result(LostError("gone"))
    taken = await pool.take()
    assert taken.alive
    await settle()
    assert budget.used == server.living


async def test_a_spoiled_one_is_never_given_again():
    server, budget = Server(), Budget()
    pool = Pool(server.open, budget)
    taken = await pool.take()
    taken.spoiled = True
    taken.released()
    await settle()
    assert not taken.alive
    assert await pool.take() is not taken
    await settle()
    assert budget.used == server.living


async def test_a_burst_opens_so_many_at_once_and_keeps_few():
    server = Server(at_once=False)
    pool = Pool(server.open, Budget())
    takers = [asyncio.create_task(pool.take()) for _ in range(100)]
    while not all(each.done() for each in takers):
        await settle()
        for each in server.waiting:
            each.set_result(None)
    assert server.most == MAX_OPENING
    taken = [each.result() for each in takers]
    assert len(set(map(id, taken))) == 100, "each has one of its own"
    for each in taken:
        each.released()
    server.at_once = True
    for each in server.waiting:
        each.set_result(None)
    await settle()
    assert pool.idle == server.living == MAX_IDLE


async def test_beyond_the_limit_the_next_waits_for_a_free_one():
    server, budget = Server(), Budget(3)
    pool = Pool(server.open, budget)
    held = [await pool.take() for _ in range(3)]
    late = asyncio.create_task(pool.take())
    await settle()
    assert not late.done()
    assert len(server.opened) == 3
    held[1].released()
    assert await late is held[1]


async def test_and_is_refused_after_a_time(monkeypatch):
    monkeypatch.setattr(module, "LINE_TIMEOUT", 0.01)
    server = Server()
    pool = Pool(server.open, Budget(1))
    held = await pool.take()
    with pytest.raises(LimitError, match="all 1 connections"):
        await pool.take()
    held.released()
    assert await pool.take() is held


async def test_a_pool_that_waits_gets_what_another_pool_of_the_forward_gives_back():
    server, budget = Server(), Budget(2)
    one, other = Pool(server.open, budget), Pool(server.open, budget)
    held = [await one.take() for _ in range(2)]
    late = asyncio.create_task(other.take())
    await settle()
    held[0].close()
    await settle()
    assert late.done()
    assert late.result().alive
    assert budget.used == server.living == 2


async def test_what_idles_in_one_pool_is_not_in_the_way_of_another():
    server, budget = Server(), Budget(2)
    one, other = Pool(server.open, budget), Pool(server.open, budget)
    for each in [await one.take() for _ in range(2)]:
        each.released()
    await settle()
    assert (await asyncio.wait_for(other.take(), 5)).alive
    await settle()
    assert budget.used == server.living <= 2


async def test_a_refusal_reaches_everybody_in_line():
    server, budget = Server(), Budget()
    server.refusing = UnavailableError("nobody answers")
    pool = Pool(server.open, budget)
    takers = [asyncio.create_task(pool.take()) for _ in range(3 * MAX_OPENING)]
    done = await asyncio.wait_for(asyncio.gather(*takers, return_exceptions=True), 5)
    assert {type(each) for each in done} == {UnavailableError}
    await settle()
    assert budget.used == 0
    assert len(server.asked) <= 3 * MAX_OPENING + 2, "and nobody goes on trying for nobody"
    server.refusing = None
    assert (await pool.take()).alive


async def test_an_opener_with_a_bug_leaves_nobody_waiting():
    server = Server()
    server.refusing = RuntimeError("a bug")
    with pytest.raises(LostError, match="a bug"):
        await Pool(server.open, Budget()).take()


async def test_who_gives_up_leaves_what_was_meant_for_them():
    server, budget = Server(at_once=False), Budget(1)
    pool = Pool(server.open, budget)
    impatient = asyncio.create_task(pool.take())
    patient = asyncio.create_task(pool.take())
    await settle()
    impatient.cancel()
    server.waiting[0].set_result(None)
    assert (await asyncio.wait_for(patient, 5)).alive
    assert impatient.cancelled()


async def test_who_gives_up_at_the_moment_of_the_gift_passes_it_on():
    server = Server()
    pool = Pool(server.open, Budget(1))
    held = await pool.take()
    late = asyncio.create_task(pool.take())
    await settle()
    held.released()  # the ticket is filled,
    late.cancel()  # and its owner goes before it wakes
    await settle()
    assert late.cancelled()
    assert await asyncio.wait_for(pool.take(), 5) is held


async def test_retire_ends_what_idles_now_and_the_rest_when_it_is_free():
    server, budget = Server(), Budget()
    pool = Pool(server.open, budget)
    busy = await pool.take()
    await settle()
    assert pool.idle
    pool.retire()
    assert pool.idle == 0
    assert server.living == 1
    assert busy.alive
    busy.released()
    await settle()
    assert server.living == budget.used == 0


async def test_retire_leaves_nobody_in_line():
    server = Server(at_once=False)
    pool = Pool(server.open, Budget(1))
    takers = [asyncio.create_task(pool.take()) for _ in range(3)]
    await settle()
    pool.retire()
    await settle()
    for each in server.waiting:
        each.set_result(None)
    done = await asyncio.wait_for(asyncio.gather(*takers, return_exceptions=True), 5)
    assert all(isinstance(each, LostError) or each.alive for each in done)
    assert any(isinstance(each, LostError) for each in done)


async def test_close_ends_everything_and_every_task():
    server, budget = Server(), Budget()
    pool = Pool(server.open, budget)
    busy = await pool.take()
    await settle()
    server.at_once = False
    takers = [asyncio.create_task(pool.take()) for _ in range(5)]
    await settle()
    pool.close(LostError("the forward was stopped."))
    done = await asyncio.wait_for(asyncio.gather(*takers, return_exceptions=True), 5)
    await settle()
    stopped = [each for each in done if isinstance(each, LostError)]
    assert stopped
    assert busy.error is not None
    assert server.living == budget.used == 0
    assert [each for each in asyncio.all_tasks() if each is not asyncio.current_task()] == []


async def test_a_fresh_one_is_none_of_those_that_idle():
    server = Server()
    pool = Pool(server.open, Budget())
    await pool.warm()
    await settle()
    idle = list(server.opened)
    assert await pool.take(fresh=True) not in idle
    assert not any(each.alive for each in idle), "they are as old as the one that was dead"


async def test_a_server_that_is_slow_is_not_called_a_limit(monkeypatch):
    monkeypatch.setattr(module, "LINE_TIMEOUT", 0.001)
    pool = Pool(Server(at_once=False).open, Budget())
    with pytest.raises(UnavailableError, match="opened no connection"):
        await pool.take()
    pool.close()
    await settle()
