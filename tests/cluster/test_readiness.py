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
