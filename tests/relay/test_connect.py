"""CONNECT through a relay to a node agent: the way through, and every refusal."""

from __future__ import annotations

import asyncio
from typing import Any

import msgspec
import pytest

from kfwd_nb.errors import (
    ForbiddenError,
    KfwdError,
    LimitError,
    LostError,
    NotFoundError,
    RefusedError,
    ResetError,
    UnauthorizedError,
    UnavailableError,
)
from kfwd_nb.kube.objects import (
    Container,
    ContainerPort,
    ContainerStatus,
    Namespace,
    Node,
    ObjectMeta,
    Pod,
    PodStatus,
    Service,
    ServicePort,
    ServiceSpec,
)
from kfwd_nb.protocol.hops import PATH, question
from kfwd_nb.relay import podsync
from kfwd_nb.relay.controllers.deletion import delete
from kfwd_nb.transport.http import status_response
from kfwd_nb.transport.stream import HEADROOM, ByteStream

pytestmark = pytest.mark.chain


class Reader:
    """Collects what a stream brings."""

    def __init__(self, stream: ByteStream) -> None:
        self.stream = stream
        self.data = bytearray()
        self.eof = asyncio.Event()
        self.over: asyncio.Future[KfwdError | None] = asyncio.get_running_loop().create_future()
        stream.start(self)

    def data_received(self, buffer: memoryview, start: int, end: int) -> None:
        self.data += buffer[start:end]

    def eof_received(self) -> None:
        self.eof.set()

    def writable(self) -> None: ...

    def closed(self, error: KfwdError | None) -> None:
        self.over.set_result(error)

    def send(self, data: bytes) -> None:
        chunk = memoryview(bytearray(HEADROOM) + data)
        self.stream.write(chunk, HEADROOM, len(chunk))


async def test_bytes_pass_both_ways_and_half_close_the_whole_way(bench: Any, echo: int) -> None:
    await bench.agent(p80=echo)
    await bench.pod("web")
    stream = await (await bench.tunnel()).connect("web.default.pod:80")
    assert stream.headers["kfwd-pod"] == "default/web"
    assert stream.headers["kfwd-node"] == "node-1"
    reader = Reader(stream)
    reader.send(b"hello")
    stream.write_eof()
    async with asyncio.timeout(10):
        await reader.eof.wait()
        assert await reader.over is None
    assert bytes(reader.data) == b"hellothe end"


async def test_a_token_may_come_in_either_header(bench: Any, echo: int) -> None:
    await bench.agent(p80=echo)
    await bench.pod("web")
    tunnel = await bench.tunnel(header="proxy-authorization")
    stream = await tunnel.connect("web.default.pod:80")
    assert stream.headers["kfwd-pod"] == "default/web"


@pytest.mark.parametrize("token", ["nonsense", "the-expired-token"])
async def test_an_unknown_or_expired_token_is_refused(bench: Any, token: str) -> None:
    with pytest.raises(UnauthorizedError) as caught:
        await (await bench.tunnel(token)).connect("web.default.pod:80")
    assert "the token is not known to this relay, or has expired" in caught.value.what
    assert caught.value.where == "relay"


async def test_without_any_credentials_nothing_opens(bench: Any) -> None:
    with pytest.raises(UnauthorizedError, match="neither a bearer token nor"):
        await (await bench.tunnel(None)).connect("web.default.pod:80")


async def test_a_rule_opens_one_namespace_and_not_the_others(bench: Any, echo: int) -> None:
    bench.relay.store.create(Namespace(metadata=ObjectMeta(name="shared")))
    await bench.agent(p80=echo)
    await bench.pod("web", "shared")
    await bench.pod("web", "default")
    tunnel = await bench.tunnel("the-visitor-token")
    assert (await tunnel.connect("web.shared.pod:80")).headers["kfwd-pod"] == "shared/web"
    with pytest.raises(ForbiddenError) as caught:
        await tunnel.connect("web.default.pod:80")
    assert caught.value.what == (
        'pods "web" is forbidden: User "visitor" cannot create resource "pods/portforward" '
        'in API group "" in the namespace "default"'
    )


@pytest.mark.parametrize(
    ("wanted", "kind", "words"),
    [
        ("web.nowhere.pod:80", NotFoundError, 'Namespace "nowhere" not found.'),
        ("wbe.default.pod:80", NotFoundError, 'Pod "wbe" not found in namespace "default".'),
        ("web.default.svc:80", NotFoundError, 'Service "web" not found in namespace "default".'),
        ("api.default.svc:81", NotFoundError, "Service api does not have a service port 81."),
        ("web.default.pod:81", RefusedError, "nobody listens on port 81"),
    ],
)
async def test_what_is_not_there_is_refused_in_words(
    bench: Any, wanted: str, kind: type[KfwdError], words: str
) -> None:
    await bench.agent()
    await bench.pod("web", labels={"app": "api"})
    spec = ServiceSpec(selector={"app": "api"}, ports=[ServicePort(port=80)])
    meta = ObjectMeta(name="api", namespace="default")
    bench.relay.store.create(Service(metadata=meta, spec=spec))
    with pytest.raises(kind) as caught:
        await (await bench.tunnel()).connect(wanted)
    assert words in caught.value.what
    assert caught.value.where == ("node agent" if kind is RefusedError else "relay")


