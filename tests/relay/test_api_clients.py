"""What kubectl, client-go and informers rely on, beyond reading and writing objects."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import msgspec
import pytest

from kfwd_nb.kube.objects import Deployment, Node, Pod
from kfwd_nb.relay.api import reading
from kfwd_nb.relay.config import RelayConfig, Rule, Token
from kfwd_nb.relay.store import with_metadata
from kfwd_nb.transport.endpoint import Endpoint
from kfwd_nb.transport.http import Response
from kfwd_nb.transport.http2.client import Tunnel
from kfwd_nb.transport.tls import client_context

pytestmark = pytest.mark.chain

PODS = "/api/v1/namespaces/default/pods"
DEPLOYMENTS = "/apis/apps/v1/namespaces/default/deployments"
TABLE = {"accept": "application/json;as=Table;v=v1;g=meta.k8s.io,application/json"}
MERGE = {"content-type": "application/merge-patch+json"}
STRATEGIC = {"content-type": "application/strategic-merge-patch+json"}
REVIEWS = "/apis/authorization.k8s.io/v1"


@pytest.fixture
def config(config: RelayConfig) -> RelayConfig:
    """The visitor may act as bob of the group devs, who may list pods."""
    impersonate = Rule(verbs=("impersonate",), resources=("users", "groups"), users=("visitor",))
    reads = Rule(verbs=("list",), resources=("pods",), groups=("devs",))
    narrow = Rule(verbs=("*",), resources=("*",), users=("narrow",), namespaces=("narrow",))
    return msgspec.structs.replace(
        config,
        rules=(*config.rules, impersonate, reads, narrow),
        tokens=(*config.tokens, Token("narrow-token", "narrow")),
    )


def pod(name: str = "web", **labels: str) -> dict[str, Any]:
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": name, "labels": labels},
        "spec": {"containers": [{"name": "main", "command": ["true"]}]},
    }


def deployment(name: str = "api") -> dict[str, Any]:
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": name},
        "spec": {
            "replicas": 2,
            "selector": {"matchLabels": {"app": name}},
            "template": {"metadata": {"labels": {"app": name}}, "spec": pod()["spec"]},
        },
    }


class Asker:
    """Asks, and reads the JSON of the answers."""

    def __init__(self, tunnel: Any) -> None:
        self.tunnel = tunnel

    async def __call__(
        self, method: str, path: str, body: Any = None, headers: Any = None
    ) -> tuple[int, Any]:
        data = b"" if body is None else json.dumps(body).encode()
        reply = await self.tunnel.request(method, path, body=data, headers=headers or {})
        return reply.status, json.loads(reply.body)


@pytest.fixture
async def ask(bench: Any) -> Asker:
    return Asker(await bench.tunnel())


async def events(tunnel: Any, path: str, count: int) -> list[Any]:
    """The first events of a watch."""
    lines, found = tunnel.lines(path), []
    async with asyncio.timeout(10):
        async for line in lines:
            found.append(json.loads(line))
            if len(found) == count:
                break
    await lines.aclose()
    return found


# -- reading --------------------------------------------------------------------------------------


async def test_tables(bench: Any, ask: Asker) -> None:
    await ask("POST", PODS, pod("one"))
    for path in (PODS, f"{PODS}/one"):
        _, table = await ask("GET", path, headers=TABLE)
        assert table["kind"] == "Table"
        assert table["rows"][0]["cells"][:3] == ["one", "0/1", "Pending"]


async def test_a_watched_table_has_its_columns_once(bench: Any) -> None:
    plain = Asker(await bench.tunnel())
    for name in ("one", "two"):
        await plain("POST", PODS, pod(name))
    tunnel = await bench.tunnel()
    tunnel._headers = {**tunnel._headers, **TABLE}
    found = await events(tunnel, f"{PODS}?watch=1", 2)
    assert [event["object"]["kind"] for event in found] == ["Table", "Table"]
    assert found[0]["object"]["columnDefinitions"]
    assert found[1]["object"]["columnDefinitions"] is None


async def test_a_watch_tells_who_comes_to_be_selected_and_who_no_longer_is(
    bench: Any, ask: Asker
) -> None:
    await ask("POST", PODS, pod("web", app="x"))
    _, listed = await ask("GET", PODS)
    after = listed["metadata"]["resourceVersion"]
    for labels in ({"app": "y"}, {"app": "x", "more": "1"}, {"app": "x"}):
        patch = {"metadata": {"labels": {"more": None, **labels}}}
        status, _ = await ask("PATCH", f"{PODS}/web", patch, MERGE)
        assert status == 200
    query = f"{PODS}?watch=1&labelSelector=app%3Dx&resourceVersion={after}"
    found = await events(await bench.tunnel(), query, 3)
    assert [event["type"] for event in found] == ["DELETED", "ADDED", "MODIFIED"]


async def test_bookmarks_come_when_nothing_else_does(
    bench: Any, ask: Asker, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reading, "BOOKMARK_SECONDS", 0.01)
    await ask("POST", PODS, pod())
    query = f"{PODS}?watch=1&allowWatchBookmarks=true&resourceVersion={bench.relay.store.revision}"
    (mark,) = await events(await bench.tunnel(), query, 1)
    assert mark["type"] == "BOOKMARK"
    assert mark["object"]["kind"] == "Pod"
    assert mark["object"]["metadata"]["resourceVersion"] == str(bench.relay.store.revision)


@pytest.mark.parametrize(
    ("query", "code"),
    [
        ("resourceVersion=0", 200),
        ("limit=1", 200),
        ("resourceVersion=1&resourceVersionMatch=NotOlderThan", 200),
        ("resourceVersion=1&resourceVersionMatch=Exact", 410),
        ("resourceVersion=999", 410),
        ("resourceVersion=x", 400),
    ],
)
async def test_versions_of_lists(ask: Asker, query: str, code: int) -> None:
    for name in ("one", "two"):
        await ask("POST", PODS, pod(name))
    status, answer = await ask("GET", f"{PODS}?{query}")
    assert status == code
    if code == 200:
        assert len(answer["items"]) == 2
        assert "continue" not in answer["metadata"]


async def test_who_prefers_protobuf_gets_json(ask: Asker) -> None:
    accept = {"accept": "application/vnd.kubernetes.protobuf,application/json"}
    assert (await ask("GET", PODS, headers=accept))[1]["kind"] == "PodList"


# -- writing --------------------------------------------------------------------------------------


async def test_a_dry_run_changes_nothing(bench: Any, ask: Asker) -> None:
    dry = "dryRun=All"
    assert (await ask("POST", f"{PODS}?{dry}", pod()))[0] == 201
    assert (await ask("GET", f"{PODS}/web"))[0] == 404
    await ask("POST", PODS, pod())
    revision = bench.relay.store.revision
    status, answer = await ask("POST", f"{PODS}?{dry}", pod())
    assert (status, answer["reason"]) == (409, "AlreadyExists")
    node = {
        "metadata": {"name": "n"},
        "status": {
            "addresses": [{"type": "InternalIP", "address": "127.0.0.1"}],
            "daemonEndpoints": {"kubeletEndpoint": {"Port": 1}},
        },
    }
    assert (await ask("PUT", f"/api/v1/nodes/n?{dry}", node))[0] == 200
    assert (await ask("PUT", f"/api/v1/nodes/n?{dry}", {"metadata": {"name": "n"}}))[0] == 422
    patch = {"metadata": {"labels": {"a": "b"}}}
    status, shown = await ask("PATCH", f"{PODS}/web?{dry}", patch, MERGE)
    assert (status, shown["metadata"]["labels"]) == (200, {"a": "b"})
    assert (await ask("DELETE", f"{PODS}/web?{dry}"))[0] == 200
    assert (await ask("DELETE", f"{PODS}/web", {"dryRun": ["All"]}))[0] == 200
    assert bench.relay.store.revision == revision


async def test_patches_keep_what_only_the_cluster_writes(bench: Any, ask: Asker) -> None:
    _, made = await ask("POST", DEPLOYMENTS, deployment())
    patch: dict[str, Any] = {
        "metadata": {"uid": "mine", "creationTimestamp": None, "annotations": {"a": "b"}},
        "spec": {"template": {"spec": {"containers": [{"name": "main", "image": "new"}]}}},
        "status": {"replicas": 99},
    }
    status, changed = await ask("PATCH", f"{DEPLOYMENTS}/api", patch, STRATEGIC)
    assert status == 200
    assert changed["metadata"]["uid"] == made["metadata"]["uid"]
    assert changed["metadata"]["creationTimestamp"] == made["metadata"]["creationTimestamp"]
    assert changed["metadata"]["annotations"] == {"a": "b"}
    assert changed["status"]["replicas"] != 99
    (container,) = changed["spec"]["template"]["spec"]["containers"]
    assert (container["image"], container["command"]) == ("new", ["true"])


async def test_a_change_to_what_was_changed_meanwhile_is_a_conflict(ask: Asker) -> None:
    _, made = await ask("POST", PODS, pod())
    await ask("PATCH", f"{PODS}/web", {"metadata": {"labels": {"a": "b"}}}, MERGE)
    old = {"metadata": {"resourceVersion": made["metadata"]["resourceVersion"]}}
    status, answer = await ask("PATCH", f"{PODS}/web", old, MERGE)
    assert (status, answer["reason"]) == (409, "Conflict")
    status, answer = await ask(
        "PUT", f"{PODS}/web", pod() | {"metadata": {"name": "web", **old["metadata"]}}
    )
    assert (status, answer["reason"]) == (409, "Conflict")


@pytest.mark.parametrize(
    ("method", "body", "code", "words"),
    [
        ("PATCH", {"spec": {"restartPolicy": "Never"}}, 422, "may not change the spec"),
        ("PATCH", {"metadata": {"labels": {"a": "!"}}}, 422, "metadata.labels"),
        ("PATCH", {"spec": {"volumes": [{"name": "x"}]}}, 400, "not supported here"),
        ("PATCH", {"spec": {"frobs": 1}}, 400, "unknown field"),
        ("PATCH", {"kind": "Service"}, 400, "the path is for v1 Pod"),
        ("PATCH", [], 400, "not a JSON object"),
    ],
)
async def test_changes_that_are_refused(
    ask: Asker, method: str, body: Any, code: int, words: str
) -> None:
    await ask("POST", PODS, pod())
    status, answer = await ask(method, f"{PODS}/web", body, MERGE)
    assert status == code
    assert words in answer["message"]
    if code == 422:
        assert answer["details"]["kind"] == "Pod"
        assert answer["details"]["causes"][0]["field"]


async def test_scale(bench: Any, ask: Asker) -> None:
    await ask("POST", DEPLOYMENTS, deployment())
    path = f"{DEPLOYMENTS}/api/scale"
    _, scale = await ask("GET", path)
    assert (scale["kind"], scale["spec"]["replicas"]) == ("Scale", 2)
    assert scale["status"]["selector"] == "app=api"
    assert (await ask("PATCH", path, {"spec": {"replicas": 5}}, MERGE))[0] == 200
    assert (await ask("PUT", path, scale | {"spec": {"replicas": 1}}))[0] == 409
    scale["metadata"].pop("resourceVersion")
    assert (await ask("PUT", path, scale | {"spec": {"replicas": 1}}))[0] == 200
    assert bench.relay.store.require(Deployment, "default", "api").spec.replicas == 1
    assert (await ask("PATCH", path, {"spec": {"replicas": -1}}, MERGE))[0] == 422
    assert (await ask("PATCH", path, {"spec": {"replicas": "x"}}, MERGE))[0] == 400


async def test_delete_options(bench: Any, ask: Asker) -> None:
    agent = await bench.agent()
    store = bench.relay.store
    running = await bench.pod("web")
    wrong = {"preconditions": {"uid": "another"}}
    assert (await ask("DELETE", f"{PODS}/web", wrong))[0] == 409
    agent.failures = [Response(500, b"{}")] * 3  # the agent does not end it at once
    _, marked = await ask("DELETE", f"{PODS}/web", {"propagationPolicy": "Background"})
    assert marked["metadata"]["deletionTimestamp"]
    assert marked["metadata"]["deletionGracePeriodSeconds"] == 2
    assert store.get(Pod, "default", "web") is not None
    right = {"gracePeriodSeconds": 0, "preconditions": {"uid": running.metadata.uid}}
    assert (await ask("DELETE", f"{PODS}/web", right))[0] == 200
    assert store.get(Pod, "default", "web") is None


async def test_orphans_live_on(bench: Any, ask: Asker, until: Any) -> None:
    await bench.agent()
    store = bench.relay.store
    await ask("POST", DEPLOYMENTS, deployment())
    await until(lambda: sum(each.ready for each in store.select(Pod)) == 2)
    await ask("DELETE", f"{DEPLOYMENTS}/api", {"propagationPolicy": "Orphan"})
    store.update(with_metadata(store.select(Node)[0], labels={"any": "change"}))
    await asyncio.sleep(0)
    assert [each.metadata.deletion_timestamp for each in store.select(Pod)] == [None, None]


# -- who asks, and what they may ------------------------------------------------------------------


async def test_impersonation(bench: Any) -> None:
    admin, visitor = Asker(await bench.tunnel()), Asker(await bench.tunnel("the-visitor-token"))
    bob = {"impersonate-user": "bob"}
    devs = bob | {"impersonate-group": "devs, ops"}
    status, answer = await admin("GET", PODS, headers=bob)
    assert status == 403
    assert 'User "bob" cannot list' in answer["message"]
    assert (await visitor("GET", PODS))[0] == 403
    assert (await visitor("GET", PODS, headers=devs))[0] == 200
    _, who = await visitor(
        "POST", "/apis/authentication.k8s.io/v1/selfsubjectreviews", {}, headers=devs
    )
    assert who["status"]["userInfo"] == {
        "username": "bob",
        "groups": ["devs", "ops", "system:authenticated"],
    }
    assert (await admin("GET", PODS, headers={"impersonate-group": "devs"}))[0] == 400
    extra = bob | {"impersonate-extra-scopes": "x"}
    assert (await admin("GET", PODS, headers=extra))[0] == 403


async def test_nobody_acts_as_another_without_leave(bench: Any) -> None:
    pair = [bench.authority.folder / f"node-1.{kind}" for kind in ("crt", "key")]
    context = client_context(bench.authority.ca, cert=pair[0], key=pair[1])
    tunnel = await Tunnel.open(Endpoint("127.0.0.1", bench.port, context))
    bench.tunnels.append(tunnel)
    status, answer = await Asker(tunnel)(
        "GET",
        PODS,
        headers={"impersonate-user": "kfwd-admin", "impersonate-group": "system:masters"},
    )
    assert status == 403
    assert 'cannot impersonate resource "users"' in answer["message"]


@pytest.mark.parametrize(
    ("token", "attributes", "allowed"),
    [
        ("the-admin-token", {"verb": "*", "resource": "*", "group": "*"}, True),
        (
            "the-visitor-token",
            {
                "verb": "create",
                "resource": "pods",
                "subresource": "portforward",
                "namespace": "shared",
            },
            True,
        ),
        ("the-visitor-token", {"verb": "create", "resource": "pods", "namespace": "shared"}, False),
        ("the-visitor-token", {"verb": "list", "resource": "pods"}, False),
        ("narrow-token", {"verb": "get", "resource": "pods", "namespace": "narrow"}, True),
        ("narrow-token", {"verb": "get", "resource": "pods"}, False),
        ("narrow-token", {"verb": "get", "resource": "nodes", "namespace": "narrow"}, False),
        ("narrow-token", {"verb": "get", "resource": "users", "namespace": "narrow"}, False),
        ("narrow-token", {"verb": "get", "resource": "secrets", "namespace": "narrow"}, True),
    ],
)
async def test_may_i(bench: Any, token: str, attributes: Any, allowed: bool) -> None:
    ask = Asker(await bench.tunnel(token))
    body = {"spec": {"resourceAttributes": attributes}}
    status, answer = await ask("POST", f"{REVIEWS}/selfsubjectaccessreviews", body)
    assert status == 201
    assert answer["status"] == {"allowed": allowed}


async def test_what_may_i(bench: Any) -> None:
    ask = Asker(await bench.tunnel("the-visitor-token"))

    async def rules(namespace: str) -> list[list[str]]:
        body = {"spec": {"namespace": namespace}}
        _, answer = await ask("POST", f"{REVIEWS}/selfsubjectrulesreviews", body)
        return [each["resources"] for each in answer["status"]["resourceRules"]]

    assert await rules("shared") == [["pods/portforward"], ["users", "groups"]]
    assert await rules("default") == [["users", "groups"]]


@pytest.mark.parametrize("body", [{"spec": 1}, {"spec": {}}, []])
async def test_reviews_that_ask_nothing(ask: Asker, body: Any) -> None:
    status, _ = await ask("POST", f"{REVIEWS}/selfsubjectaccessreviews", body)
    assert status == 400


async def test_schemas_there_are_none(ask: Asker) -> None:
    _, listed = await ask("GET", "/openapi/v3")
    assert set(listed["paths"]) == {"api/v1", "apis/apps/v1"}
    _, document = await ask("GET", listed["paths"]["api/v1"]["serverRelativeURL"])
    assert "/api/v1/namespaces/{namespace}/pods/{name}" in document["paths"]
