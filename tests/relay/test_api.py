"""The REST API over HTTP/2, over HTTP/1.1 and through curl, which nobody here wrote."""

from __future__ import annotations

import asyncio
import http.client
import json
import shutil
import ssl
from typing import Any

import pytest

from kfwd_nb._version import __version__
from kfwd_nb.kube.objects import (
    FOUND_ANNOTATION,
    PID_ANNOTATION,
    Container,
    Deployment,
    Namespace,
    ObjectMeta,
    Pod,
    PodSpec,
)
from kfwd_nb.relay.authentication import Authenticator
from kfwd_nb.relay.store import with_metadata
from kfwd_nb.transport.endpoint import Endpoint
from kfwd_nb.transport.http2.client import Tunnel
from kfwd_nb.transport.tls import client_context

pytestmark = pytest.mark.chain

ADMIN = "the-admin-token"
PODS = "/api/v1/namespaces/default/pods"
DEPLOYMENTS = "/apis/apps/v1/namespaces/default/deployments"


def pod(name: str = "web", **labels: str) -> bytes:
    container = {"name": "main", "command": ["true"]}
    body = {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": name, "labels": labels},
        "spec": {"containers": [container]},
    }
    return json.dumps(body).encode()


def deployment(name: str = "api", replicas: int = 2) -> bytes:
    template = {
        "metadata": {"labels": {"app": name}},
        "spec": {"containers": [{"name": "main", "command": ["true"]}]},
    }
    spec = {
        "replicas": replicas,
        "selector": {"matchLabels": {"app": name}},
        "template": template,
    }
    body = {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": name},
        "spec": spec,
    }
    return json.dumps(body).encode()


async def ask(tunnel: Tunnel, method: str, path: str, body: bytes = b"") -> tuple[int, Any]:
    reply = await tunnel.request(method, path, body=body)
    return reply.status, json.loads(reply.body)


async def test_create_get_list_delete(bench: Any) -> None:
    tunnel = await bench.tunnel()
    status, made = await ask(tunnel, "POST", PODS, pod("web", app="x"))
    assert status == 201
    assert made["kind"] == "Pod"
    assert made["apiVersion"] == "v1"
    assert made["metadata"]["uid"]
    assert made["status"]["phase"] == "Pending"
    assert (await ask(tunnel, "GET", f"{PODS}/web"))[1]["metadata"]["uid"] == made["metadata"][
        "uid"
    ]
    status, listed = await ask(tunnel, "GET", f"{PODS}?labelSelector=app%3Dx")
    assert (status, listed["kind"], len(listed["items"])) == (200, "PodList", 1)
    assert (await ask(tunnel, "GET", f"{PODS}?labelSelector=app%3Dy"))[1]["items"] == []
    assert (await ask(tunnel, "DELETE", f"{PODS}/web"))[0] == 200
    assert (await ask(tunnel, "GET", f"{PODS}/web"))[0] == 404


@pytest.mark.parametrize(
    ("method", "path", "body", "code", "reason", "words"),
    [
        ("GET", f"{PODS}/wbe", b"", 404, "NotFound", 'pods "wbe" not found'),
        ("POST", PODS, pod("web"), 409, "AlreadyExists", 'pods "web" already exists'),
        ("POST", PODS, pod("Web"), 422, "Invalid", 'Pod "Web" is invalid: metadata.name'),
        ("POST", PODS, b"{", 400, "BadRequest", "the body is not JSON"),
        ("POST", PODS, deployment(), 400, "BadRequest", "the body is a apps/v1 Deployment"),
        ("POST", "/api/v1/pods", pod("x"), 405, "MethodNotAllowed", "does not allow POST on pods"),
        ("PATCH", f"{PODS}/web", b"{}", 415, "UnsupportedMediaType", "accepted media types"),
        ("PATCH", "/api/v1/nodes/n", b"{}", 405, "MethodNotAllowed", "does not allow PATCH on"),
        ("GET", f"{PODS}/web/portforward", b"", 400, "BadRequest", "Upgrade request required"),
        ("GET", f"{PODS}?continue=x", b"", 400, "BadRequest", "continue key is not valid"),
        ("GET", f"{PODS}?resourceVersion=999999", b"", 410, "Expired", "too old"),
        ("DELETE", f"{PODS}/web", b'{"gracePeriodSeconds": "x"}', 400, "BadRequest", "Expected"),
        ("PUT", f"{PODS}/web", pod("other"), 400, "BadRequest", 'is not that of the path, "web"'),
        (
            "POST",
            "/api/v1/namespaces/nowhere/pods",
            pod("x"),
            404,
            "NotFound",
            'namespaces "nowhere" not found',
        ),
        ("GET", "/api/v1/secrets", b"", 404, "NotFound", "could not find the requested resource"),
        ("GET", f"{PODS}?labelSelector=a+in+b", b"", 400, "BadRequest", "label selector"),
        ("GET", f"{PODS}?fieldSelector=a%3Db", b"", 400, "BadRequest", 'field label "a"'),
        ("GET", f"{PODS}?watch=1&resourceVersion=999999", b"", 410, "Expired", "too old"),
        ("GET", f"{PODS}?watch=1&resourceVersion=x", b"", 400, "BadRequest", "must be a number"),
        ("DELETE", "/api/v1/namespaces/default", b"", 403, "Forbidden", "may not be deleted"),
        ("PUT", "/api/v1/nodes/n", b"{}", 422, "Invalid", "names no IP address"),
    ],
)
async def test_refusals_are_status_objects(
    bench: Any, method: str, path: str, body: bytes, code: int, reason: str, words: str
) -> None:
    tunnel = await bench.tunnel()
    await ask(tunnel, "POST", PODS, pod("web"))
    status, answer = await ask(tunnel, method, path, body)
    assert (status, answer["kind"], answer["reason"]) == (code, "Status", reason)
    assert words in answer["message"]