async def test_a_service_spreads_its_connections_and_follows_named_ports(
    bench: Any, echo: int
) -> None:
    await bench.agent(p8080=echo)
    port = ContainerPort(container_port=8080, name="http")
    containers = [Container(name="main", command=["true"], ports=[port])]
    for name in ("a", "b", "c"):
        await bench.pod(name, labels={"app": "api"}, containers=containers)
    spec = ServiceSpec(selector={"app": "api"}, ports=[ServicePort(port=80, target_port="http")])
    meta = ObjectMeta(name="api", namespace="default")
    bench.relay.store.create(Service(metadata=meta, spec=spec))
    tunnel = await bench.tunnel()
    answered = [(await tunnel.connect("api.default.svc:80")).headers["kfwd-pod"] for _ in range(6)]
    assert sorted(answered[:3]) == ["default/a", "default/b", "default/c"]
    assert answered[3:] == answered[:3]


async def test_a_pod_that_crashes_again_and_again_says_why(bench: Any, until: Any) -> None:
    agent = await bench.agent()
    pod = await bench.pod("web")
    crashed = ContainerStatus(
        name="main",
        state={"waiting": {"reason": "CrashLoopBackOff"}},
        last_state={"terminated": {"message": "no such file: nosuch", "exitCode": 127}},
    )
    status = PodStatus(phase="Running", container_statuses=[crashed])
    agent.report(msgspec.structs.replace(pod, status=status))
    await until(lambda: not bench.ready("web"))
    with pytest.raises(UnavailableError) as caught:
        await (await bench.tunnel()).connect("web.default.pod:80")
    assert caught.value.what == (
        "unable to forward port because pod is not running. Current status=CrashLoopBackOff "
        '(pod "web": container "main" CrashLoopBackOff: exit code 127, no such file: nosuch).'
    )


async def test_a_lost_agent_resets_its_connections_and_marks_its_pods(
    bench: Any, echo: int, until: Any
) -> None:
    agent = await bench.agent(p80=echo)
    await bench.pod("web")
    tunnel = await bench.tunnel()
    reader = Reader(await tunnel.connect("web.default.pod:80"))
    reader.send(b"x")
    await until(lambda: reader.data == b"x")
    await agent.close()
    async with asyncio.timeout(10):
        assert isinstance(await reader.over, ResetError | LostError)
    store = bench.relay.store
    pod = await until(
        lambda: (p := store.require(Pod, "default", "web")).status.reason == "NodeLost" and p
    )
    assert not pod.ready
    assert not store.require(Node, "", "node-1").ready
    with pytest.raises(UnavailableError, match="NodeLost"):
        await tunnel.connect("web.default.pod:80")
    assert tunnel.alive


async def test_an_agent_that_comes_back_gets_its_pods_again(bench: Any, until: Any) -> None:
    agent = await bench.agent()
    pod = await bench.pod("web")
    await agent.close()
    await until(lambda: not bench.ready("web"))
    again = await bench.agent()
    found = await until(lambda: bench.ready("web"))
    assert again.started == ["default/web"]
    assert found.metadata.uid == pod.metadata.uid
    assert found.status.reason == ""


async def test_a_lost_tunnel_is_dialled_again_without_a_registration(
    bench: Any, until: Any
) -> None:
    agent = await bench.agent()
    await bench.pod("web")
    for connection in list(agent.server.connections):
        connection.close()
    await until(lambda: len(agent.started) == 2)
    await until(lambda: bench.ready("web"))


async def test_a_pod_that_the_relay_does_not_know_is_ended(bench: Any, until: Any) -> None:
    agent = await bench.agent()
    pod = await bench.pod("web")
    stray = msgspec.structs.replace(pod.metadata, name="stray", uid="another")
    agent.report(msgspec.structs.replace(pod, metadata=stray))
    await until(lambda: agent.stopped == ["default/stray"])


async def test_a_deleted_pod_ends_at_its_agent_first(bench: Any, until: Any) -> None:
    agent = await bench.agent()
    await bench.pod("web")
    tunnel = await bench.tunnel()
    reply = await tunnel.request("DELETE", "/api/v1/namespaces/default/pods/web")
    assert reply.status == 200
    assert msgspec.json.decode(reply.body)["metadata"]["deletionTimestamp"]
    await until(lambda: bench.relay.store.get(Pod, "default", "web") is None)
    assert agent.stopped == ["default/web"]


