"""An event loop on a thread of its own: what runs there goes on while a notebook cell blocks."""

from __future__ import annotations

import asyncio
import os
import threading
from collections.abc import Coroutine
from typing import Any, TypeVar

T = TypeVar("T")


class LoopThread:
    """A daemon thread with an event loop, for the life of the process."""

    def __init__(self) -> None:
        self.loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._run, name="kfwd", daemon=True)
        self._thread.start()

    def _run(self) -> None:
        asyncio.set_event_loop(self.loop)
        self.loop.run_forever()

    def run(self, coroutine: Coroutine[Any, Any, T]) -> T:
        """Run on the loop and wait for the result; an interrupt of the wait cancels it.

        Raises:
            RuntimeError: called on this very thread, which would wait for itself.
        """
        if threading.current_thread() is self._thread:
            coroutine.close()
            raise RuntimeError("await it: this is the thread that would run it")
        future = asyncio.run_coroutine_threadsafe(coroutine, self.loop)
        try:
            return future.result()
        except BaseException:
            future.cancel()
            raise


_instance: LoopThread | None = None
_lock = threading.Lock()


def loop_thread() -> LoopThread:
    """The process's one `LoopThread`, started at first use."""
    global _instance  # noqa: PLW0603 - one for each process is its purpose
    with _lock:
        if _instance is None:
            _instance = LoopThread()
        return _instance


def _forget() -> None:
    """A forked child has no such thread: it starts its own if it ever needs one."""
    global _instance, _lock  # noqa: PLW0603
    _instance = None
    _lock = threading.Lock()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget)
