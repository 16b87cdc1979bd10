"""The forms of objects: tables with Kubernetes' columns and words, metadata alone."""

from __future__ import annotations

import json
from typing import Any

import msgspec
import pytest

from kfwd_nb.kube.objects import (
    Condition,
    Container,
    ContainerStatus,
    Deployment,
    DeploymentSpec,
    DeploymentStatus,
    LabelSelector,
    Namespace,
    Node,
    NodeAddress,
    NodeStatus,
    Object,
    ObjectMeta,
    Pod,
    PodSpec,
    PodStatus,
    PodTemplate,
    Service,
    ServicePort,
    ServiceSpec,
)
from kfwd_nb.kube.resources import RESOURCES, resource_of
from kfwd_nb.relay.api.forms import form_of, many, one
from kfwd_nb.relay.api.tables import age, columns_of, row_of

pytestmark = pytest.mark.pure

NOW = 1_800_000_000.0
HOUR_AGO = "2027-01-15T07:00:00Z"


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0, "0s"),
        (119, "119s"),
        (120, "2m"),
        (125, "2m5s"),
        (599, "9m59s"),
        (600, "10m"),
        (179 * 60, "179m"),
        (3 * 3600, "3h"),
        (7 * 3600 + 60, "7h1m"),
        (8 * 3600 + 60, "8h"),
        (47 * 3600, "47h"),
        (2 * 86400, "2d"),
        (2 * 86400 + 3600, "2d1h"),
        (8 * 86400 + 3600, "8d"),
        (729 * 86400, "729d"),
        (730 * 86400, "2y"),
        (735 * 86400, "2y5d"),
        (9 * 365 * 86400, "9y"),
        (-1, "0s"),
        (-10, "<invalid>"),
    ],
)
def test_ages_are_kubernetes_own(seconds: int, text: str) -> None:
    since = "2026-06-01T00:00:00Z"
    start = 1_780_272_000.0
    assert age(since, start + seconds) == text


def test_an_age_that_is_not_known() -> None:
    assert age(None, NOW) == "<unknown>"
    assert age("yesterday", NOW) == "<invalid>"


def meta(name: str, **more: Any) -> ObjectMeta:
    return ObjectMeta(name=name, creation_timestamp=HOUR_AGO, resource_version="7", **more)


def pod(*statuses: ContainerStatus, phase: Any = "Running", **more: Any) -> Pod:
    return Pod(
        metadata=meta("web", **more),
        spec=PodSpec(containers=[Container(name="a"), Container(name="b")], node_name="n1"),
        status=PodStatus(phase=phase, container_statuses=list(statuses)),
    )


ENDED = {"terminated": {"finishedAt": "2027-01-15T07:59:00Z", "reason": "Error"}}

TABLE: list[tuple[Object, list[str | int]]] = [
    (
        pod(ContainerStatus(name="a", ready=True), ContainerStatus(name="b")),
        ["web", "1/2", "Running", "0", "60m", "<none>", "n1", "<none>", "<none>"],
    ),
    (
        pod(ContainerStatus(name="a", restart_count=3, last_state=ENDED)),
        ["web", "0/2", "Running", "3 (60s ago)", "60m", "<none>", "n1", "<none>", "<none>"],
    ),
    (
        pod(ContainerStatus(name="a", state={"waiting": {"reason": "CrashLoopBackOff"}})),
        ["web", "0/2", "CrashLoopBackOff", "0", "60m", "<none>", "n1", "<none>", "<none>"],
    ),
    (
        pod(ContainerStatus(name="a", state=ENDED), phase="Failed"),
        ["web", "0/2", "Error", "0", "60m", "<none>", "n1", "<none>", "<none>"],
    ),
    (
        pod(deletion_timestamp=HOUR_AGO),
        ["web", "0/2", "Terminating", "0", "60m", "<none>", "n1", "<none>", "<none>"],
    ),
    (
        Service(
            metadata=meta("api"),
            spec=ServiceSpec(
                selector={"b": "2", "a": "1"},
                ports=[ServicePort(port=80), ServicePort(port=53, protocol="UDP")],
            ),
        ),
        ["api", "ClusterIP", "<none>", "<none>", "80/TCP,53/UDP", "60m", "a=1,b=2"],
    ),
    (
        Deployment(
            metadata=meta("api"),
            spec=DeploymentSpec(
                replicas=3,
                selector=LabelSelector(match_labels={"app": "api"}),
                template=PodTemplate(
                    spec=PodSpec(containers=[Container(name="c", image="i"), Container(name="d")])
                ),
            ),
            status=DeploymentStatus(ready_replicas=1, updated_replicas=2, available_replicas=1),
        ),
        ["api", "1/3", 2, 1, "60m", "c,d", "i,", "app=api"],
    ),
    (Namespace(metadata=meta("staging")), ["staging", "Active", "60m"]),
    (
        Node(
            metadata=meta("n1", annotations={"kfwd/isolation": "netns"}),
            status=NodeStatus(
                addresses=[NodeAddress(type="InternalIP", address="127.0.0.1")],
                conditions=[Condition(type="Ready", status="False")],
            ),
        ),
        [
            *("n1", "NotReady", "<none>", "60m", "<unknown>"),
            *("127.0.0.1", "<none>", "<unknown>", "<unknown>", "kfwd://netns"),
        ],
    ),
]