async def test_an_order_that_is_not_carried_out_is_given_again(
    bench: Any, until: Any, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(podsync, "RETRY", 0.01)
    agent = await bench.agent()
    pod = await bench.pod("web")
    agent.failures.append(status_response(UnavailableError("its processes do not end.")))
    delete(bench.relay.store, pod)
    await until(lambda: bench.relay.store.get(Pod, "default", "web") is None)
    assert agent.stopped == ["default/web"]
    assert "pod default/web does not end: its processes do not end." in caplog.text


async def test_a_pod_that_the_agent_refuses_fails_with_its_words(bench: Any, until: Any) -> None:
    agent = await bench.agent()
    agent.refuse = status_response(LimitError("110 pods run here; that is the limit."))
    bench.relay.store.create(
        Pod(metadata=ObjectMeta(name="web", namespace="default")),
    )
    store = bench.relay.store
    pod = await until(
        lambda: (p := store.require(Pod, "default", "web")).status.phase == "Failed" and p
    )
    assert pod.status.message == "110 pods run here; that is the limit."


async def test_a_node_that_cannot_be_dialled_says_so_and_is_dialled_until_it_can(
    bench: Any, echo: int, until: Any
) -> None:
    agent = await bench.agent(p80=echo)
    port = agent.server.port
    await bench.pod("web")
    await agent.close()
    node = await until(
        lambda: (n := bench.relay.store.require(Node, "", "node-1")).ready is False and n
    )
    assert node.status.conditions[0].reason == "AgentLost"
    assert "the node agent cannot be reached" in node.status.conditions[0].message
    with pytest.raises(UnavailableError, match='Node "node-1" is not ready: the node agent'):
        await bench.relay._nodes.link("node-1").connect("web.default.pod:80")
    await agent.listen(port)
    await until(lambda: bench.ready("web"))


async def test_an_agent_under_another_name_is_not_believed(bench: Any, until: Any) -> None:
    from kfwd_nb.kube.objects import DaemonEndpoint, DaemonEndpoints, NodeAddress, NodeStatus

    agent = await bench.agent("node-2")
    endpoint = DaemonEndpoints(kubelet_endpoint=DaemonEndpoint(port=agent.server.port))
    address = NodeAddress(type="InternalIP", address="127.0.0.1")
    bench.relay._nodes.register(
        Node(
            metadata=ObjectMeta(name="node-1"),
            status=NodeStatus(addresses=[address], daemon_endpoints=endpoint),
        )
    )
    node = await until(
        lambda: (
            (n := bench.relay.store.require(Node, "", "node-1")).status.conditions[0].reason
            == "AgentLost"
            and n
        )
    )
    assert "no TLS with" in node.status.conditions[0].message


async def test_a_registration_that_changes_nothing_keeps_the_connections(
    bench: Any, echo: int
) -> None:
    agent = await bench.agent(p80=echo)
    await bench.pod("web")
    reader = Reader(await (await bench.tunnel()).connect("web.default.pod:80"))
    before = bench.relay.store.revision
    await agent.register(bench.port)
    assert bench.relay.store.revision == before
    reader.send(b"still here")
    reader.stream.write_eof()
    async with asyncio.timeout(10):
        await reader.eof.wait()
    assert bytes(reader.data) == b"still herethe end"


async def test_a_deleted_node_is_gone_with_its_pods(bench: Any, until: Any) -> None:
    await bench.agent()
    await bench.pod("web")
    tunnel = await bench.tunnel()
    assert (await tunnel.request("DELETE", "/api/v1/nodes/node-1")).status == 200
    assert bench.relay.store.select(Pod) == []
    with pytest.raises(UnavailableError, match='Node "node-1" is not registered'):
        bench.relay._nodes.link("node-1")


async def test_a_report_that_is_no_pod_ends_the_session_and_the_next_one_works(
    bench: Any, until: Any
) -> None:
    agent = await bench.agent()
    await bench.pod("web")
    agent.say(b"nonsense\n")
    await until(lambda: len(agent.started) == 2)
    await until(lambda: bench.ready("web"))


async def test_only_who_is_known_hears_of_the_hops(bench: Any, echo: int) -> None:
    """And a path that is nearly the same is another one."""
    await bench.agent(p80=echo)
    await bench.pod("web")
    known = await bench.tunnel()
    await known.connect("web.default.pod:80")
    assert (await known.request("GET", question([1]))).status == 200
    assert (await (await bench.tunnel(None)).request("GET", question([1]))).status == 401
    assert (await known.request("DELETE", question([1]))).status in (404, 405)
    assert (await known.request("GET", f"{PATH}X?streams=1")).status == 404
    assert (await known.request("GET", f"{PATH}?streams=x")).status == 400
