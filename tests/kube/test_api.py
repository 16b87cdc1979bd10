"""Requests to an API server, by HTTP/2 and by HTTP/1.1, and what is made of its refusals."""

from __future__ import annotations

import asyncio
import dataclasses

import msgspec
import pytest
from peers.apiserver import FakeApiServer
from peers.authority import Authority
from peers.streams import until

from kfwd_nb.errors import (
    ConfigError,
    ExpiredError,
    ForbiddenError,
    KfwdError,
    LimitError,
    LostError,
    NotFoundError,
    RefusedError,
    UnauthorizedError,
    UnavailableError,
)
from kfwd_nb.kube.api import client as api_module
from kfwd_nb.kube.api.client import ApiClient
from kfwd_nb.kube.kubeconfig.access import ClusterAccess
from kfwd_nb.kube.kubeconfig.credentials import Credential, Static
from kfwd_nb.kube.objects import (
    Container,
    ContainerPort,
    DaemonSet,
    Deployment,
    Job,
    LabelSelector,
    LabelSelectorRequirement,
    ObjectMeta,
    Pod,
    PodSpec,
    PodStatus,
    ReplicaSet,
    Service,
    ServicePort,
    ServiceSpec,
    StatefulSet,
    WorkloadSpec,
)
from kfwd_nb.kube.preflight import explained
from kfwd_nb.kube.targets import selection
from kfwd_nb.ports import parse_target
from kfwd_nb.transport import answers
from kfwd_nb.transport.http2 import client as http2_client

pytestmark = pytest.mark.chain


def meta(name: str, **labels: str) -> ObjectMeta:
    return ObjectMeta(name=name, namespace="default", labels=labels)


def pod(name: str, phase: str = "Running", protocol: str = "TCP", **labels: str) -> Pod:
    port = ContainerPort(container_port=80, name="http", protocol=protocol)
    spec = PodSpec(node_name="n", containers=[Container(name="main", ports=[port])])
    return Pod(metadata=meta(name, **labels), spec=spec, status=PodStatus(phase=phase))


@pytest.fixture
def authority(tmp_path):
    return Authority(tmp_path)


@pytest.fixture(params=["h2", "http/1.1"])
async def api(request, authority):
    server = FakeApiServer([pod("web", app="web"), pod("db", app="db")])
    await server.start(authority, http1=request.param == "http/1.1")
    yield server
    await server.close()


@pytest.fixture
async def client(api):
    client = await ApiClient.open(api.access())
    yield client
    client.close()


def names(items: list[Pod]) -> list[str]:
    return [each.metadata.name for each in items]


async def test_get_list_and_version(api, client, request):
    assert (client.tunnel is not None) == (request.node.callspec.params["api"] == "h2")
    assert (await client.version())["minor"] == "36"
    assert (await client.get(Pod, "default", "web")).metadata.labels == {"app": "web"}
    listed = await client.list(Pod, "default", label_selector="app=db")
    assert (names(listed.items), listed.resource_version) == (["db"], "2")
    assert names((await client.list(Pod, field_selector="metadata.name=web")).items) == ["web"]
    with pytest.raises(NotFoundError, match='pods "nobody" not found'):
        await client.get(Pod, "default", "nobody")


async def test_a_list_of_several_pages(api, client):
    api.page = 3
    for number in range(6):
        api.put(pod(f"more-{number}"))
    assert len((await client.list(Pod)).items) == 8


async def test_a_list_that_expires_amid_its_pages_is_begun_anew_once(api, client):
    api.page = 3
    for number in range(6):
        api.put(pod(f"more-{number}"))
    api.expire_pages(1)
    assert len((await client.list(Pod)).items) == 8
    api.expire_pages(2)
    with pytest.raises(ExpiredError):
        await client.list(Pod)


async def test_a_list_that_is_too_large_says_so_with_a_hint(api, client, monkeypatch):
    monkeypatch.setattr(answers, "MAX_BODY", 100)
    with pytest.raises(LimitError, match="exceeds 100 octets") as caught:
        await client.list(Pod)
    assert "name a namespace" in (caught.value.hint or "")
    assert await client.isolation() == "", "what is only shown ends no forward"


async def test_lists_come_in_pages_and_watches_end_by_themselves(api, client):
    await client.list(Pod)
    assert "limit=100" in api.requests[-1].path
    api.end_watches_with({"code": 410})
    with pytest.raises(ExpiredError):
        await anext(client.watch(Pod, resource_version="2"))
    assert "timeoutSeconds=300" in api.requests[-1].path


@pytest.mark.parametrize("words", [KfwdError("no"), LostError("gone"), ForbiddenError("no")])
async def test_an_isolation_that_cannot_be_had_is_none(api, client, monkeypatch, words):
    async def fail(*_: object, **__: object) -> object:
        raise words

    monkeypatch.setattr(client, "list", fail)
    assert await client.isolation() == ""


