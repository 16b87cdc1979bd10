"""What kubectl shows of our relay, by every version."""

from __future__ import annotations

import json
import re

import pytest

pytestmark = pytest.mark.chain


def rows(said: str) -> list[list[str]]:
    """The cells of a printed table."""
    return [re.split(r"\s{2,}", line.strip()) for line in said.strip().splitlines()]


def test_get_pods(kubectl):
    head, *pods = rows(kubectl.run("get", "pods"))
    assert head == ["NAME", "READY", "STATUS", "RESTARTS", "AGE"]
    assert [row[1:4] for row in pods] == [["1/1", "Running", "0"]] * 5
    assert all(re.fullmatch(r"\d+[smh]\d*s?", row[4]) for row in pods)


def test_get_pods_wide_and_everywhere(kubectl):
    head, *pods = rows(kubectl.run("get", "pods", "-A", "-o", "wide", "--show-labels"))
    assert head[:2] == ["NAMESPACE", "NAME"]
    assert head[6:] == ["IP", "NODE", "NOMINATED NODE", "READINESS GATES", "LABELS"]
    assert {row[0] for row in pods} == {"default", "staging"}
    assert {row[7] for row in pods} == {"node-1", "node-2"}
    assert any(row[10] == "app=web" for row in pods)


@pytest.mark.parametrize(
    ("kind", "head", "row"),
    [
        ("svc", "NAME TYPE CLUSTER-IP EXTERNAL-IP PORT(S) AGE", "web ClusterIP <none>"),
        ("deploy", "NAME READY UP-TO-DATE AVAILABLE AGE", "api 3/3 3 3"),
        ("ns", "NAME STATUS AGE", "staging Active"),
        ("nodes", "NAME STATUS ROLES AGE VERSION", "node-1 Ready <none>"),
    ],
)
def test_get_other_kinds(kubectl, kind, head, row):
    said = rows(kubectl.run("get", kind))
    assert said[0] == head.split()
    assert row.split() in [each[: len(row.split())] for each in said[1:]]


def test_get_all_names_every_kind_once(kubectl):
    said = kubectl.run("get", "all")
    assert "pod/web" in said
    assert "service/web" in said
    assert "deployment.apps/api" in said


def test_outputs(kubectl):
    assert kubectl.run("get", "pod", "web", "-o", "name") == "pod/web\n"
    assert json.loads(kubectl.run("get", "pod", "web", "-o", "json"))["metadata"]["name"] == "web"
    assert "kind: Deployment" in kubectl.run("get", "deploy", "api", "-o", "yaml")
    path = "jsonpath={.items[*].metadata.name}"
    assert kubectl.run("get", "svc", "-o", path) == "api web"


@pytest.mark.parametrize(
    ("selector", "count"),
    [
        (("-l", "app=web"), 1),
        (("-l", "app in (web,db)"), 2),
        (("-l", "app notin (web,db)"), 3),
        (("-l", "pod-template-hash"), 3),
        (("-l", "!pod-template-hash,app!=db"), 1),
        (("--field-selector", "metadata.name=web"), 1),
        (("--field-selector", "status.phase!=Running"), 0),
    ],
    ids=lambda value: "".join(value) if isinstance(value, tuple) else "",
)
def test_selectors(kubectl, selector, count):
    said = kubectl.run("get", "pods", "-o", "name", *selector)
    assert len(said.split()) == count


def test_a_watch_goes_on(kubectl):
    with kubectl.start("get", "pods", "-w") as running:
        assert running.wait_for("NAME").split()[0] == "NAME"
        for _ in range(5):
            running.wait_for("Running")


def test_describe(kubectl):
    said = kubectl.run("describe", "pod", "web")
    assert re.search(r"^Node: +node-\d/", said, re.MULTILINE)
    assert re.search(r"^ +Ready +True", said, re.MULTILINE)
    assert "3 desired" in kubectl.run("describe", "deploy", "api")
    assert re.search(r"^TargetPort: +http/TCP", kubectl.run("describe", "svc", "web"), re.MULTILINE)
    assert "Ready" in kubectl.run("describe", "node", "node-1")
    assert "Active" in kubectl.run("describe", "ns", "staging")


def test_discovery(kubectl):
    said = kubectl.run("api-resources")
    assert re.search(r"^pods +po +v1 +true +Pod$", said, re.MULTILINE)
    assert re.search(r"^deployments +deploy +apps/v1 +true +Deployment$", said, re.MULTILINE)
    assert {"apps/v1", "v1"} <= set(kubectl.run("api-versions").split())
    assert "v1.36.0+kfwd" in kubectl.run("version")
    assert "is running at" in kubectl.run("cluster-info")


def test_who_may_what(kubectl):
    ask = ("auth", "can-i", "create", "pods", "--subresource=portforward")
    assert kubectl.run(*ask).strip() == "yes"
    assert "no" in kubectl.run(*ask, "--as", "nobody", code=1).split()
    assert "*.*" in kubectl.run("auth", "can-i", "--list")
    refused = kubectl.run("get", "pods", "--as", "bob", "--as-group", "devs", code=1)
    assert 'User "bob" cannot list resource "pods"' in refused


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("get", "events"), "the server doesn't have a resource type"),
        (("get", "pod", "nope"), 'pods "nope" not found'),
        (("get", "pods", "--field-selector", "spec.x=1"), 'field label "spec.x" is not supported'),
        (("logs", "web"), "the server could not find the requested resource"),
        (("exec", "web", "--", "ls"), "the server could not find the requested resource"),
        (("debug", "web", "--image=x"), "ephemeral containers are disabled for this cluster"),
        (("top", "pod"), "Metrics API not available"),
    ],
    ids=lambda words: " ".join(words) if isinstance(words, tuple) else "",
)
def test_what_is_not_there_is_said(kubectl, arguments, words):
    assert words in kubectl.run(*arguments, code=1)
