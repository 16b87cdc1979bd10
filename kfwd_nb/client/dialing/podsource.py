"""The pods of a target, kept up to date by a watch: who answers now, and who will next.

Only what is needed is asked of the API server: the target itself by name, the pods by its selector.
Where pods may not be listed, a single pod is asked for at each connection.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable

from kfwd_nb.client.dialing.choice import Choice, hopeless, usable
from kfwd_nb.errors import (
    ExpiredError,
    ForbiddenError,
    KfwdError,
    LimitError,
    NotFoundError,
    ResetError,
    UnavailableError,
)
from kfwd_nb.kube.api.client import ApiClient
from kfwd_nb.kube.objects import Pod, Service
from kfwd_nb.kube.podstate import explain
from kfwd_nb.kube.resolve import by_preference, require_running, resolve
from kfwd_nb.kube.targets import Selection, selection
from kfwd_nb.kube.waiting import TELL_EVERY, Waiting, Waits, unheard
from kfwd_nb.ports import Target

POD_RUNNING_TIMEOUT = 60.0
"""Seconds that a start waits for a pod that is on its way; kubectl's `--pod-running-timeout`."""

HOLD = 30.0
"""Seconds that a connection waits for a pod, before it is refused."""

MAX_WAITING = 1_000
"""Connections that wait for a pod at once."""

SETTLE = 5.0
"""Seconds after which a pod that runs, and is not ready, is taken all the same."""

YOUNG = 5.0
"""Seconds in which a successor that has just become ready may refuse: its program still starts."""

LOOK = 1.0
"""Seconds between two looks at whether who waits is still there."""

FIRST_PAUSE, MAX_PAUSE = 0.1, 5.0
"""Seconds before a watch that broke is begun again, at first and at the most."""

ASK_AGAIN = 1.0
"""Seconds between two questions for a pod, where pods may not be watched."""

log = logging.getLogger(__name__)