async def test_a_watch_on_which_nothing_comes_is_lost(api, client, monkeypatch):
    monkeypatch.setattr(api_module, "WATCH_SILENCE", 0.05)
    with pytest.raises(LostError, match="nothing came"):
        await anext(client.watch(Pod, resource_version="2"))


async def test_a_watch_goes_on_from_a_list_and_its_history_ends(api, client):
    listed = await client.list(Pod, "default")
    events = client.watch(
        Pod, "default", label_selector="app=web", resource_version=listed.resource_version
    )
    api.put(pod("other", app="other"))
    api.put(pod("web-2", app="web"))
    api.remove("Pod", "default", "web")
    seen = [await anext(events), await anext(events)]
    assert [(e.type, e.object.metadata.name) for e in seen] == [
        ("ADDED", "web-2"),
        ("DELETED", "web"),
    ]
    api.end_watches_with({"code": 410, "message": "too old resource version"})
    with pytest.raises(ExpiredError, match="too old"):
        await anext(events)


@pytest.mark.parametrize(
    ("status", "kind"),
    [
        (401, UnauthorizedError),
        (403, ForbiddenError),
        (404, NotFoundError),
        (410, ExpiredError),
        (500, KfwdError),
        (503, UnavailableError),
    ],
)
async def test_refusals_are_in_the_servers_own_words(api, client, status, kind):
    api.refuse("/pods", status, "its own words")
    with pytest.raises(kind, match="its own words"):
        await client.list(Pod)
    with pytest.raises(kind, match="its own words"):
        await anext(client.watch(Pod))


async def test_a_token_that_is_not_taken_any_more_is_renewed_once(api, tmp_path):
    api.tokens = {"new"}
    file = tmp_path / "token"
    file.write_text("old")

    class Renewing(Static):
        def forget(self, refused: Credential) -> bool:
            file.write_text("new")
            return super().forget(refused)

    client = await ApiClient.open(api.access(Renewing("x", token_file=file)))
    assert (await client.version())["minor"] == "36"
    api.tokens = {"another"}
    with pytest.raises(UnauthorizedError):
        await client.version()
    assert len(api.requests) == 4
    client.close()


async def test_another_certificate_is_another_connection_and_the_former_lives_on(
    api, authority, monkeypatch
):
    monkeypatch.setattr(http2_client, "RETIRED_CHECK", 0.01)
    pairs = [tuple(path.read_bytes() for path in authority.issue(f"client-{n}")) for n in "ab"]

    class Rotating(Static):
        async def current(self, notice: object, waits: object = None) -> Credential:
            return Credential({}, *pairs[0])

    client = await ApiClient.open(api.access(Rotating("x")))
    old = client.tunnel
    events = client.watch(Pod, "default", resource_version="2")
    waiting = asyncio.ensure_future(anext(events))
    await until(lambda: api.requests)
    pairs.reverse()
    await asyncio.gather(*(client.version() for _ in range(5)))
    assert client.alive
    if old is not None:
        assert client.tunnel is not old
        assert not old.closed.done()
        with pytest.raises(LostError):
            await old.request("GET", "/version")
    api.put(pod("new"))
    assert (await waiting).object.metadata.name == "new"
    await events.aclose()
    if old is not None:
        await until(old.closed.done)
    client.close()


async def test_closing_ends_a_former_connection_too(api, authority):
    pairs = [tuple(path.read_bytes() for path in authority.issue(f"client-{n}")) for n in "ab"]

    class Rotating(Static):
        async def current(self, notice: object, waits: object = None) -> Credential:
            return Credential({}, *pairs[0])

    client = await ApiClient.open(api.access(Rotating("x")))
    waiting = asyncio.ensure_future(anext(client.watch(Pod, resource_version="2")))
    await until(lambda: api.requests)
    pairs.reverse()
    await client.version()
    if client.tunnel is None:
        waiting.cancel()
    client.close(LostError("the forward was stopped."))
    await asyncio.gather(waiting, return_exceptions=True)
    await until(lambda: not api._server.connections)


async def test_a_path_below_and_acting_as_somebody_else(api):
    api.prefix = "/k8s/clusters/c-1"
    access = dataclasses.replace(api.access(), as_user="jane", as_groups=("a", "b"))
    client = await ApiClient.open(access)
    await client.list(Pod)
    fields = api.requests[-1].headers
    assert fields["impersonate-user"] == "jane"
    assert [each.strip() for each in fields["impersonate-group"].split(",")] == ["a", "b"]
    client.close()


async def test_nobody_answers(api):
    access = api.access()
    await api.close()
    with pytest.raises(UnavailableError) as caught:
        await (await ApiClient.open(access)).version()
    assert "the test" in (caught.value.hint or "")


async def test_what_one_may_do(api, client):
    api.denied = {("get", "pods/portforward")}
    assert await client.may("get", "pods/portforward", "default") is False
    assert await client.may("create", "pods/portforward", "default") is True
    api.refuse("/selfsubjectaccessreviews", 404, "not here")
    assert await client.may("create", "pods/portforward", "default") is None


