"""Manifests: what is read, and what is refused, by file, object and field."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec
import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from kfwd_nb.errors import ConfigError, KfwdError, LimitError
from kfwd_nb.kube.manifests import reading
from kfwd_nb.kube.manifests.reading import load, parse
from kfwd_nb.kube.manifests.schema import IGNORED, UNSUPPORTED
from kfwd_nb.kube.manifests.validation import MAX_REPLICAS
from kfwd_nb.kube.objects import Deployment, LabelSelector, Namespace, Pod, Service

pytestmark = pytest.mark.pure

POD: dict[str, Any] = {
    "apiVersion": "v1",
    "kind": "Pod",
    "metadata": {"name": "web", "labels": {"app": "web"}},
    "spec": {
        "containers": [
            {
                "name": "main",
                "command": ["python3"],
                "args": ["-m", "http.server", "$(PORT)"],
                "env": [{"name": "PORT", "value": "80"}],
                "ports": [{"containerPort": 80, "name": "http"}],
                "readinessProbe": {"tcpSocket": {"port": "http"}, "periodSeconds": 1},
            }
        ]
    },
}
SERVICE: dict[str, Any] = {
    "apiVersion": "v1",
    "kind": "Service",
    "metadata": {"name": "web"},
    "spec": {"selector": {"app": "web"}, "ports": [{"port": 80, "targetPort": "http"}]},
}
DEPLOYMENT: dict[str, Any] = {
    "apiVersion": "apps/v1",
    "kind": "Deployment",
    "metadata": {"name": "api"},
    "spec": {
        "replicas": 2,
        "selector": {"matchLabels": {"app": "web"}},
        "template": {"metadata": POD["metadata"], "spec": POD["spec"]},
    },
}
NAMESPACE: dict[str, Any] = {
    "apiVersion": "v1",
    "kind": "Namespace",
    "metadata": {"name": "staging"},
}
GONE = object()


def changed(tree: Any, path: str, value: Any) -> Any:
    """A copy of `tree` with `value` at `path`, `spec.containers.0.name`; GONE takes it away."""
    head, _, rest = path.partition(".")
    copy = list(tree) if isinstance(tree, list) else dict(tree)
    key: Any = int(head) if isinstance(copy, list) else head
    if rest:
        copy[key] = changed(copy[key] if key in copy or isinstance(copy, list) else {}, rest, value)
    elif value is GONE:
        del copy[key]
    else:
        copy[key] = value
    return copy


def text(*documents: Any) -> str:
    return yaml.safe_dump_all(documents)


def refused(*documents: Any) -> KfwdError:
    with pytest.raises(KfwdError) as caught:
        parse(text(*documents), "pods.yaml")
    return caught.value


def test_the_four_kinds_are_read_and_namespaces_come_first() -> None:
    staged = changed(POD, "metadata.namespace", "staging")
    items = parse(text(POD, SERVICE, DEPLOYMENT, staged, NAMESPACE))
    assert [type(item) for item in items] == [Namespace, Pod, Service, Deployment, Pod]
    assert [item.metadata.namespace for item in items] == ["", *["default"] * 3, "staging"]


def test_every_field_arrives() -> None:
    (pod,) = parse(text(POD))
    assert isinstance(pod, Pod)
    (container,) = pod.spec.containers
    assert container.command + container.args == ["python3", "-m", "http.server", "$(PORT)"]
    assert container.env[0].value == "80"
    assert container.readiness_probe is not None
    assert container.readiness_probe.tcp_socket is not None
    assert container.readiness_probe.tcp_socket.port == "http"


def test_json_lists_and_empty_documents() -> None:
    both = {"apiVersion": "v1", "kind": "List", "items": [POD, SERVICE]}
    assert len(parse(msgspec.json.encode(both).decode())) == 2
    assert len(parse(f"---\n---\n{text(POD)}---\n")) == 1
    assert parse("") == []


def test_anchors_merge_keys_and_dates_read_as_in_kubernetes() -> None:
    source = text(POD).replace("app: web", "app: web\n    day: 2026-01-01")
    (pod,) = parse(source)
    assert pod.metadata.labels["day"] == "2026-01-01"
    merged = "apiVersion: v1\nkind: Namespace\nmetadata: &m {name: a}\n"
    again = "---\napiVersion: v1\nkind: Namespace\nmetadata:\n  <<: {name: b}\n  labels: {x: y}\n"
    assert [each.metadata.name for each in parse(merged + again)] == ["a", "b"]


C = "spec.containers.0"
AT = "pods.yaml: Pod/web (document 1): spec.containers[0]"
BAD_PODS = [
    (f"{C}.redinessProbe", {}, f"{AT}.redinessProbe: unknown field.", "readinessProbe"),
    (f"{C}.ports.0.containerport", 1, f"{AT}.ports[0].containerport: unknown field.", "contain"),
    (f"{C}.ports.0.containerPort", "x", f"{AT}.ports[0].containerPort: must be a whole", None),
    (f"{C}.ports.0.containerPort", 0, f"{AT}.ports[0].containerPort: must be 1 to 65535", None),
    (f"{C}.ports.0.containerPort", 70000, f"{AT}.ports[0].containerPort: must be 1 to", None),
    (f"{C}.ports.0.containerPort", GONE, f"{AT}.ports[0].containerPort: required", None),
    (f"{C}.ports.0.name", "Http", f'{AT}.ports[0].name: "Http" is not a valid port name', None),
    (f"{C}.ports.0.protocol", "TPC", f'{AT}.ports[0].protocol: "TPC" is not one of', None),
    (f"{C}.ports", [{"containerPort": 1, "name": "a"}] * 2, f'{AT}.ports[1].name: "a" is', None),
    (f"{C}.command", GONE, f"{AT}.command: required, but not given.", "no image is pulled"),
    (f"{C}.command", "python3", f"{AT}.command: must be a list, not text.", None),
    (f"{C}.command.0", "a\0b", f"{AT}.command[0]: holds a NUL character.", None),
    (f"{C}.args.1", "\0", f"{AT}.args[1]: holds a NUL character.", None),
    (f"{C}.env.0.value", "\0", f"{AT}.env[0].value: holds a NUL character.", None),
    (f"{C}.workingDir", "/\0/x", f"{AT}.workingDir: holds a NUL character.", None),
    *(
        (
            f"{C}.readinessProbe",
            {"httpGet": {"port": 80, "path": path}},
            f"{AT}.readinessProbe.httpGet.path: holds characters that a URL cannot.",
            "percent-encoded",
        )
        for path in ("/größe", "/a b", "/\r\nx: y")
    ),
    (f"{C}.name", GONE, f"{AT}.name: required, but not given.", None),
    (f"{C}.name", "Main", f'{AT}.name: "Main" is not a valid name', '"main"'),
    (f"{C}.env.0.value", 80, f"{AT}.env[0].value: must be text, not a whole number.", "quotes"),
    (f"{C}.env.0.name", "1 x", f'{AT}.env[0].name: "1 x" is not a valid variable', None),
    (f"{C}.env.0.valueFrom", {}, f"{AT}.env[0].valueFrom: not supported here.", "write the value"),
    (f"{C}.workingDir", "tmp", f'{AT}.workingDir: "tmp" is not an absolute path.', None),
    (f"{C}.volumeMounts", [], f"{AT}.volumeMounts: not supported here.", "host's file system"),
    (f"{C}.livenessProbe", {}, f"{AT}.livenessProbe: not supported here.", "readinessProbe"),
    (f"{C}.securityContext", {"runAsUser": -1}, f"{AT}.securityContext.runAsUser: must be", None),
    (f"{C}.readinessProbe.tcpSocket.port", "web", f"{AT}.readinessProbe.tcpSocket.port: the", None),
    (f"{C}.readinessProbe.tcpSocket.port", "htp", f"{AT}.readinessProbe.tcpSocket.port: the",
     '"http"'),
    (f"{C}.readinessProbe.tcpSocket.port", 0, f"{AT}.readinessProbe.tcpSocket.port: must be", None),
    (f"{C}.readinessProbe.httpGet", {"port": 1}, f"{AT}.readinessProbe: takes only one", None),
    (f"{C}.readinessProbe.exec", {}, f"{AT}.readinessProbe.exec: not supported", "tcpSocket"),
    (f"{C}.readinessProbe", {"periodSeconds": 1}, f"{AT}.readinessProbe: needs an", "httpGet"),
    (f"{C}.readinessProbe.periodSeconds", 0, f"{AT}.readinessProbe.periodSeconds: must be", None),
    ("spec.containers", [], "pods.yaml: Pod/web (document 1): spec.containers: required", None),
    ("spec.containers", GONE, "pods.yaml: Pod/web (document 1): spec.containers: required", None),
    ("spec.restartPolicy", "No", 'pods.yaml: Pod/web (document 1): spec.restartPolicy: "No" is',
     None),
    ("spec.volumes", [], "pods.yaml: Pod/web (document 1): spec.volumes: not supported here.",
     "own paths"),
    ("metadata.name", GONE, "pods.yaml: Pod (document 1): metadata.name: required", None),
    ("metadata.name", "a_b", "pods.yaml: Pod/a_b (document 1): metadata.name:", '"a-b"'),
    ("metadata.name", "x" * 254, "must be no more than 253 characters", None),
    ("metadata.labels.app", 1, "metadata.labels.app: must be text, not 1.", "quotes"),
    ("metadata.labels.app", "a b", 'metadata.labels.app: "a b" is not a valid label value', None),
    ("metadata.namespace", "stagin", 'metadata.namespace: there is no namespace "stagin".',
     "add a manifest"),
    ("metadata.labels", {"a/b/c": "d"}, 'metadata.labels: "a/b/c" is not a valid label key.', None),
    ("metadata.labels", {1: "d"}, "metadata.labels: the key 1 is not text.", "quotes"),
    ("spec", {1: 2}, "spec: the field name 1 is not text.", "quotes"),
    ("spec.terminationGracePeriodSeconds", -1, "Seconds: must not be negative.", None),
    ("spec.nodeName", "N 1", 'spec.nodeName: "N 1" is not a valid name', '"n-1"'),
    ("spec.securityContext", {"runAsUser": 2**31}, "spec.securityContext.runAsUser: must be", None),
    ("spec.securityContext", {"runAsNonRoot": True}, "runAsNonRoot: not supported", "runAsUser"),
    (f"{C}.readinessProbe", {"httpGet": {"port": 80, "path": "x"}},
     f'{AT}.readinessProbe.httpGet.path: "x" does not begin with "/".', None),
    (f"{C}.ports", [{"containerPort": 1}] * 101, f"{AT}.ports: has 101 items; the limit is 100.",
     None),
    ("kind", ["Pod"], "kind: required, but not given.", None),
    ("apiVersion", {}, "apiVersion: must be v1 for a Pod, not a mapping.", None),
    ("kind", "x" * 500, f'kind: "{"x" * 79}... is not a kind that is known here.', None),
    ("kind", "Pood", 'kind: "Pood" is not a kind that is known here.', '"Pod"'),
    ("kind", "Node", 'kind: "Node" is not a kind that is known here.', None),
    ("kind", GONE, "kind: required, but not given.", None),
    ("apiVersion", "apps/v1", "apiVersion: must be v1 for a Pod, not \"apps/v1\".", None),
    ("spec", 5, "spec: must be a mapping, not a whole number.", None),
]  # fmt: skip


@pytest.mark.parametrize(("path", "value", "what", "hint"), BAD_PODS)
def test_a_bad_pod_is_refused(path: str, value: Any, what: str, hint: str | None) -> None:
    error = refused(changed(POD, path, value))
    assert isinstance(error, ConfigError)
    assert what in error.what
    assert error.what.startswith("pods.yaml: ")
    if hint is not None:
        assert hint in str(error.hint)


BAD_OTHERS = [
    (changed(SERVICE, "spec.ports", []), "spec.ports: required, but not given."),
    (changed(SERVICE, "spec.ports.0.port", 70000), "spec.ports[0].port: must be 1 to 65535"),
    (changed(SERVICE, "spec.ports", [{"port": 1}, {"port": 2}]), "spec.ports[0].name: required"),
    (changed(SERVICE, "spec.ports.0.targetPort", "nope"), "spec.ports[0].targetPort: no container"),
    (changed(SERVICE, "spec.selector.app", "x"), "spec.selector: matches no Pod and no Deploy"),
    (changed(SERVICE, "spec.type", "ExternalName"), 'spec.type: "ExternalName" is not supported'),
    (changed(SERVICE, "metadata.name", "1st"), "and begin with a letter"),
    (changed(DEPLOYMENT, "spec.replicas", -1), f"spec.replicas: must be 0 to {MAX_REPLICAS}"),
    (changed(DEPLOYMENT, "spec.replicas", 10**6), f"spec.replicas: must be 0 to {MAX_REPLICAS}"),
    (changed(DEPLOYMENT, "spec.selector", GONE), "spec.selector.matchLabels: required"),
    (
        changed(DEPLOYMENT, "spec.selector.matchLabels", {"app": "x"}),
        "spec.selector.matchLabels: does not match spec.template.metadata.labels.",
    ),
    (
        changed(DEPLOYMENT, "spec.template.spec.restartPolicy", "Never"),
        "spec.template.spec.restartPolicy: must be Always in a deployment.",
    ),
    (
        changed(DEPLOYMENT, "spec.template.spec.containers.0.image", 5),
        "spec.template.spec.containers[0].image: must be text",
    ),
    (POD, "is given twice, first in pods.yaml: Pod/web (document 1)."),
    ({"kind": "List", "items": 5}, "List (document 2): items: must be a list."),
    (
        {"kind": "List", "items": [changed(POD, "metadata.name", "A")]},
        "Pod/A (document 2, items[0]): metadata.name",
    ),
    (5, "pods.yaml: document 2: a manifest must be a mapping"),
]


@pytest.mark.parametrize(("document", "what"), BAD_OTHERS)
def test_other_bad_objects_are_refused(document: Any, what: str) -> None:
    assert what in refused(POD, document).what


@pytest.mark.parametrize(
    ("source", "what"),
    [
        ("a: [", "pods.yaml: line "),
        ("a: 1\na: 2", 'pods.yaml: line 2, column 1: the key "a" is given twice.'),
        ("a:\n\t- b", "pods.yaml: line 2, column 1: "),
        ("a: *b", "pods.yaml: line 1, column 4: "),
        ("a: !!python/object:os.system {}", "pods.yaml: line 1, column 4: "),
        ("a: \x07", "pods.yaml: "),
    ],
)
def test_yaml_that_cannot_be_read_is_refused_by_line_and_column(source: str, what: str) -> None:
    with pytest.raises(ConfigError) as caught:
        parse(source, "pods.yaml")
    assert caught.value.what.startswith(what)
    assert "\n" not in caught.value.what


HARMLESS = {
    "spec.containers.0.image": "nginx",
    "spec.containers.0.imagePullPolicy": "Always",
    "spec.containers.0.resources": {"limits": {"cpu": 1}},
    "spec.containers.0.terminationMessagePath": "/dev/termination-log",
    "spec.dnsPolicy": "ClusterFirst",
    "spec.serviceAccountName": "default",
    "spec.tolerations": [],
    "metadata.annotations": {"a": "b"},
    "metadata.creationTimestamp": None,
    "status": {},
    "spec.nodeName": None,
}


@pytest.mark.parametrize("path", HARMLESS)
def test_what_has_no_effect_here_is_accepted(path: str) -> None:
    assert len(parse(text(changed(POD, path, HARMLESS[path])))) == 1


def test_no_field_is_both_known_and_ignored_or_refused_but_a_status() -> None:
    for table in (IGNORED, UNSUPPORTED):
        for kind, names in table.items():
            known = {field.encode_name for field in msgspec.structs.fields(kind)}
            if table is UNSUPPORTED and kind is not LabelSelector:  # its field is other clusters'
                assert known.isdisjoint(names), kind
    for kind, names in IGNORED.items():
        assert set(UNSUPPORTED.get(kind, {})).isdisjoint(names), kind


TREES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(["name", "port", "kind", "spec", "x"]), inner, max_size=3)
    ),
    max_leaves=8,
)


def outcome(source: str) -> str:
    """What a person reads of it; any other exception fails the test."""
    try:
        return f"read {len(parse(source, 'pods.yaml'))} objects"
    except KfwdError as error:
        return error.what


def _paths(tree: Any, prefix: str = "") -> list[str]:
    pairs = tree.items() if isinstance(tree, dict) else enumerate(tree)
    found = []
    for key, value in pairs:
        found.append(f"{prefix}{key}")
        if isinstance(value, dict | list):
            found += _paths(value, f"{prefix}{key}.")
    return found


@given(
    document=st.sampled_from([POD, SERVICE, DEPLOYMENT, NAMESPACE]),
    data=st.data(),
    value=TREES,
)
def test_whatever_stands_in_a_field_it_is_read_or_refused_in_one_sentence(
    document: Any, data: st.DataObject, value: Any
) -> None:
    path = data.draw(st.sampled_from(_paths(document)))
    answer = outcome(text(POD, changed(document, path, value)))
    assert answer.startswith(("read", "pods.yaml: "))
    assert len(answer) < 400


@given(st.text(max_size=60))
def test_any_text_is_read_or_refused(source: str) -> None:
    assert outcome(source).startswith(("read", "pods.yaml: "))


def test_files_and_folders(tmp_path: Path) -> None:
    (tmp_path / "b.yaml").write_text(text(SERVICE))
    (tmp_path / "a.yml").write_text(text(POD))
    (tmp_path / "notes.txt").write_text("not a manifest")
    assert [type(item) for item in load(tmp_path)] == [Pod, Service]
    assert [type(item) for item in load(tmp_path / "a.yml")] == [Pod]


def test_files_that_cannot_be_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ConfigError, match=r"nosuch\.yaml: cannot be read: No such file"):
        load(tmp_path / "nosuch.yaml")
    with pytest.raises(ConfigError, match="the folder has no manifest"):
        load(tmp_path)
    (tmp_path / "latin.yaml").write_bytes(b"a: \xe9")
    with pytest.raises(ConfigError, match="is not UTF-8 text"):
        load(tmp_path / "latin.yaml")
    monkeypatch.setattr(reading, "MAX_FILE_BYTES", 10)
    (tmp_path / "big.yaml").write_text(text(POD))
    with pytest.raises(LimitError, match="the limit is 10"):
        load(tmp_path / "big.yaml")


def test_too_many_objects(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reading, "MAX_OBJECTS", 1)
    with pytest.raises(LimitError, match="hold 2 objects; the limit is 1"):
        parse(text(POD, SERVICE))


def test_a_file_without_a_manifest_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "empty.yaml"
    for content in ("", "# nothing\n", "---\n---\n"):
        file.write_text(content)
        with pytest.raises(ConfigError) as caught:
            load(file)
        assert caught.value.what == f"{file}: holds no manifest."
    (tmp_path / "pod.yaml").write_text(text(POD))
    assert len(load(tmp_path)) == 1
