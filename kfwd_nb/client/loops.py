"""Where a forward runs: on a thread of its own (the default), or on the caller's own event loop."""

from __future__ import annotations

import asyncio
import concurrent.futures
import threading
from collections.abc import Coroutine
from typing import Any, Literal, Protocol, TypeVar, get_args

from kfwd_nb.errors import UsageError
from kfwd_nb.transport.loop_thread import loop_thread

LoopName = Literal["thread", "kernel"]

T = TypeVar("T")


class Runner(Protocol):
    """Runs a forward's coroutines on its loop, from wherever the caller is."""

    def run(self, coroutine: Coroutine[Any, Any, T]) -> T:
        """Run and wait, from synchronous code."""

    def begin(self, coroutine: Coroutine[Any, Any, T]) -> concurrent.futures.Future[T]:
        """Run, and wait for nothing; from any thread."""

    async def run_async(self, coroutine: Coroutine[Any, Any, T]) -> T:
        """Run and wait, from a coroutine."""


class ThreadRunner:
    """The process's `LoopThread`: a forward lives on while a cell blocks."""

    def run(self, coroutine: Coroutine[Any, Any, T]) -> T:
        """Run and wait, from any other thread."""
        return loop_thread().run(coroutine)

    def begin(self, coroutine: Coroutine[Any, Any, T]) -> concurrent.futures.Future[T]:
        """Run, and wait for nothing."""
        return asyncio.run_coroutine_threadsafe(coroutine, loop_thread().loop)

    async def run_async(self, coroutine: Coroutine[Any, Any, T]) -> T:
        """Run and wait without blocking the caller's own loop."""
        return await asyncio.wrap_future(self.begin(coroutine))


class KernelRunner:
    """The loop that runs now: for people who only await.

    A cell that blocks stops every byte. `nest_asyncio2` lets synchronous code wait on a loop that
    runs already; it is applied here and nowhere else.
    """

    def __init__(self) -> None:
        try:
            self._loop = asyncio.get_running_loop()
        except RuntimeError:
            raise UsageError(
                'loop="kernel" needs a running event loop.',
                hint='call it from a notebook cell or a coroutine, or use loop="thread".',
            ) from None
        import nest_asyncio2

        nest_asyncio2.apply(self._loop)
        self._thread = threading.get_ident()

    def run(self, coroutine: Coroutine[Any, Any, T]) -> T:
        """Run and wait: re-entering the loop on its own thread, asking it from any other."""
        if threading.get_ident() != self._thread:
            return self.begin(coroutine).result()
        return self._loop.run_until_complete(coroutine)

    def begin(self, coroutine: Coroutine[Any, Any, T]) -> concurrent.futures.Future[T]:
        """Run, and wait for nothing."""
        return asyncio.run_coroutine_threadsafe(coroutine, self._loop)

    async def run_async(self, coroutine: Coroutine[Any, Any, T]) -> T:
        """Run and wait on the same loop."""
        return await coroutine


def runner(name: str) -> Runner:
    """The runner of that name.

    Raises:
        UsageError: there is none.
    """
    if name not in get_args(LoopName):
        raise UsageError(f'loop="{name}" is unknown.', hint='use "thread" or "kernel".')
    return ThreadRunner() if name == "thread" else KernelRunner()
