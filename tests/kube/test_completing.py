"""What a word of a forward's line can become."""

from __future__ import annotations

import pytest

from kfwd_nb.kube import completing
from kfwd_nb.kube.api import client as api
from kfwd_nb.kube.completing import PREFIXES, Completion, complete_target, names
from kfwd_nb.kube.kubeconfig import ClusterAccess
from kfwd_nb.kube.objects import (
    Container,
    ContainerPort,
    LabelSelector,
    ObjectMeta,
    Pod,
    PodSpec,
    Service,
    ServicePort,
    ServiceSpec,
    StatefulSet,
    WorkloadSpec,
)

pytestmark = pytest.mark.pure

ACCESS = ClusterAccess("test", "https://127.0.0.1:1", "shop", "a test")


@pytest.mark.parametrize(
    ("words", "word", "completion"),
    [
        ([], "", Completion(PREFIXES, "pod")),
        ([], "we", Completion(PREFIXES, "pod")),
        ([], "sts/d", Completion((), "sts", "sts/")),
        ([], "services/a", Completion((), "svc", "services/")),
        ([], "secret/a", Completion(PREFIXES, "pod")),
        (["job"], "a", Completion((), "job")),
        (["pod"], "80", Completion((), "ports pod/pod")),
        (["web"], "", Completion((), "ports pod/web")),
        (["web"], ":", Completion((), "ports pod/web", ":")),
        (["svc/api"], "8080:", Completion((), "ports svc/api", "8080:")),
        (["svc", "api", "80"], "", Completion((), "ports svc/api")),
        (["secret/x"], "", Completion()),
    ],
)
def test_the_grammar(words: list[str], word: str, completion: Completion) -> None:
    assert complete_target(words, word) == completion


def test_every_kind_that_can_be_typed_has_a_type() -> None:
    typed = {each.rstrip("/") for each in PREFIXES}
    assert typed | {"pod", "namespace", "node"} == set(completing.types())


def test_names_and_ports(monkeypatch: pytest.MonkeyPatch) -> None:
    ports = [ContainerPort(container_port=5432), ContainerPort(container_port=53, protocol="UDP")]
    held = [
        Pod(
            metadata=ObjectMeta(name="db-0", namespace="shop", labels={"app": "db"}),
            spec=PodSpec(containers=[Container(name="db", ports=ports)]),
        ),
        Pod(metadata=ObjectMeta(name="web", namespace="shop")),
        Pod(metadata=ObjectMeta(name="far", namespace="other", labels={"app": "db"})),
        StatefulSet(
            metadata=ObjectMeta(name="db", namespace="shop"),
            spec=WorkloadSpec(selector=LabelSelector(match_labels={"app": "db"})),
        ),
        Service(
            metadata=ObjectMeta(name="db", namespace="shop"),
            spec=ServiceSpec(ports=[ServicePort(port=15432), ServicePort(port=53, protocol="UDP")]),
        ),
    ]

    def found(_: object, kind: type, namespace: str | None) -> list[object]:
        return [
            each
            for each in held
            if isinstance(each, kind) and namespace in (None, each.metadata.namespace)
        ]

    monkeypatch.setattr(api, "list_objects", found)
    assert names("pod", ACCESS, None) == ("db-0", "web")
    assert names("pod", ACCESS, "other") == ("far",)
    assert names("sts", ACCESS, None) == ("db",)
    assert names("ports pod/db-0", ACCESS, None) == ("5432",)
    assert names("ports sts/db", ACCESS, None) == ("5432",)
    assert names("ports svc/db", ACCESS, None) == ("15432",)
    assert names("ports svc/none", ACCESS, None) == ()