async def test_credentials_and_rules(bench: Any) -> None:
    for token, code in (("wrong", 401), ("the-expired-token", 401), (None, 401)):
        tunnel = await bench.tunnel(token)
        assert (await ask(tunnel, "GET", PODS))[0] == code
    visitor = await bench.tunnel("the-visitor-token")
    status, answer = await ask(visitor, "GET", PODS)
    assert (status, answer["reason"]) == (403, "Forbidden")
    assert answer["message"] == (
        'pods is forbidden: User "visitor" cannot list resource "pods" in API group "" '
        'in the namespace "default"'
    )


async def test_version_is_public_and_names_the_relay(bench: Any) -> None:
    tunnel = await bench.tunnel(None)
    reply = await tunnel.request("GET", "/version")
    assert reply.status == 200
    assert json.loads(reply.body)["kfwd"] == {"cluster": "test", "version": __version__}
    assert (await tunnel.request("GET", "/readyz")).body == b"ok"
    assert (await ask(tunnel, "GET", "/api"))[0] == 401


async def test_a_node_may_write_itself_and_nothing_else(bench: Any) -> None:
    folder = bench.authority.folder
    context = client_context(
        bench.authority.ca, cert=folder / "node-1.crt", key=folder / "node-1.key"
    )
    tunnel = await Tunnel.open(Endpoint("127.0.0.1", bench.port, context))
    bench.tunnels.append(tunnel)
    status = {
        "addresses": [{"type": "InternalIP", "address": "127.0.0.1"}],
        "daemonEndpoints": {"kubeletEndpoint": {"Port": 1}},
        "conditions": [{"type": "Ready", "status": "True"}],
    }
    body = json.dumps({"metadata": {}, "status": status}).encode()
    code, node = await ask(tunnel, "PUT", "/api/v1/nodes/node-1", body)
    assert code == 200
    assert node["status"]["conditions"][0]["status"] == "False", "the relay decides that itself"
    assert (await ask(tunnel, "PUT", "/api/v1/nodes/node-2", body))[0] == 403
    assert (await ask(tunnel, "GET", PODS))[0] == 403


async def test_a_watch_tells_what_is_there_and_what_changes(bench: Any) -> None:
    tunnel = await bench.tunnel()
    await ask(tunnel, "POST", PODS, pod("one"))
    await ask(tunnel, "POST", PODS, pod("other"))
    lines = tunnel.lines(f"{PODS}?watch=true&fieldSelector=metadata.name%3Done")
    seen = []
    async with asyncio.timeout(10):
        async for line in lines:
            event = json.loads(line)
            seen.append((event["type"], event["object"]["metadata"]["name"]))
            if event["type"] == "ADDED":
                await ask(tunnel, "DELETE", f"{PODS}/one")
            if event["type"] == "DELETED":
                break
    await lines.aclose()  # type: ignore[attr-defined]
    assert seen[0] == ("ADDED", "one")
    assert {name for _, name in seen} == {"one"}


async def test_a_streaming_list_ends_with_its_bookmark(bench: Any) -> None:
    tunnel = await bench.tunnel()
    await ask(tunnel, "POST", PODS, pod("one"))
    query = "watch=1&sendInitialEvents=true&allowWatchBookmarks=true&timeoutSeconds=1"
    async with asyncio.timeout(10):
        events = [json.loads(line) async for line in tunnel.lines(f"{PODS}?{query}")]
    types = [event["type"] for event in events]
    assert types[:2] == ["ADDED", "BOOKMARK"]
    meta = events[1]["object"]["metadata"]
    assert meta["annotations"] == {"k8s.io/initial-events-end": "true"}
    assert int(meta["resourceVersion"]) >= int(events[0]["object"]["metadata"]["resourceVersion"])