EXPRESSIONS = [
    LabelSelectorRequirement(key="app", operator="In", values=["web", "x"]),
    LabelSelectorRequirement(key="old", operator="DoesNotExist"),
]


@pytest.mark.parametrize(
    ("kind", "word"),
    [(ReplicaSet, "rs"), (StatefulSet, "sts"), (DaemonSet, "ds"), (Job, "job")],
)
async def test_workloads_select_pods_and_nothing_else_is_asked(api, client, kind, word):
    selector = LabelSelector(match_expressions=EXPRESSIONS)
    api.put(kind(metadata=meta("w"), spec=WorkloadSpec(selector=selector)))
    found = await selection(client, parse_target(f"{word}/w"), "default")
    assert len(api.requests) == 1
    listed = await client.list(Pod, "default", label_selector=found.labels)
    assert names(listed.items) == ["web"]


async def test_services_that_have_no_pods(api, client):
    api.put(Service(metadata=meta("bare"), spec=ServiceSpec(ports=[ServicePort(port=80)])))
    api.put(Service(metadata=meta("far"), spec=ServiceSpec(type="ExternalName")))
    api.put(Deployment(metadata=meta("empty")))
    for target, words in (
        ("svc/bare", "without a selector"),
        ("svc/far", "ExternalName"),
        ("deploy/empty", "no selector"),
    ):
        with pytest.raises(UnavailableError, match=words):
            await selection(client, parse_target(target), "default")


LOST = KfwdError("it did not work.")
REFUSED = RefusedError("refused.")


@pytest.mark.parametrize(
    ("now", "denied", "error", "port", "kind", "words"),
    [
        (pod("web"), {"get"}, LOST, None, ForbiddenError, "--dialect spdy"),
        (pod("web"), {"get", "create"}, LOST, None, ForbiddenError, "role with the verbs"),
        (pod("web", phase="Pending"), set(), LOST, 80, UnavailableError, "pod is not running"),
        (None, set(), LOST, 80, UnavailableError, "is gone"),
        (pod("web", protocol="UDP"), set(), REFUSED, 80, UnavailableError, "UDP only"),
        (pod("web"), set(), LOST, 80, KfwdError, "it did not work"),
    ],
)
async def test_the_cause_of_a_first_error(api, client, now, denied, error, port, kind, words):
    before = await client.get(Pod, "default", "web")
    api.denied = {(verb, "pods/portforward") for verb in denied}
    if now is None:
        api.remove("Pod", "default", "web")
    else:
        api.put(now)
    found = await explained(error, client, before, port)
    assert type(found) is kind
    assert words in str(found)


async def test_a_port_that_no_container_declares(api, client):
    ready = pod("web")
    found = await explained(REFUSED, client, await client.get(Pod, "default", "web"), 81)
    assert "still be starting" in str(found)
    status = {"phase": "Running", "conditions": [{"type": "Ready", "status": "True"}]}
    ready = msgspec.structs.replace(ready, status=msgspec.convert(status, PodStatus))
    api.put(ready)
    found = await explained(REFUSED, client, ready_uid(ready), 81)
    assert "declared: 80 (http)" in str(found)
    assert "headless" in str(found)


def ready_uid(item: Pod) -> Pod:
    return msgspec.structs.replace(
        item, metadata=msgspec.structs.replace(item.metadata, uid=item.metadata.name)
    )


async def test_certificates_that_are_none(api):
    access = dataclasses.replace(api.access(), ca_data=b"words")
    with pytest.raises(ConfigError, match="cannot be used"):
        await asyncio.wait_for(ApiClient.open(access), 5)


@pytest.mark.parametrize(
    ("key", "name"),
    [
        ("scopes", "scopes"),
        ("Example.org/Reason", "example.org%2freason"),
        ("a%b c", "a%25b%20c"),
        ("!#$&'*+-.^_`|~9", "!#$&'*+-.^_`|~9"),
        ("ü", "%c3%bc"),
    ],
)
async def test_keys_of_extra_attributes_are_escaped(key, name):
    access = ClusterAccess(
        "c", "https://x", "default", "the test", as_user="bob", as_extra=((key, ("v w", "x")),)
    )
    assert (await access.headers())[f"impersonate-extra-{name}"] == "v w\0x"


@pytest.mark.parametrize("value", ["view ü", "a\nb", " a", "a ", "\x7f"])
async def test_values_that_no_field_may_hold(value):
    access = ClusterAccess("c", "https://x", "default", "the test")
    for changes in (
        {"as_user": value},
        {"as_user": "bob", "as_uid": value},
        {"as_user": "bob", "as_groups": ("devs", value)},
        {"as_user": "bob", "as_extra": (("scopes", (value,)),)},
    ):
        with pytest.raises(ConfigError, match="cannot be sent as impersonate-"):
            await dataclasses.replace(access, **changes).headers()