class PodSource:
    """Which pods a target means.

    Args:
        api: gives a client that stands.
        target: what a person named.
        namespace: where it is.
        balance: spread connections over ready pods.
        changed: called when the number of connections that wait has changed.
        gone: called with each pod that is there no more.
        came: called with each that was not there at the start, when it is ready for the first time.
        waits: told while a start waits for a pod that runs.

    Attributes:
        service: the target itself, if it is a service.
        waiting: connections that wait for a pod.
        why: one clause on why they wait.
    """

    def __init__(
        self,
        api: Callable[[], Awaitable[ApiClient]],
        target: Target,
        namespace: str,
        *,
        balance: bool,
        changed: Callable[[], None],
        gone: Callable[[Pod], None] = lambda _: None,
        came: Callable[[Pod], None] = lambda _: None,
        waits: Waits = unheard,
    ) -> None:
        self.service: Service | None = None
        self.waiting = 0
        self.why = ""
        self._api = api
        self._target = target
        self._namespace = namespace
        self._choice = Choice(balance=balance)
        self._told = changed
        self._gone = gone
        self._came = came
        self._began = False
        self._waits = waits
        self._selection: Selection | None = None
        self._pods: dict[str, Pod] = {}
        self._ready_since: dict[str, float] = {}
        self._version = ""
        self._blind = False  # pods may not be listed: one is asked for at each connection
        self._news: set[asyncio.Future[None]] = set()
        self._task: asyncio.Task[None] | None = None

    # -- start and end ----------------------------------------------------------------------------

    async def start(self, timeout: float | None = None) -> Pod:  # noqa: ASYNC109 - kubectl's word
        """Find the target and its pods, and wait for one that runs.

        Args:
            timeout: seconds to wait; None waits `POD_RUNNING_TIMEOUT`, but only for a pod that is
                on its way.

        Raises:
            NotFoundError: no such namespace or object; the hint has the nearest names.
            UnavailableError: it has no pods, or none that runs.
            KfwdError: the API server cannot be reached, or refuses.
        """
        api = await self._api()
        try:
            self._selection = await selection(api, self._target, self._namespace)
            self.service = self._selection.service
            await self._list(api)
            if not self._pods and self._target.kind == "pod":
                raise NotFoundError(f'pods "{self._target.name}" not found')
        except NotFoundError as error:
            await self._say_better(api)
            raise error from None
        if not self._blind:
            self._task = asyncio.get_running_loop().create_task(self._follow())
        for pod in self._pods.values():
            self._ready_since[pod.metadata.uid] = 0.0  # no successor: it was there before us
        self._began = True
        return await self._first(timeout)

    def close(self) -> None:
        """Watch no more."""
        if self._task is not None:
            self._task.cancel()

    async def _say_better(self, api: ApiClient) -> None:
        """With all that there is in the namespace, the error has the nearest names.

        Raises:
            NotFoundError: in the words of `kube.resolve`.
        """
        try:
            inventory = await api.inventory(self._namespace, self._target.kind)
        except KfwdError:
            return
        resolve(self._target, 1, inventory)

    async def _first(self, timeout: float | None) -> Pod:  # noqa: ASYNC109
        patient = timeout is not None
        limit = POD_RUNNING_TIMEOUT if timeout is None else timeout
        began, tell = time.time(), time.monotonic() + TELL_EVERY
        end = time.monotonic() + limit
        while True:
            pod = self._choice.next(self._pods.values(), unready=True)
            if pod is not None:
                return pod
            on_the_way = [each for each in self._pods.values() if not hopeless(each)]
            left = end - time.monotonic()
            if left <= 0 or not (on_the_way or patient):
                raise self._none()
            if time.monotonic() >= tell:
                tell = time.monotonic() + TELL_EVERY
                why = self._none().what.rstrip(".")
                what = f"{self._target} to run"
                self._waits(Waiting(what, why, began, began + limit, "--pod-running-timeout"))
            await self._change(min(left, tell - time.monotonic()))
            if self._blind:
                await self._list(await self._api())

    def _none(self) -> KfwdError:
        """Why there is no pod, in kubectl's words."""
        if not self._pods:
            return UnavailableError(
                f'{self._target} has no pods in namespace "{self._namespace}".',
                hint="its selector matches no pod; look at the labels of the pods.",
            )
        best = by_preference(self._pods.values())[0]
        try:
            require_running(best)
        except UnavailableError as error:
            return error
        return UnavailableError(f"{explain(best)}.")

    # -- one connection ---------------------------------------------------------------------------

    async def choose(
        self, waits: Callable[[], None], gone: Callable[[], bool | None] = lambda: None
    ) -> Pod:
        """The pod for a new connection; waits for one, at most `HOLD` seconds.

        Args:
            waits: called if there is none now.
            gone: whether who asked has gone; looked at once in `LOOK` seconds.

        Raises:
            UnavailableError: none came; the text says why.
            ResetError: who asked has gone meanwhile.
            LimitError: `MAX_WAITING` connections wait already.
        """
        if self._blind:
            await self._list(await self._api())
        pod = self._choice.next(self._pods.values(), unready=False)
        if pod is not None:
            return pod
        if self.waiting >= MAX_WAITING:
            raise LimitError(f"{MAX_WAITING} connections wait for a pod; that is the limit.")
        waits()
        self.why = self._none().what.rstrip(".")
        self._count_waiting(1)
        try:
            return await self._wait(gone)
        finally:
            self._count_waiting(-1)

    async def look(self) -> Pod:
        """Some pod of the target, to look at; where there is none, one is waited for.

        Raises:
            KfwdError: see `choose`.
        """
        for pod in by_preference(self._pods.values())[:1]:
            return pod
        return await self.choose(lambda: None)

    async def _wait(self, gone: Callable[[], bool | None]) -> Pod:
        now = time.monotonic()
        settled, end = now + SETTLE, now + HOLD
        while (now := time.monotonic()) < end:
            pod = self._choice.next(self._pods.values(), unready=now >= settled)
            if pod is not None:
                return pod
            if gone():
                raise ResetError("the local program closed while it waited for a pod.")
            self.why = self._none().what.rstrip(".")
            self._told()
            left = min(settled if now < settled else end, end, now + LOOK) - now
            if self._blind:
                await asyncio.sleep(min(ASK_AGAIN, left))
                await self._list(await self._api())
            else:
                await self._change(left)
        error = self._none()
        raise UnavailableError(
            f"no pod came for {HOLD:.0f} s: {error.what}", where="pod", hint=error.hint
        )

    async def may_retry(self, pod: Pod) -> bool:
        """A connection to `pod` has failed: whether that is because the pod is going or coming.

        The API server is asked for that pod now, since a watch may be a moment behind.
        """
        try:
            api = await self._api()
            fresh = await api.get(Pod, pod.metadata.namespace, pod.metadata.name)
        except NotFoundError:
            self._forget(pod.metadata.uid)
            return True
        except KfwdError:
            return False
        if fresh.metadata.uid != pod.metadata.uid:
            self._forget(pod.metadata.uid)
            self._keep(fresh)
            return True
        self._keep(fresh)
        since = self._ready_since.get(pod.metadata.uid, 0.0)
        if not usable(fresh) or time.monotonic() - since < YOUNG:
            return True
        return not fresh.ready and any(each.ready and usable(each) for each in self._pods.values())

    def _count_waiting(self, change: int) -> None:
        self.waiting += change
        self._told()

    # -- list and watch ---------------------------------------------------------------------------

    async def _list(self, api: ApiClient) -> None:
        assert self._selection is not None
        chosen = self._selection
        if not self._blind:
            try:
                listed = await api.list(
                    Pod, self._namespace, label_selector=chosen.labels, field_selector=chosen.fields
                )
            except ForbiddenError:
                if self._target.kind != "pod":
                    raise
                self._blind = True
            else:
                self._version = listed.resource_version
                self._replace(listed.items)
                return
        try:
            self._replace([await api.get(Pod, self._namespace, self._target.name)])
        except NotFoundError:
            self._replace([])

    async def _follow(self) -> None:
        """Follow the changes; whatever breaks, begin again."""
        pause = FIRST_PAUSE
        while True:
            began = time.monotonic()
            try:
                api = await self._api()
                if not self._version:
                    await self._list(api)
                await self._watch(api)
            except ExpiredError:
                self._version = ""
            except ForbiddenError:
                self._blind = self._target.kind == "pod"
                self._version = ""
                if self._blind:
                    return
            except KfwdError as error:
                log.info("the watch of pods broke: %s", error.what)
                self._version = ""
            except Exception:
                log.exception("the watch of pods")
                self._version = ""
            pause = FIRST_PAUSE if time.monotonic() - began > MAX_PAUSE else pause
            await asyncio.sleep(pause)
            pause = min(2 * pause, MAX_PAUSE)

    async def _watch(self, api: ApiClient) -> None:
        assert self._selection is not None
        chosen = self._selection
        async for event in api.watch(
            Pod,
            self._namespace,
            label_selector=chosen.labels,
            field_selector=chosen.fields,
            resource_version=self._version,
        ):
            self._version = event.object.metadata.resource_version or self._version
            if event.type == "DELETED":
                self._forget(event.object.metadata.uid)
            elif event.type != "BOOKMARK":
                self._keep(event.object)

    def _replace(self, pods: list[Pod]) -> None:
        """What a list gave is all that there is."""
        for uid in self._pods.keys() - {pod.metadata.uid for pod in pods}:
            self._forget(uid)
        for pod in pods:
            self._keep(pod)

    def _keep(self, pod: Pod) -> None:
        uid = pod.metadata.uid
        self._pods[uid] = pod
        if pod.ready and uid not in self._ready_since:
            self._ready_since[uid] = time.monotonic()
            if self._began:
                self._came(pod)
        self._wake()

    def _forget(self, uid: str) -> None:
        pod = self._pods.pop(uid, None)
        self._ready_since.pop(uid, None)
        if pod is not None:
            self._gone(pod)
        self._wake()

    def _wake(self) -> None:
        for waiter in self._news:
            if not waiter.done():
                waiter.set_result(None)
        self._news.clear()

    async def _change(self, timeout: float) -> None:  # noqa: ASYNC109
        """Wait until something is new, at most so many seconds."""
        waiter = asyncio.get_running_loop().create_future()
        self._news.add(waiter)
        try:
            await asyncio.wait((waiter,), timeout=timeout)
        finally:
            self._news.discard(waiter)