async def test_a_watch_after_a_version_gives_only_what_is_newer(bench: Any) -> None:
    tunnel = await bench.tunnel()
    await ask(tunnel, "POST", PODS, pod("old"))
    version = (await ask(tunnel, "GET", PODS))[1]["metadata"]["resourceVersion"]
    await ask(tunnel, "POST", PODS, pod("new"))
    lines = tunnel.lines(f"{PODS}?watch=1&resourceVersion={version}&timeoutSeconds=1")
    async with asyncio.timeout(10):
        names = {json.loads(line)["object"]["metadata"]["name"] async for line in lines}
    assert "new" in names


async def test_a_deployment_makes_scales_and_replaces_pods(bench: Any, until: Any) -> None:
    agents = [await bench.agent("node-1"), await bench.agent("node-2")]
    tunnel = await bench.tunnel()
    assert (await ask(tunnel, "POST", DEPLOYMENTS, deployment(replicas=4)))[0] == 201

    async def status() -> dict[str, int]:
        return (await ask(tunnel, "GET", f"{DEPLOYMENTS}/api"))[1]["status"]  # type: ignore[no-any-return]

    store = bench.relay.store
    await until(lambda: sum(each.ready for each in store.select(Pod)) == 4)
    assert [len(agent.started) for agent in agents] == [2, 2]
    victim = store.select(Pod)[0]
    host = agents[0] if victim.spec.node_name == "node-1" else agents[1]
    import msgspec

    dead = msgspec.structs.replace(victim.status, phase="Failed")
    host.report(msgspec.structs.replace(victim, status=dead))
    await until(
        lambda: (
            store.get(Pod, "default", victim.metadata.name) is None
            and sum(each.ready for each in store.select(Pod)) == 4
        )
    )
    assert (await ask(tunnel, "PUT", f"{DEPLOYMENTS}/api", deployment(replicas=1)))[0] == 200
    await until(lambda: len(store.select(Pod)) == 1)
    assert (await status())["readyReplicas"] == 1
    assert (await ask(tunnel, "DELETE", f"{DEPLOYMENTS}/api"))[0] == 200
    await until(lambda: not store.select(Pod))


async def test_a_namespace_takes_its_objects_along(bench: Any, until: Any) -> None:
    tunnel = await bench.tunnel()
    bench.relay.store.create(Namespace(metadata=bench_meta("staging")))
    await ask(tunnel, "POST", "/api/v1/namespaces/staging/pods", pod())
    assert (await ask(tunnel, "DELETE", "/api/v1/namespaces/staging"))[0] == 200
    assert bench.relay.store.select(Pod, "staging") == []


def bench_meta(name: str) -> Any:
    from kfwd_nb.kube.objects import ObjectMeta

    return ObjectMeta(name=name)


async def test_http_1_1_answers_the_same(bench: Any) -> None:
    def over_http1() -> list[tuple[int, Any]]:
        context = ssl.create_default_context(cafile=str(bench.authority.ca))
        connection = http.client.HTTPSConnection("127.0.0.1", bench.port, context=context)
        headers = {"Authorization": "Bearer the-admin-token"}
        answers = []
        for method, path, body in (
            ("POST", PODS, pod("web")),
            ("GET", f"{PODS}/web", None),
            ("GET", f"{PODS}/wbe", None),
        ):
            connection.request(method, path, body, headers)
            response = connection.getresponse()
            answers.append((response.status, json.load(response)))
        connection.close()
        return answers

    made, got, missing = await asyncio.to_thread(over_http1)
    assert made[0] == 201
    assert got == (200, got[1])
    assert got[1]["metadata"]["name"] == "web"
    assert missing[0] == 404


@pytest.mark.parametrize("version", ["--http1.1", "--http2"])
async def test_curl_reads_the_api(bench: Any, version: str) -> None:
    curl = shutil.which("curl")
    assert curl, "curl is not installed"
    process = await asyncio.create_subprocess_exec(
        curl,
        *("--silent", "--show-error", "--max-time", "20", version),
        *("--cacert", str(bench.authority.ca)),
        *("--header", "Authorization: Bearer the-admin-token"),
        *("--write-out", "\n%{http_version} %{http_code}"),
        f"https://127.0.0.1:{bench.port}/apis/apps/v1",
        stdout=asyncio.subprocess.PIPE,
    )
    out, _ = await process.communicate()
    body, _, last = out.decode().rpartition("\n")
    assert last == ("2 200" if version == "--http2" else "1.1 200")
    assert json.loads(body)["resources"][0]["name"] == "deployments"


