"""What kubectl changes in our relay, by every version; a cluster of its own for it."""

from __future__ import annotations

import json

import pytest
from peers.plain import connect, echo

pytestmark = pytest.mark.chain

DEPLOYMENT = """
apiVersion: apps/v1
kind: Deployment
metadata:
  name: NAME
spec:
  replicas: 1
  selector:
    matchLabels: {app: NAME}
  template:
    metadata:
      labels: {app: NAME}
    spec:
      containers:
        - name: main
          command: [sleep, "1000"]
          env: [{name: GREETING, value: hello}]
"""


@pytest.fixture
def manifest(own_kubectl, tmp_path):
    """A deployment of a name of its own, removed at the end."""
    name = f"made-{own_kubectl.version.replace('.', '-')}"
    path = tmp_path / "deployment.yaml"
    path.write_text(DEPLOYMENT.replace("NAME", name))
    yield name, path
    own_kubectl.run("delete", "deploy", name, "--ignore-not-found")


def names(kubectl, *selector: str) -> set[str]:
    return set(kubectl.run("get", "pods", "-o", "name", *selector).split())


def gone(kubectl, *pods: str) -> None:
    """Wait for their end; 1.20 calls it an error when they are gone before."""
    if pods:
        kubectl.run("wait", "--for=delete", *pods, "--timeout=30s", code=None)
    assert names(kubectl).isdisjoint(pods)


def test_a_deleted_pod_of_a_deployment_is_replaced(own_kubectl):
    chosen = ("-l", "app=api")
    before = names(own_kubectl, *chosen)
    victim = min(before)
    with own_kubectl.start("get", "pods", "-w", "-o", "name", *chosen) as watching:
        for _ in before:
            watching.wait_for("pod/api-")
        assert "deleted" in own_kubectl.run("delete", victim)
        while (line := watching.wait_for("pod/api-").strip()) in before:
            pass
    own_kubectl.run("rollout", "status", "deploy/api", "--timeout=30s")
    after = names(own_kubectl, *chosen)
    assert line in after
    assert victim not in after
    assert len(after) == 3


def test_apply_scale_restart_delete(own_kubectl, manifest):
    name, path = manifest
    run = own_kubectl.run
    chosen = ("-l", f"app={name}")
    assert "created" in run("apply", "-f", str(path))
    assert "unchanged" in run("apply", "-f", str(path))
    assert "successfully" in run("rollout", "status", f"deploy/{name}", "--timeout=30s")
    first = names(own_kubectl, *chosen)
    path.write_text(path.read_text().replace("hello", "good day"))
    assert "configured" in run("apply", "-f", str(path))
    run("rollout", "status", f"deploy/{name}", "--timeout=30s")
    gone(own_kubectl, *first)
    (pod,) = names(own_kubectl, *chosen)
    env = json.loads(run("get", pod, "-o", "json"))["spec"]["containers"][0]["env"]
    assert env == [{"name": "GREETING", "value": "good day"}]
    assert "scaled" in run("scale", f"deploy/{name}", "--replicas=2")
    run("rollout", "status", f"deploy/{name}", "--timeout=30s")
    assert len(names(own_kubectl, *chosen)) == 2
    assert "restarted" in run("rollout", "restart", f"deploy/{name}")
    assert "deleted" in run("delete", "-f", str(path))
    gone(own_kubectl, *names(own_kubectl, *chosen))


def test_labels_namespaces_and_single_pods(own_kubectl):
    run, name = own_kubectl.run, f"lone-{own_kubectl.version.replace('.', '-')}"
    assert "created" in run("create", "ns", name)
    within = ("-n", name)
    assert "created" in run("run", "one", "--image=x", *within, "--command", "--", "sleep", "1000")
    run("wait", "--for=condition=Ready", "pod/one", *within, "--timeout=30s")
    assert "labeled" in run("label", "pod", "one", "colour=red", *within)
    assert names(own_kubectl, *within, "-l", "colour=red") == {"pod/one"}
    assert "labeled" in run("label", "pod", "one", "colour-", *within)
    assert names(own_kubectl, *within, "-l", "colour") == set()
    patch = '{"spec": {"restartPolicy": "Never"}}'
    assert "may not change the spec" in run("patch", "pod", "one", *within, "-p", patch, code=1)
    assert "deleted" in run("delete", "pod", "one", *within, "--grace-period=0", "--force")
    made = run("create", "deployment", "some", "--image=x", *within, "--", "sleep", "1000")
    assert "created" in made
    assert "deleted" in run("delete", "ns", name)
    assert "not found" in run("get", "ns", name, code=1)


def test_a_manifest_with_what_is_not_here_is_refused(own_kubectl, tmp_path):
    path = tmp_path / "pod.yaml"
    pod = {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": "volumes"},
        "spec": {"volumes": [{"name": "a"}], "containers": [{"name": "main"}]},
    }
    path.write_text(json.dumps(pod))
    said = own_kubectl.run("apply", "-f", str(path), code=1)
    assert "spec.volumes: not supported here" in said


def test_a_forward_ends_with_its_pod(own_forwarder):
    """Kubelets leave an idle forward hanging until its next connection fails; here it ends."""
    kubectl = own_forwarder
    pod = min(names(kubectl, "-l", "app=api"))
    with kubectl.forward(pod, ":8080") as running:
        with connect(running.port) as sock:
            request = b"GET / HTTP/1.1\r\nHost: pod\r\n\r\n"
            sock.sendall(request)
            assert sock.recv(12) == b"HTTP/1.1 200"
            kubectl.run("delete", pod)
            while sock.recv(1 << 16):
                pass
        assert "lost connection to pod" in running.rest()
    kubectl.run("rollout", "status", "deploy/api", "--timeout=30s")


def test_an_echo_keeps_on_while_another_pod_is_deleted(own_kubectl):
    other = min(names(own_kubectl, "-l", "app=api"))
    with own_kubectl.forward("pod/web", ":7") as running:
        with connect(running.port) as sock:
            assert echo(sock, b"before") == b"before"
            own_kubectl.run("delete", other)
            assert echo(sock, b"after") == b"after"
    own_kubectl.run("rollout", "status", "deploy/api", "--timeout=30s")
