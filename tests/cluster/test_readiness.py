"""When a cluster is ready, and what is said while it is not."""

from __future__ import annotations

import pytest

from kfwd_nb.cluster.readiness import readiness
from kfwd_nb.kube.objects import (
    Condition,
    ContainerStatus,
    Deployment,
    DeploymentSpec,
    LabelSelector,
    Namespace,
    ObjectMeta,
    Pod,
    PodStatus,
)

pytestmark = pytest.mark.pure


def pod(name: str, *, ready: bool, namespace: str = "default", why: str = "", app: str = "") -> Pod:
    terminated = {"terminated": {"exitCode": 1, "reason": "Error", "message": why}}
    statuses = [ContainerStatus(name="main", state=terminated)] if why else []
    condition = Condition(type="Ready", status="True" if ready else "False")
    return Pod(
        metadata=ObjectMeta(name=name, namespace=namespace, labels={"app": app} if app else {}),
        status=PodStatus(phase="Running", conditions=[condition], container_statuses=statuses),
    )


def deployment(name: str, replicas: int) -> Deployment:
    selector = LabelSelector(match_labels={"app": name})
    return Deployment(
        metadata=ObjectMeta(name=name, namespace="default"),
        spec=DeploymentSpec(replicas=replicas, selector=selector),
    )


def test_all_that_was_asked_for_is_there() -> None:
    api = [pod(f"api-{n}", ready=True, app="api") for n in range(3)]
    wanted = [Namespace(metadata=ObjectMeta(name="default")), pod("web", ready=False)]
    state = readiness([*wanted, deployment("api", 3)], [pod("web", ready=True), *api])
    assert state.missing == ()
    assert state.ready == ("default/api-0", "default/api-1", "default/api-2", "default/web")


def test_a_pod_that_fails_says_why_in_its_own_words() -> None:
    (missing,) = readiness(
        [pod("db", ready=False)], [pod("db", ready=False, why="no space left")]
    ).missing
    assert 'pod "db"' in missing
    assert "no space left" in missing


def test_the_same_name_in_another_namespace_does_not_count() -> None:
    state = readiness([pod("web", ready=True)], [pod("web", ready=True, namespace="staging")])
    assert state.missing == ('pod "default/web": gone',)


def test_a_deployment_counts_its_own_pods() -> None:
    pods = [
        pod("api-1", ready=True, app="api"),
        pod("api-2", ready=False, app="api", why="port taken"),
        pod("web", ready=True, app="web"),
        pod("api-3", ready=True, app="api", namespace="staging"),
    ]
    (missing,) = readiness([deployment("api", 2)], pods).missing
    assert 'deployment "default/api": 1 of 2 pods ready' in missing
    assert "port taken" in missing


def test_a_pod_that_is_ending_is_not_ready() -> None:
    ending = pod("web", ready=True)
    ending.metadata.deletion_timestamp = "2026-01-01T00:00:00Z"
    state = readiness([pod("web", ready=True)], [ending])
    assert state.ready == ()
    assert len(state.missing) == 1


def ended(restarts: int, reason: str, message: str, *, waits: bool) -> Pod:
    """A pod whose container has ended, and waits to be started again or not."""
    last = {"terminated": {"exitCode": 128, "reason": reason, "message": message}}
    status = ContainerStatus(
        name="main",
        restart_count=restarts,
        state={"waiting": {"reason": "CrashLoopBackOff", "message": message}} if waits else last,
        last_state=last if waits else {},
    )
    crashed = pod("db", ready=False)
    crashed.status.container_statuses = [status]
    return crashed


@pytest.mark.parametrize(
    ("restarts", "reason", "message", "waits", "hopeless"),
    [
        (0, "StartError", 'exec "nope": not found in PATH', True, True),
        (0, "StartError", 'exec "/nope": No such file or directory', True, True),
        (0, "StartError", 'exec "/etc/passwd": Permission denied', False, True),
        (0, "StartError", "fork: Resource temporarily unavailable", True, False),
        (0, "Error", "cat: x: No such file or directory", True, False),
        (1, "Error", "boom", True, False),
        (2, "Error", "boom", True, True),
        (5, "Error", "boom", False, False),
    ],
)
def test_nobody_waits_for_a_pod_that_cannot_start(
    restarts: int, reason: str, message: str, waits: bool, hopeless: bool
) -> None:
    crashed = ended(restarts, reason, message, waits=waits)
    state = readiness([crashed], [crashed])
    assert bool(state.hopeless) == hopeless
    assert all(message in each for each in state.hopeless)
    assert message in state.missing[0]


def test_a_restart_that_helped_is_forgiven() -> None:
    crashed = ended(7, "Error", "boom", waits=True)
    crashed.status.container_statuses[0].state = {"running": {}}
    assert readiness([crashed], [crashed]).hopeless == ()
