"""Entering a pod's network namespace, from a thread that does nothing else.

A socket keeps the namespace that it was made in, so the event loop connects it like any other and
never leaves its own. Every job begins by entering the namespace that it is for: a failure to come
back cannot put the next one into a wrong place.
"""

from __future__ import annotations

import asyncio
import contextlib
import functools
import os
import socket
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    import ctypes

CLONE_NEWNET = 0x40000000

T = TypeVar("T")


class NamespaceThread:
    """The thread. Close it when no namespace will be entered any more."""

    def __init__(self) -> None:
        self._executor = ThreadPoolExecutor(1, thread_name_prefix="netns")
        self._home = self._executor.submit(_settle)
        # 0.2 s, needed when the first pod's namespaces are there: load it while they are made.
        self._executor.submit(__import__, "pyroute2")

    async def sockets(
        self, netns: int, family: socket.AddressFamily, count: int
    ) -> list[socket.socket]:
        """TCP sockets in the network namespace of descriptor `netns`.

        Raises:
            OSError: the namespace cannot be entered, or the system gives no more.
        """
        return await self._inside(netns, lambda: _sockets(family, count))

    async def socket(self, netns: int, family: socket.AddressFamily) -> socket.socket:
        """One of them; see `sockets`."""
        (made,) = await self.sockets(netns, family, 1)
        return made

    async def loopback_up(self, netns: int) -> None:
        """Set `lo` up, with 127.0.0.1 and ::1, as the kernel gives them.

        Raises:
            OSError: netlink refuses.
        """
        await self._inside(netns, _loopback_up)

    def close(self) -> None:
        """End the thread."""
        self._executor.shutdown()
        os.close(self._home.result())

    async def _inside(self, netns: int, job: Callable[[], T]) -> T:
        # A descriptor of our own: the pod may end meanwhile, and its number lead to another pod.
        own = os.dup(netns)
        future = self._executor.submit(self._enter, own, job)
        future.add_done_callback(lambda done: os.close(own) if done.cancelled() else None)
        return await asyncio.wrap_future(future)

    def _enter(self, netns: int, job: Callable[[], T]) -> T:
        try:
            _setns(netns)
            return job()
        finally:
            os.close(netns)
            _setns(self._home.result())


def _settle() -> int:
    """A network namespace that the thread may come back to, as a descriptor.

    Inside a user namespace the machine's own one is not ours to enter: a thread that has left it
    cannot return. There the thread gets an empty one for its home.
    """
    home = os.open("/proc/thread-self/ns/net", os.O_RDONLY)
    try:
        _setns(home)
    except PermissionError:
        os.close(home)
        _libc_call("unshare", CLONE_NEWNET)
        home = os.open("/proc/thread-self/ns/net", os.O_RDONLY)
    return home


def _sockets(family: socket.AddressFamily, count: int) -> list[socket.socket]:
    with contextlib.ExitStack() as undo:
        made = [undo.enter_context(socket.socket(family, socket.SOCK_STREAM)) for _ in range(count)]
        undo.pop_all()
        return made


def _loopback_up() -> None:
    from pyroute2 import IPRoute
    from pyroute2.netlink.exceptions import NetlinkError

    try:
        with IPRoute() as route:
            (index,) = route.link_lookup(ifname="lo")
            route.link("set", index=index, state="up")
    except NetlinkError as error:
        raise OSError(error.code, f"netlink: {error}") from None


def _setns(descriptor: int) -> None:
    _libc_call("setns", descriptor, CLONE_NEWNET)


def _libc_call(name: str, *arguments: int) -> None:
    """A system call about the calling thread; `os` has these two from Python 3.12."""
    import ctypes

    if getattr(_libc(), name)(*arguments) != 0:
        number = ctypes.get_errno()
        raise OSError(number, f"{name}: {os.strerror(number)}")


@functools.cache
def _libc() -> ctypes.CDLL:
    import ctypes

    return ctypes.CDLL(None, use_errno=True)
