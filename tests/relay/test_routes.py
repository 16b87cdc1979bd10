"""Paths, methods and selectors to what they mean."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kfwd_nb.errors import KfwdError, NotFoundError, RemoteProtocolError, UsageError
from kfwd_nb.kube.objects import ObjectMeta, Pod, PodSpec, PodStatus
from kfwd_nb.kube.resources import RESOURCES, resource_of
from kfwd_nb.relay.api.discovery import documents
from kfwd_nb.relay.api.routes import SERVED, route
from kfwd_nb.relay.api.selectors import parse_selector
from kfwd_nb.relay.api.status import MethodNotAllowedError

pytestmark = pytest.mark.pure


@pytest.mark.parametrize(
    ("method", "target", "verb", "plural", "namespace", "name"),
    [
        ("GET", "/api/v1/pods", "list", "pods", None, ""),
        ("GET", "/api/v1/pods?watch=1", "watch", "pods", None, ""),
        ("GET", "/api/v1/pods?watch=TRUE", "watch", "pods", None, ""),
        ("GET", "/api/v1/pods?watch=t", "watch", "pods", None, ""),
        ("GET", "/api/v1/pods?watch=T", "watch", "pods", None, ""),
        ("GET", "/api/v1/pods?watch=0", "list", "pods", None, ""),
        ("GET", "/api/v1/pods?watch=f", "list", "pods", None, ""),
        ("GET", "/api/v1/namespaces/a/pods/", "list", "pods", "a", ""),
        ("GET", "/api/v1/namespaces/a/pods/b", "get", "pods", "a", "b"),
        ("POST", "/api/v1/namespaces/a/pods", "create", "pods", "a", ""),
        ("DELETE", "/api/v1/namespaces/a/pods/b", "delete", "pods", "a", "b"),
        ("GET", "/api/v1/namespaces", "list", "namespaces", None, ""),
        ("GET", "/api/v1/namespaces/a", "get", "namespaces", None, "a"),
        ("POST", "/api/v1/namespaces", "create", "namespaces", None, ""),
        ("PUT", "/api/v1/nodes/n", "update", "nodes", None, "n"),
        ("GET", "/apis/apps/v1/deployments", "list", "deployments", None, ""),
        (
            "PUT",
            "/apis/apps/v1/namespaces/a/deployments/d",
            "update",
            "deployments",
            "a",
            "d",
        ),
        ("GET", "/api/v1/namespaces/namespaces/pods/pods", "get", "pods", "namespaces", "pods"),
        ("PATCH", "/api/v1/namespaces/a/pods/b", "patch", "pods", "a", "b"),
        ("GET", "/api/v1/namespaces/a/pods/b/portforward", "get", "pods", "a", "b"),
        ("POST", "/api/v1/namespaces/a/pods/b/portforward", "create", "pods", "a", "b"),
        (
            "PUT",
            "/apis/apps/v1/namespaces/a/deployments/d/scale",
            "update",
            "deployments",
            "a",
            "d",
        ),
    ],
)
def test_routes(
    method: str, target: str, verb: str, plural: str, namespace: str | None, name: str
) -> None:
    call = route(method, target)
    assert (call.verb, call.resource.plural) == (verb, plural)
    assert (call.namespace, call.name) == (namespace, name)


@pytest.mark.parametrize(
    ("method", "target", "kind"),
    [
        ("GET", "/", NotFoundError),
        ("GET", "//[x", RemoteProtocolError),
        ("GET", "/api/v1/pods?" + "&".join(f"a{n}=1" for n in range(51)), RemoteProtocolError),
        ("GET", "/api/v1", NotFoundError),
        ("GET", "/api/v1/secrets", NotFoundError),
        ("GET", "/api/v1/pods/web", NotFoundError),
        ("GET", "/api/v1/deployments", NotFoundError),
        ("GET", "/apis/apps/v1/pods", NotFoundError),
        ("GET", "/api/v1/namespaces/a/pods/b/log", NotFoundError),
        ("GET", "/api/v1/namespaces/a/pods/b/portforward/x", NotFoundError),
        ("GET", "/api/v1/namespaces/a/nodes/n", NotFoundError),
        ("GET", "/api/v1/namespaces/a/pods//portforward", NotFoundError),
        ("PUT", "/api/v1/namespaces/a/pods/b/portforward", MethodNotAllowedError),
        ("GET", "/api/v1/namespaces/a/pods/b/scale", NotFoundError),
        ("POST", "/apis/apps/v1/namespaces/a/deployments/d/scale", MethodNotAllowedError),
        ("POST", "/api/v1/namespaces/a/pods/b", MethodNotAllowedError),
        ("POST", "/api/v1/pods", MethodNotAllowedError),
        ("POST", "/api/v1/nodes", MethodNotAllowedError),
        ("PATCH", "/api/v1/nodes/n", MethodNotAllowedError),
        ("DELETE", "/api/v1/namespaces/a/pods", MethodNotAllowedError),
        ("FROB", "/api/v1/namespaces/a/pods", MethodNotAllowedError),
    ],
)
def test_what_is_no_route(method: str, target: str, kind: type[KfwdError]) -> None:
    with pytest.raises(kind):
        route(method, target)


@given(st.text(alphabet="/apiv1ns%?=&.[]:", max_size=40))
def test_any_target_is_routed_or_refused(target: str) -> None:
    try:
        found = route("GET", target).verb
    except KfwdError as error:
        found = type(error).__name__
    refusals = {"NotFoundError", "MethodNotAllowedError", "RemoteProtocolError"}
    assert found in {"get", "list", "watch"} | refusals


def test_every_resource_has_its_own_path_back() -> None:
    for resource in RESOURCES:
        assert resource_of(resource.type) is resource
        call = route("GET", resource.path("a", "b"))
        assert (call.resource, call.name) == (resource, "b")


def test_discovery_lists_what_is_served() -> None:
    listed = {
        each["name"]
        for path in ("/api/v1", "/apis/apps/v1")
        for each in documents("test")[path]["resources"]
    }
    assert listed == set(SERVED)
    assert {resource.plural for resource in RESOURCES} <= listed


POD = Pod(
    metadata=ObjectMeta(name="web", namespace="a", labels={"app": "x", "tier": ""}),
    spec=PodSpec(node_name="n1"),
    status=PodStatus(phase="Running"),
)


@pytest.mark.parametrize(
    ("labels", "fields", "selected"),
    [
        ("", "", True),
        ("app=x", "", True),
        ("app==x , tier=", "", True),
        ("app!=x", "", False),
        ("other!=x", "", True),
        ("other=", "", False),
        ("app=x,tier=front", "", False),
        ("", "metadata.name=web", True),
        ("", "metadata.name=db", False),
        ("", "spec.nodeName!=n1", False),
        ("app=x", "status.phase=Running,metadata.namespace=a", True),
        ("", "metadata.name=web,", True),
        ("app in (x, y)", "", True),
        ("app in (y),tier=", "", False),
        ("app notin (y,z)", "", True),
        ("app notin (x)", "", False),
        ("other notin (x)", "", True),
        ("other in ()", "", False),
        ("tier in ()", "", True),
        ("app", "", True),
        ("tier", "", True),
        ("other", "", False),
        ("!other", "", True),
        ("! app", "", False),
        ("app,!other,tier=", "spec.restartPolicy=Always", True),
    ],
)
def test_selectors(labels: str, fields: str, selected: bool) -> None:
    assert parse_selector(labels, fields).matches(POD) is selected


@pytest.mark.parametrize(
    ("labels", "fields"),
    [
        ("a in b", ""),
        ("a in (b", ""),
        ("a in (b c)", ""),
        ("a within (b)", ""),
        ("a=b,", ""),
        ("!a=b", ""),
        ("", "spec.x=1"),
        ("", "metadata.name in (a)"),
        ("", "metadata.name"),
        ("x" * 5000, ""),
    ],
)
def test_other_selectors_are_refused(labels: str, fields: str) -> None:
    with pytest.raises(UsageError):
        parse_selector(labels, fields)
