"""What a cluster's objects become in a list, and which process of a pod may be entered."""

from __future__ import annotations

from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest

from kfwd_nb import client
from kfwd_nb.errors import ForbiddenError, NotFoundError, UnavailableError
from kfwd_nb.kube.kubeconfig import ClusterAccess
from kfwd_nb.kube.objects import (
    PID_ANNOTATION,
    Container,
    ContainerPort,
    Namespace,
    ObjectMeta,
    Pod,
    PodSpec,
    PodStatus,
    Service,
    ServicePort,
    ServiceSpec,
)
from kfwd_nb.notebook import listing, portforward
from kfwd_nb.notebook.arguments.listing import ListOptions
from kfwd_nb.notebook.arguments.nsenter import EnterOptions
from kfwd_nb.notebook.arguments.portforward import parse_portforward

pytestmark = pytest.mark.pure


def pod(name: str, namespace: str = "default", phase: str = "Running", ports: int = 2) -> Pod:
    declared = [ContainerPort(container_port=port) for port in (80, 7)[:ports]]
    return Pod(
        metadata=ObjectMeta(name=name, namespace=namespace, annotations={PID_ANNOTATION: "42"}),
        spec=PodSpec(containers=[Container(name="main", ports=declared)]),
        status=PodStatus(phase=phase),
    )


@pytest.fixture
def cluster(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    access = ClusterAccess("test", "https://127.0.0.1:1", "default", "a test", embedded=True)
    monkeypatch.setattr(listing, "_access", lambda *_: access)

    def hold(*objects: Any) -> None:
        def found(_: object, kind: type, namespace: str | None) -> list[Any]:
            return [
                each
                for each in objects
                if isinstance(each, kind) and namespace in (None, each.metadata.namespace)
            ]

        monkeypatch.setattr(listing, "_list", found)

    return hold


def test_each_pod_has_the_line_that_forwards_it(cluster: Callable[..., None]) -> None:
    cluster(pod("web"), pod("web", "staging"), pod("mute", ports=0))
    found = listing.pods(ListOptions())
    assert [each.line for each in found] == [
        "%portforward web :80",
        "%portforward web :80 -n staging",
        "",
    ]
    assert "line to copy" in repr(found)


def test_the_line_leads_to_the_same_cluster(cluster: Callable[..., None]) -> None:
    ports = ServiceSpec(ports=[ServicePort(port=80)])
    cluster(pod("web"), Service(metadata=ObjectMeta(name="api", namespace="default"), spec=ports))
    options = ListOptions(context="kind", kubeconfig="my config")
    (found,) = listing.pods(options)
    assert found.line == "%portforward web :80 --context kind --kubeconfig 'my config'"
    (service,) = listing.services(options)
    assert service.line == "%portforward svc/api :80 --context kind --kubeconfig 'my config'"


def test_a_namespace_that_is_not_there_is_no_empty_one(cluster: Callable[..., None]) -> None:
    cluster(pod("web"), *(Namespace(metadata=ObjectMeta(name=n)) for n in ("default", "empty")))
    assert len(listing.pods(ListOptions("empty"))) == 0
    for ask in (listing.pods, listing.services):
        with pytest.raises(NotFoundError, match='Namespace "emty" not found') as caught:
            ask(ListOptions("emty"))
        assert caught.value.hint == 'did you mean "empty"?'


def test_another_cluster_gets_the_line_that_does_the_same(
    cluster: Callable[..., None], monkeypatch: pytest.MonkeyPatch
) -> None:
    elsewhere = ClusterAccess("prod", "https://127.0.0.1:1", "shop", "a test")
    monkeypatch.setattr(listing, "_access", lambda *_: elsewhere)
    cluster(pod("web", "shop"))
    command = ("sh", "-c", "ip a; ss -t")
    with pytest.raises(UnavailableError, match="the pods of prod are not those") as caught:
        listing.process_of(EnterOptions("web", command))
    assert caught.value.hint == (
        "in a terminal: kubectl debug -n shop -it web --image=nicolaka/netshoot "
        "--profile=netadmin -- sh -c 'ip a; ss -t'"
    )
    with pytest.raises(UnavailableError) as caught:
        listing.process_of(EnterOptions("web", ("ip", "a"), "shop", "prod"))
    assert "kubectl --context prod debug -n shop -it web " in str(caught.value.hint)
    with pytest.raises(NotFoundError, match='Pod "wbe" not found'):
        listing.process_of(EnterOptions("wbe", command))


def test_what_a_cluster_refuses_is_said_in_its_own_words(
    cluster: Callable[..., None], monkeypatch: pytest.MonkeyPatch
) -> None:
    refused = 'nodes is forbidden: User "ann" cannot list resource "nodes"'

    def only_pods(_: object, kind: type, namespace: str | None) -> list[Any]:
        if kind is not Pod or namespace is None:
            raise ForbiddenError(refused)
        return []

    monkeypatch.setattr(listing, "_list", only_pods)
    status = repr(listing.status(0, ""))
    assert status.count(refused) == 2
    assert "pods ready: 0 of 0" in status
    assert len(listing.pods(ListOptions("shop"))) == 0, "namespaces may be hidden, too"
    with pytest.raises(ForbiddenError, match="ann"):
        listing.services(ListOptions("shop"))


@pytest.mark.parametrize("phase", ["Pending", "Succeeded", "Failed", "Unknown"])
def test_only_a_running_pod_can_be_entered(cluster: Callable[..., None], phase: str) -> None:
    cluster(pod("web", phase=phase), pod("db"))
    assert listing.process_of(EnterOptions("db", ("true",)))[0] == 42
    with pytest.raises(UnavailableError, match=f"no process now \\({phase}\\)"):
        listing.process_of(EnterOptions("web", ("true",)))


def test_where_else_there_is_one(cluster: Callable[..., None]) -> None:
    cluster(pod("web", "b"), pod("web", "a"), Service(metadata=ObjectMeta(name="api")))
    assert listing.elsewhere("pod", "web", None) == ("a", "b")
    assert listing.elsewhere("svc", "web", None) == ()


def test_an_interrupt_while_a_hint_is_looked_for_leaves_the_error(monkeypatch):
    def not_found(*_: object, **__: object) -> None:
        raise NotFoundError('Pod "web" not found.')

    def interrupted(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(client, "forward_or_existing", not_found)
    monkeypatch.setattr(listing, "elsewhere", interrupted)
    said = SimpleNamespace(over=lambda **_: None)
    options = parse_portforward("web :80 --context far")
    with pytest.raises(NotFoundError, match="not found"):
        portforward.start(options, said, said)  # type: ignore[arg-type]
