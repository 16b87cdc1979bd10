"""The choice of a pod and a port: kubectl's order, kubectl's words."""

from __future__ import annotations

import itertools
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kfwd_nb.errors import KfwdError, NotFoundError, UnavailableError
from kfwd_nb.kube.objects import (
    Condition,
    Container,
    ContainerPort,
    ContainerStatus,
    Deployment,
    DeploymentSpec,
    LabelSelector,
    ObjectMeta,
    Pod,
    PodSpec,
    PodStatus,
    Service,
    ServicePort,
    ServiceSpec,
)
from kfwd_nb.kube.resolve import Inventory, by_preference, choose_pod, ready_pods, resolve
from kfwd_nb.ports import parse_target

pytestmark = pytest.mark.pure

PORTS = [ContainerPort(container_port=8080, name="http"), ContainerPort(container_port=9090)]


def pod(
    name: str = "web",
    *,
    node: str = "n1",
    phase: Any = "Running",
    ready: str | None = "2026-01-01T00:00:00Z",
    deleting: bool = False,
    restarts: int = 0,
    created: str = "2026-01-01T00:00:00Z",
    app: str = "web",
    **status: Any,
) -> Pod:
    """A pod like the best one, but for what is said."""
    conditions = (
        []
        if ready is None
        else [Condition(type="Ready", status="True", last_transition_time=ready)]
    )
    status.setdefault(
        "container_statuses",
        [ContainerStatus(name="main", restart_count=restarts, ready=ready is not None)],
    )
    return Pod(
        metadata=ObjectMeta(
            name=name,
            namespace="default",
            labels={"app": app},
            creation_timestamp=created,
            deletion_timestamp=created if deleting else None,
        ),
        spec=PodSpec(node_name=node, containers=[Container(name="main", ports=PORTS)]),
        status=PodStatus(phase=phase, conditions=conditions, **status),
    )


def service(name: str = "web", app: str = "web", **spec: Any) -> Service:
    spec.setdefault(
        "ports",
        [
            ServicePort(port=80, name="www", target_port="http"),
            ServicePort(port=81, name="admin", target_port=9090),
            ServicePort(port=82, name="same"),
            ServicePort(port=83, name="broken", target_port="nosuch"),
        ],
    )
    meta = ObjectMeta(name=name, namespace="default")
    return Service(metadata=meta, spec=ServiceSpec(selector={"app": app}, **spec))


def deployment(name: str = "web", app: str = "web") -> Deployment:
    spec = DeploymentSpec(selector=LabelSelector(match_labels={"app": app}))
    return Deployment(metadata=ObjectMeta(name=name, namespace="default"), spec=spec)


BEST_TO_WORST = [
    pod("best"),
    pod("oldest-is-better", created="2026-02-01T00:00:00Z"),
    pod("restarted", restarts=3),
    pod("ready-for-less-long", ready="2026-01-02T00:00:00Z"),
    pod("deleting", deleting=True),
    pod("not-ready", ready=None),
    pod("unknown", phase="Unknown", ready=None),
    pod("pending", phase="Pending", ready=None),
    pod("unassigned", phase="Pending", ready=None, node=""),
]


@given(st.permutations(BEST_TO_WORST))
def test_pods_sort_as_kubectl_sorts_them(pods: list[Pod]) -> None:
    names = [each.metadata.name for each in by_preference(pods)]
    assert names == [each.metadata.name for each in BEST_TO_WORST]


def test_each_step_of_the_order_outweighs_all_that_follow() -> None:
    for better, worse in itertools.pairwise(BEST_TO_WORST):
        assert by_preference([worse, better])[0] is better


INVENTORY = Inventory(
    "default",
    pods=[pod("web-2", ready=None), pod("web-1"), pod("db", app="db")],
    services=[service(), service("headless", cluster_ip="None"), service("empty", app="nobody")],
    deployments=[deployment(), deployment("none", app="nobody")],
    namespaces=["default", "staging"],
)


@pytest.mark.parametrize(
    ("target", "remote", "name", "port"),
    [
        ("db", 5432, "db", 5432),
        ("pod/db", "http", "db", 8080),
        ("deploy/web", 80, "web-1", 80),
        ("deploy/web", "http", "web-1", 8080),
        ("svc/web", 80, "web-1", 8080),
        ("svc/web", "www", "web-1", 8080),
        ("svc/web", 81, "web-1", 9090),
        ("svc/web", 82, "web-1", 82),
        ("svc/headless", 4000, "web-1", 4000),
        ("svc/headless", "www", "web-1", 8080),
    ],
)
def test_targets_and_ports(target: str, remote: int | str, name: str, port: int) -> None:
    found = resolve(parse_target(target), remote, INVENTORY)
    assert (found.pod.metadata.name, found.port) == (name, port)