@pytest.mark.parametrize(("item", "cells"), TABLE)
def test_rows(item: Object, cells: list[str | int]) -> None:
    resource = resource_of(type(item))
    assert row_of(resource, item, NOW) == cells
    assert len(columns_of(resource)) == len(cells)


def test_every_resource_has_a_table() -> None:
    for resource in RESOURCES:
        names = [column.name for column in columns_of(resource)]
        assert names[0] == "Name"
        assert "Age" in names


@pytest.mark.parametrize(
    ("accept", "form"),
    [
        ("", "object"),
        ("*/*", "object"),
        ("application/json", "object"),
        ("application/json;as=Table;v=v1;g=meta.k8s.io,application/json", "table"),
        ("application/json; as=Table; g=meta.k8s.io; v=v1", "table"),
        ("application/json;as=Table;v=v1beta1;g=meta.k8s.io,application/json", "object"),
        ("application/json;as=Chair;v=v1;g=meta.k8s.io,application/json", "object"),
        ("application/vnd.kubernetes.protobuf,application/json", "object"),
        ("application/vnd.kubernetes.protobuf;as=Table;v=v1;g=meta.k8s.io", "object"),
        ("application/json;as=PartialObjectMetadataList;v=v1;g=meta.k8s.io", "metadata"),
    ],
)
def test_the_form_is_the_first_that_can_be_had(accept: str, form: str) -> None:
    assert form_of(accept) == form


def as_json(what: object) -> Any:
    return json.loads(msgspec.json.encode(what))


def test_a_table_holds_columns_rows_and_what_was_asked_of_the_objects() -> None:
    item, resource = TABLE[0][0], resource_of(Pod)
    table = as_json(many("table", resource, [item], "9", NOW))
    assert (table["kind"], table["apiVersion"]) == ("Table", "meta.k8s.io/v1")
    assert table["metadata"] == {"resourceVersion": "9"}
    assert table["columnDefinitions"][0]["format"] == "name"
    assert [each["priority"] for each in table["columnDefinitions"]] == [0] * 5 + [1] * 4
    (row,) = table["rows"]
    assert row["object"]["kind"] == "PartialObjectMetadata"
    assert row["object"]["metadata"]["name"] == "web"
    assert "spec" not in row["object"]
    whole = as_json(one("table", resource, item, NOW, "Object"))["rows"][0]
    assert whole["object"]["spec"]["nodeName"] == "n1"
    assert "object" not in as_json(one("table", resource, item, NOW, "None"))["rows"][0]


def test_metadata_alone() -> None:
    listed = as_json(many("metadata", resource_of(Pod), [TABLE[0][0]], "9", NOW))
    assert listed["kind"] == "PartialObjectMetadataList"
    assert listed["items"][0]["kind"] == "PartialObjectMetadata"
    assert "status" not in listed["items"][0]
