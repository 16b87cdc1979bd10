"""The pods of a target, followed over lists, watches and their failures; a fake API server."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any, Self

import msgspec
import pytest
from peers.streams import until

from kfwd_nb.client.dialing import podsource as module
from kfwd_nb.client.dialing.podsource import PodSource
from kfwd_nb.errors import (
    ExpiredError,
    ForbiddenError,
    KfwdError,
    LimitError,
    LostError,
    NotFoundError,
    UnavailableError,
)
from kfwd_nb.kube.api.client import Listed, WatchEvent
from kfwd_nb.kube.objects import (
    Condition,
    ContainerStatus,
    Deployment,
    DeploymentSpec,
    LabelSelector,
    ObjectMeta,
    Pod,
    PodSpec,
    PodStatus,
)
from kfwd_nb.kube.resolve import Inventory
from kfwd_nb.kube.waiting import Waiting
from kfwd_nb.ports import parse_target

pytestmark = pytest.mark.pure

API = Deployment(
    metadata=ObjectMeta(name="api", namespace="default"),
    spec=DeploymentSpec(selector=LabelSelector(match_labels={"app": "api"})),
)


def pod(name: str, uid: str = "", *, phase: Any = "Running", ready: bool = True) -> Pod:
    return Pod(
        metadata=ObjectMeta(
            name=name, namespace="default", uid=uid or f"uid-{name}", labels={"app": "api"}
        ),
        spec=PodSpec(node_name="node-1", containers=[]),
        status=PodStatus(
            phase=phase, conditions=[Condition(type="Ready", status="True" if ready else "False")]
        ),
    )


class Server:
    """Holds pods; each change goes to the watches, which can be broken, or be refused."""

    alive = True

    def __init__(self, *pods: Pod) -> None:
        self.pods = {each.metadata.uid: each for each in pods}
        self.calls: list[str] = []
        self.refusing: dict[str, KfwdError] = {}
        self.watches: list[asyncio.Queue[Any]] = []
        self.selectors: set[tuple[str, str]] = set()

    async def client(self) -> Any:
        self._call("connect")
        return self

    def _call(self, name: str) -> None:
        self.calls.append(name)
        if name in self.refusing:
            raise self.refusing[name]

    async def get(self, kind: type, namespace: str, name: str) -> Any:
        if kind is Deployment:
            return API
        self._call("get")
        for each in self.pods.values():
            if each.metadata.name == name:
                return each
        raise NotFoundError(f'pods "{name}" not found')

    async def list(
        self, kind: type, namespace: str, *, label_selector: str = "", field_selector: str = ""
    ) -> Listed[Any]:
        self._call("list")
        self.selectors.add((label_selector, field_selector))
        name = field_selector.removeprefix("metadata.name=")
        found = [each for each in self.pods.values() if name in ("", each.metadata.name)]
        return Listed(found, str(len(self.calls)))

    async def watch(self, kind: type, namespace: str, **options: Any) -> AsyncIterator[Any]:
        self._call("watch")
        queue: asyncio.Queue[Any] = asyncio.Queue()
        self.watches.append(queue)
        try:
            while (event := await queue.get()) is not None:
                if isinstance(event, Exception):
                    raise event
                yield event
        finally:
            self.watches.remove(queue)

    async def inventory(self, namespace: str, kind: str = "") -> Inventory:
        return Inventory(namespace, list(self.pods.values()), (), [API])

    # -- what happens -----------------------------------------------------------------------------

    def put(self, item: Pod) -> None:
        kind: Any = "MODIFIED" if item.metadata.uid in self.pods else "ADDED"
        self.pods[item.metadata.uid] = item
        self._tell(WatchEvent(kind, item))

    def remove(self, item: Pod) -> None:
        del self.pods[item.metadata.uid]
        self._tell(WatchEvent("DELETED", item))

    def end_watches(self, error: Exception | None = None) -> None:
        self._tell(error)

    def _tell(self, event: Any) -> None:
        for queue in list(self.watches):
            queue.put_nowait(event)


class Bench:
    """A source that is closed at the end of its test."""

    def __init__(self, server: Server, target: str = "deploy/api", *, balance: bool = False):
        self.server = server
        self.told = 0
        self.gone: list[str] = []
        self.waits: list[Waiting] = []
        self.source = PodSource(
            server.client,
            parse_target(target),
            "default",
            balance=balance,
            changed=self.tell,
            gone=lambda pod: self.gone.append(pod.metadata.uid),
            waits=self.waits.append,
        )

    def tell(self) -> None:
        self.told += 1

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        self.source.close()
        await asyncio.sleep(0)

    async def choose(self) -> str:
        found = await asyncio.wait_for(self.source.choose(lambda: None), 20)
        return found.metadata.uid

    async def watching(self) -> None:
        await until(lambda: self.server.watches)


@pytest.fixture(autouse=True)
def short_pauses(monkeypatch):
    monkeypatch.setattr(module, "FIRST_PAUSE", 0.001)
    monkeypatch.setattr(module, "MAX_PAUSE", 0.01)
    monkeypatch.setattr(module, "ASK_AGAIN", 0.001)
    monkeypatch.setattr(module, "TELL_EVERY", 0.01)


# -- the start ------------------------------------------------------------------------------------


async def test_only_what_is_needed_is_asked_for():
    async with Bench(server := Server(pod("api-1"))) as bench:
        assert (await bench.source.start()).metadata.name == "api-1"
        assert server.selectors == {("app=api", "")}
    async with Bench(server := Server(pod("web")), "web") as bench:
        await bench.source.start()
        assert server.selectors == {("", "metadata.name=web")}


async def test_a_start_waits_for_a_pod_that_is_on_its_way():
    async with Bench(server := Server(pod("api-1", phase="Pending", ready=False))) as bench:
        starting = asyncio.create_task(bench.source.start())
        await bench.watching()
        assert not starting.done()
        server.put(pod("api-1"))
        assert (await asyncio.wait_for(starting, 20)).ready


async def test_what_a_start_waits_for_is_told_again_and_again():
    creating = pod("api-1", phase="Pending", ready=False)
    creating.status.container_statuses = [
        ContainerStatus(name="c", state={"waiting": {"reason": "ContainerCreating"}})
    ]
    async with Bench(server := Server()) as bench:
        starting = asyncio.create_task(bench.source.start(60.0))
        await until(lambda: len(bench.waits) > 1)
        server.put(creating)
        await until(lambda: "ContainerCreating" in bench.waits[-1].why)
        first, last = bench.waits[0], bench.waits[-1]
        assert first.why == 'deploy/api has no pods in namespace "default"'
        assert (last.what, last.limit) == ("deploy/api to run", "--pod-running-timeout")
        assert last.until - last.since == 60.0
        assert last.since == first.since
        server.put(pod("api-1"))
        await asyncio.wait_for(starting, 20)
        count = len(bench.waits)
        await asyncio.sleep(0.05)
        assert len(bench.waits) == count


async def test_where_pods_may_not_be_listed_a_start_asks_again():
    starting_pod = pod("web", phase="Pending", ready=False)
    async with Bench(server := Server(starting_pod), "web") as bench:
        server.refusing["list"] = ForbiddenError("no list")
        starting = asyncio.create_task(bench.source.start())
        await until(lambda: server.calls.count("get") > 2)
        server.pods = {"uid-web": pod("web")}
        assert (await asyncio.wait_for(starting, 20)).ready


@pytest.mark.parametrize("patience", [None, 0.0])
async def test_and_for_none_that_there_is_not(patience):
    async with Bench(Server()) as bench:
        with pytest.raises(UnavailableError, match="deploy/api has no pods"):
            await bench.source.start(patience)


async def test_but_for_so_long_as_was_said():
    async with Bench(server := Server()) as bench:
        starting = asyncio.create_task(bench.source.start(60.0))
        await bench.watching()
        server.put(pod("api-1"))
        await asyncio.wait_for(starting, 20)


async def test_a_pod_that_cannot_be_is_not_waited_for():
    without_image = pod("api-1", phase="Pending", ready=False)
    without_image.status.container_statuses = [
        ContainerStatus(name="c", state={"waiting": {"reason": "ImagePullBackOff"}})
    ]
    async with Bench(Server(without_image)) as bench:
        with pytest.raises(UnavailableError, match="ImagePullBackOff"):
            await bench.source.start()


def crashing(name: str) -> Pod:
    """One whose container has ended and will be started again, as a kubelet reports it."""
    made = pod(name, ready=False)
    made.status.container_statuses = [
        ContainerStatus(
            name="c",
            state={"waiting": {"reason": "CrashLoopBackOff", "message": "back-off 10s"}},
            last_state={"terminated": {"reason": "Error", "exitCode": 137}},
        )
    ]
    return made


async def test_a_container_that_is_started_again_by_itself_is_waited_for():
    async with Bench(server := Server(crashing("api-1"))) as bench:
        starting = asyncio.create_task(bench.source.start())
        await until(lambda: bench.waits)
        assert "CrashLoopBackOff: back-off 10s, exit code 137" in bench.waits[-1].why
        assert not starting.done()
        server.put(pod("api-1"))
        assert (await asyncio.wait_for(starting, 20)).ready


async def test_and_named_with_its_last_end_if_it_does_not_come():
    async with Bench(Server(crashing("api-1"))) as bench:
        with pytest.raises(UnavailableError, match=r"status=CrashLoopBackOff .* exit code 137"):
            await bench.source.start(0.0)


async def test_a_pod_that_is_not_there_is_named_with_its_neighbours():
    async with Bench(Server(pod("web")), "wbe") as bench:
        with pytest.raises(NotFoundError, match='Pod "wbe" not found') as caught:
            await bench.source.start()
        assert 'did you mean "web"?' in (caught.value.hint or "")


# -- lists and watches ----------------------------------------------------------------------------


async def test_a_change_moves_the_next_connection():
    one, two = pod("api-1"), pod("api-2")
    async with Bench(server := Server(one)) as bench:
        await bench.source.start()
        await bench.watching()
        server.put(two)
        assert await bench.choose() == "uid-api-1", "it is kept"
        server.remove(one)
        await until(lambda: bench.gone)
        assert bench.gone == ["uid-api-1"]
        assert await bench.choose() == "uid-api-2"


@pytest.mark.parametrize(
    "trouble",
    [
        None,
        LostError("broken"),
        ExpiredError("too old"),
        KfwdError("500"),
        RuntimeError("a bug"),
    ],
)
async def test_a_watch_that_ends_is_begun_again_and_misses_nothing(trouble):
    one, two = pod("api-1"), pod("api-2")
    async with Bench(server := Server(one)) as bench:
        await bench.source.start()
        await bench.watching()
        if trouble is not None:  # while nobody watches, the pod is replaced
            server.pods = {two.metadata.uid: two}
        server.end_watches(trouble)
        await until(lambda: server.calls.count("watch") == 2)
        assert await bench.choose() == ("uid-api-2" if trouble else "uid-api-1")


async def test_a_server_that_is_gone_for_a_while():
    async with Bench(server := Server(pod("api-1"))) as bench:
        await bench.source.start()
        await bench.watching()
        server.refusing["connect"] = UnavailableError("nobody answers")
        server.end_watches(LostError("broken"))
        before = len(server.calls)
        await until(lambda: len(server.calls) > before + 3)
        assert await bench.choose() == "uid-api-1", "as far as is known"
        del server.refusing["connect"]
        server.pods = {"uid-new": pod("new")}
        await until(lambda: bench.gone)
        assert await bench.choose() == "uid-new"


@pytest.mark.parametrize("verb", ["list", "watch"])
async def test_who_may_not_list_or_watch_asks_for_the_one_pod(verb):
    old, new = pod("web", "old"), pod("web", "new")
    server = Server(old)
    server.refusing[verb] = ForbiddenError(f"may not {verb}")
    async with Bench(server, "web") as bench:
        await bench.source.start()
        await until(lambda: bench.source._blind)
        server.pods = {"new": new}
        assert await bench.choose() == "new"
        server.pods = {}
        choosing = asyncio.create_task(bench.choose())
        await until(lambda: bench.source.waiting)
        server.pods = {"old": old}
        assert await choosing == "old"


async def test_who_may_not_list_cannot_follow_a_deployment():
    server = Server(pod("api-1"))
    server.refusing["list"] = ForbiddenError("may not list")
    async with Bench(server) as bench:
        with pytest.raises(ForbiddenError, match="may not list"):
            await bench.source.start()


# -- connections that wait ------------------------------------------------------------------------


async def test_connections_wait_and_are_counted_with_the_reason():
    one = pod("api-1")
    async with Bench(server := Server(one)) as bench:
        await bench.source.start()
        await bench.watching()
        server.remove(one)
        await until(lambda: bench.gone)
        waits: list[int] = []
        choosing = [
            asyncio.create_task(bench.source.choose(lambda: waits.append(1))) for _ in range(3)
        ]
        await until(lambda: bench.source.waiting == 3)
        assert len(waits) == 3
        assert bench.source.why == 'deploy/api has no pods in namespace "default"'
        choosing.pop().cancel()
        await until(lambda: bench.source.waiting == 2)
        server.put(pod("api-2", ready=False))
        await until(lambda: "api-2" in bench.source.why)
        server.put(pod("api-2"))
        for each in choosing:
            assert (await asyncio.wait_for(each, 20)).metadata.name == "api-2"
        assert bench.source.waiting == 0


async def test_a_pod_that_runs_and_never_is_ready_is_taken_in_the_end(monkeypatch):
    monkeypatch.setattr(module, "SETTLE", 0.01)
    one = pod("api-1")
    async with Bench(server := Server(one)) as bench:
        await bench.source.start()
        await bench.watching()
        server.remove(one)
        server.put(pod("api-2", ready=False))
        assert await bench.choose() == "uid-api-2"


async def test_no_more_wait_than_may(monkeypatch):
    monkeypatch.setattr(module, "MAX_WAITING", 2)
    one = pod("api-1")
    async with Bench(server := Server(one)) as bench:
        await bench.source.start()
        await bench.watching()
        server.remove(one)
        await until(lambda: bench.gone)
        choosing = [asyncio.create_task(bench.choose()) for _ in range(2)]
        await until(lambda: bench.source.waiting == 2)
        with pytest.raises(LimitError, match="2 connections wait for a pod"):
            await bench.choose()
        for each in choosing:
            each.cancel()


# -- after a failure ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("now", "again"),
    [
        (None, True),
        (pod("api-1", "another"), True),
        (msgspec.structs.replace(pod("api-1"), status=PodStatus(phase="Failed")), True),
        (pod("api-1"), False),
        (pod("api-1", ready=False), False),
    ],
    ids=["gone", "another of its name", "failed", "healthy", "not ready, and alone"],
)
async def test_whether_another_try_makes_sense(now, again):
    one = pod("api-1")
    async with Bench(server := Server(one)) as bench:
        await bench.source.start()
        server.pods = {} if now is None else {now.metadata.uid: now}
        assert await bench.source.may_retry(one) is again
        assert server.calls.count("get") == 1, "one question"


async def test_a_pod_that_is_not_ready_is_left_if_another_one_is():
    one, two = pod("api-1"), pod("api-2")
    async with Bench(server := Server(one, two)) as bench:
        await bench.source.start()
        assert await bench.choose() == "uid-api-1"
        server.pods["uid-api-1"] = pod("api-1", ready=False)
        assert await bench.source.may_retry(one)
        assert await bench.choose() == "uid-api-2"


async def test_a_successor_may_refuse_while_its_program_starts():
    one, two = pod("api-1"), pod("api-2")
    async with Bench(server := Server(one)) as bench:
        await bench.source.start()
        await bench.watching()
        server.remove(one)
        server.put(two)
        assert await bench.choose() == "uid-api-2"
        assert await bench.source.may_retry(two)


async def test_a_server_that_cannot_be_asked_gives_no_reason_to_try_again():
    async with Bench(server := Server(pod("api-1"))) as bench:
        await bench.source.start()
        server.refusing["get"] = LostError("broken")
        assert not await bench.source.may_retry(pod("api-1"))


async def test_close_leaves_no_task():
    async with Bench(server := Server(pod("api-1"))) as bench:
        await bench.source.start()
        await bench.watching()
    await until(lambda: not server.watches)
    assert [each for each in asyncio.all_tasks() if each is not asyncio.current_task()] == []