async def test_who_asks_is_looked_up_once_and_for_public_paths_not_at_all(
    bench: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = []
    user = Authenticator.user

    def count(self: Authenticator, request: Any, now: float) -> Any:
        asked.append(request.path)
        return user(self, request, now)

    monkeypatch.setattr(Authenticator, "user", count)
    tunnel = await bench.tunnel("wrong")
    assert (await ask(tunnel, "GET", "/version"))[0] == 200
    assert (await tunnel.request("GET", "/readyz")).status == 200
    assert asked == []
    assert (await ask(await bench.tunnel(), "GET", PODS))[0] == 200
    assert asked == [PODS]


async def test_the_agent_alone_says_the_pid_of_a_pod(bench: Any, until: Any) -> None:
    agent = await bench.agent()
    meta = ObjectMeta(
        name="web", namespace="default", annotations={PID_ANNOTATION: "1", "mine": "stays"}
    )
    spec = PodSpec(containers=[Container(name="main", command=["true"])])
    bench.relay.store.create(Pod(metadata=meta, spec=spec))
    pod = await until(lambda: agent.pods.get(("default", "web")))

    def annotations() -> dict[str, str]:
        return bench.relay.store.require(Pod, "default", "web").metadata.annotations

    pod.metadata.annotations = {PID_ANNOTATION: "4711"}
    agent.report(pod)
    await until(lambda: annotations() == {PID_ANNOTATION: "4711", "mine": "stays"})
    pod.metadata.annotations = {}
    agent.report(pod)
    await until(lambda: annotations() == {"mine": "stays"})


async def test_nobody_but_agents_writes_their_annotations(bench: Any) -> None:
    store, tunnel = bench.relay.store, await bench.tunnel()
    theirs = {"kfwd/found-by": "me", "kfwd/pid": "1"}
    body = json.loads(pod())
    body["metadata"]["annotations"] = theirs | {"mine": "stays"}
    await ask(tunnel, "POST", PODS, json.dumps(body).encode())
    assert store.require(Pod, "default", "web").metadata.annotations == {"mine": "stays"}
    body = json.loads(deployment(replicas=1))
    body["spec"]["template"]["metadata"]["annotations"] = theirs | {"mine": "stays"}
    await ask(tunnel, "POST", DEPLOYMENTS, json.dumps(body).encode())
    made = store.require(Deployment, "default", "api")
    assert made.spec.template.metadata.annotations == {"mine": "stays"}
    for before in ({}, {FOUND_ANNOTATION: "cri"}):
        web = store.require(Pod, "default", "web")
        store.update(with_metadata(web, annotations=before | {"mine": "stays"}))
        for value in ("me", None):
            patch = json.dumps({"metadata": {"annotations": dict.fromkeys(theirs, value)}}).encode()
            media = {"content-type": "application/merge-patch+json"}
            reply = await tunnel.request("PATCH", f"{PODS}/web", body=patch, headers=media)
            assert reply.status == 200
            shown = json.loads(reply.body)["metadata"]["annotations"]
            assert shown == before | {"mine": "stays"}


async def test_a_found_pod_is_not_deleted_by_force_either(bench: Any) -> None:
    await bench.agent()
    meta = ObjectMeta(name="web", namespace="default", annotations={FOUND_ANNOTATION: "cri"})
    bench.relay.store.create(Pod(metadata=meta, spec=PodSpec(node_name="node-1")))
    status, answer = await ask(
        await bench.tunnel(), "DELETE", f"{PODS}/web", b'{"gracePeriodSeconds": 0}'
    )
    assert (status, answer["reason"]) == (403, "Forbidden")


async def test_a_target_that_is_none_is_a_bad_request_and_no_bug(
    bench: Any, caplog: pytest.LogCaptureFixture
) -> None:
    for target in ("//[x", f"{PODS}?{'&'.join(f'a{number}=1' for number in range(51))}"):
        assert (await ask(await bench.tunnel(), "GET", target))[0] == 400
        for headers in ({}, {"connection": "Upgrade", "upgrade": "SPDY/3.1"}):
            context = ssl.create_default_context(cafile=str(bench.authority.ca))
            connection = http.client.HTTPSConnection("127.0.0.1", bench.port, context=context)

            def asked(connection: Any = connection, target: str = target, h: Any = headers) -> int:
                connection.request("GET", target, headers=h | {"authorization": f"Bearer {ADMIN}"})
                return int(connection.getresponse().status)

            assert await asyncio.to_thread(asked) == 400
            connection.close()
    assert "Traceback" not in caplog.text
