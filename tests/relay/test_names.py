"""Names in a CONNECT to pods: turns, headless services, pods without a node."""

from __future__ import annotations

from collections import Counter
from typing import Any

import pytest

from kfwd_nb.errors import NotFoundError, UnavailableError
from kfwd_nb.kube.objects import (
    Condition,
    Namespace,
    ObjectMeta,
    Pod,
    PodSpec,
    PodStatus,
    Service,
    ServicePort,
    ServiceSpec,
)
from kfwd_nb.protocol.connect import parse_authority
from kfwd_nb.relay.names import Names
from kfwd_nb.relay.store import Store

pytestmark = pytest.mark.pure


def add_pod(store: Store, name: str, node: str = "n1") -> Pod:
    ready = Condition(type="Ready", status="True")
    return store.create(
        Pod(
            metadata=ObjectMeta(name=name, namespace="default", labels={"app": "api"}),
            spec=PodSpec(node_name=node),
            status=PodStatus(phase="Running", conditions=[ready]),
        )
    )


def add_service(store: Store, **spec: Any) -> Service:
    ports = [ServicePort(port=80, target_port=8080)]
    return store.create(
        Service(
            metadata=ObjectMeta(name="api", namespace="default"),
            spec=ServiceSpec(selector={"app": "api"}, ports=ports, **spec),
        )
    )


@pytest.fixture
def store() -> Store:
    store = Store()
    store.create(Namespace(metadata=ObjectMeta(name="default")))
    return store


def ask(names: Names, text: str) -> tuple[str, int]:
    found = names.resolve(parse_authority(text))
    return found.pod.metadata.name, found.port


def test_connections_are_spread_evenly_whoever_comes_and_goes(store: Store) -> None:
    add_service(store)
    names = Names(store)
    first = add_pod(store, "a")
    assert [ask(names, "api.default.svc:80") for _ in range(3)] == [("a", 8080)] * 3
    add_pod(store, "b")
    add_pod(store, "c")
    answers = Counter(ask(names, "api.default.svc:80")[0] for _ in range(30))
    assert max(answers.values()) - min(answers.values()) <= 1
    store.delete(first)
    answers = Counter(ask(names, "api.default.svc:80")[0] for _ in range(10))
    assert answers == {"b": 5, "c": 5}


def test_turns_are_kept_for_the_services_and_pods_that_there_are(store: Store) -> None:
    names = Names(store)
    for _ in range(5):
        service, pod = add_service(store), add_pod(store, "a")
        ask(names, "api.default.svc:80")
        store.delete(service)
        store.delete(pod)
    assert len(names._used) == 1


def test_a_headless_service_takes_the_port_as_typed(store: Store) -> None:
    add_service(store, cluster_ip="None")
    add_pod(store, "a")
    assert ask(Names(store), "api.default.svc:4000") == ("a", 4000)


def test_a_port_that_the_service_does_not_have(store: Store) -> None:
    add_service(store)
    add_pod(store, "a")
    with pytest.raises(NotFoundError) as caught:
        ask(Names(store), "api.default.svc:81")
    assert caught.value.hint == "its ports are 80."


def test_a_pod_without_a_node_cannot_answer(store: Store) -> None:
    add_pod(store, "a", node="")
    with pytest.raises(UnavailableError, match='Pod "a" has no node yet'):
        ask(Names(store), "a.default.pod:80")