@pytest.mark.parametrize(
    ("target", "remote", "kind", "what", "hint"),
    [
        (
            "pod/web-3",
            80,
            NotFoundError,
            'Pod "web-3" not found in namespace "default".',
            'did you mean "web-2" or "web-1"?',
        ),
        (
            "pod/web",
            80,
            NotFoundError,
            'Pod "web" not found in namespace "default".',
            "there is a service of that name: use svc/web.",
        ),
        (
            "svc/wbe",
            80,
            NotFoundError,
            'Service "wbe" not found in namespace "default".',
            'did you mean "web"?',
        ),
        (
            "deploy/xyz",
            80,
            NotFoundError,
            'Deployment "xyz" not found in namespace "default".',
            'known: "none", "web".',
        ),
        (
            "svc/web",
            99,
            NotFoundError,
            "Service web does not have a service port 99.",
            "its ports are 80 (www), 81 (admin), 82 (same), 83 (broken).",
        ),
        (
            "svc/web",
            "ftp",
            NotFoundError,
            "Service 'web' does not have a named port 'ftp'.",
            "its ports are 80 (www), 81 (admin), 82 (same), 83 (broken).",
        ),
        (
            "svc/web",
            83,
            NotFoundError,
            "Pod 'web-1' does not have a named port 'nosuch'.",
            "it declares 8080 (http), 9090.",
        ),
        (
            "pod/db",
            "ftp",
            NotFoundError,
            "Pod 'db' does not have a named port 'ftp'.",
            "it declares 8080 (http), 9090.",
        ),
        (
            "deploy/none",
            80,
            UnavailableError,
            'Deployment "none" has no pods in namespace "default".',
            "its selector matches no pod; look at the labels of the pods.",
        ),
    ],
)
def test_refusals_say_what_would_be_right(
    target: str, remote: int | str, kind: type[KfwdError], what: str, hint: str
) -> None:
    with pytest.raises(kind) as caught:
        resolve(parse_target(target), remote, INVENTORY)
    assert (caught.value.what, caught.value.hint) == (what, hint)


def test_an_unknown_namespace_is_named_before_what_is_missing_in_it() -> None:
    inventory = Inventory("stagin", namespaces=["default", "staging"])
    with pytest.raises(NotFoundError) as caught:
        resolve(parse_target("web"), 80, inventory)
    assert str(caught.value) == 'Namespace "stagin" not found.\nhint: did you mean "staging"?'


def test_where_namespaces_are_not_known_the_pod_is_what_is_missing() -> None:
    with pytest.raises(NotFoundError, match='Pod "web" not found in namespace "stagin"'):
        resolve(parse_target("web"), 80, Inventory("stagin"))


WAITING = {"waiting": {"reason": "CrashLoopBackOff", "message": "back-off 10s"}}


@pytest.mark.parametrize(
    ("broken", "status", "why"),
    [
        (pod(phase="Pending", ready=None, container_statuses=[]), "Pending", "Pending, not ready"),
        (pod(phase="Failed", ready=None, reason="Evicted", message="disk full."), "Evicted",
         "Evicted: disk full"),
        (pod(ready=None, container_statuses=[ContainerStatus(name="main", state=WAITING)]),
         "CrashLoopBackOff", 'container "main" CrashLoopBackOff: back-off 10s'),
        (pod(ready=None, container_statuses=[ContainerStatus(name="main", state=WAITING,
            last_state={"terminated": {"reason": "Error", "exitCode": 137}})]),
         "CrashLoopBackOff", 'container "main" CrashLoopBackOff: back-off 10s, exit code 137'),
        (pod(phase="Succeeded", ready=None, container_statuses=[ContainerStatus(
            name="main", state={"terminated": {"reason": "Completed", "exitCode": 0}})]),
         "Succeeded", 'container "main" Completed: exit code 0'),
    ],
)  # fmt: skip
def test_a_pod_that_does_not_run_is_refused_with_its_state(
    broken: Pod, status: str, why: str
) -> None:
    with pytest.raises(UnavailableError) as caught:
        choose_pod(parse_target("web"), Inventory("default", pods=[broken]))
    assert caught.value.what == (
        "unable to forward port because pod is not running. "
        f'Current status={status} (pod "web": {why}).'
    )


def test_a_pod_that_runs_and_is_not_ready_can_be_forwarded_to() -> None:
    found = choose_pod(parse_target("web"), Inventory("default", pods=[pod(ready=None)]))
    assert found.metadata.name == "web"


def test_a_service_leads_to_ready_pods_only() -> None:
    pods = [pod("a"), pod("b", ready=None), pod("c", deleting=True), pod("d", app="other")]
    assert [each.metadata.name for each in ready_pods(service(), pods)] == ["a"]


def test_a_service_without_ready_pods_says_what_they_are_doing() -> None:
    crashing = [ContainerStatus(name="main", state=WAITING)]
    with pytest.raises(UnavailableError) as caught:
        ready_pods(service(), [pod("a", ready=None, container_statuses=crashing)])
    assert caught.value.what == (
        'Service "web" in namespace "default" has no ready pods '
        '(pod "a": container "main" CrashLoopBackOff: back-off 10s).'
    )
