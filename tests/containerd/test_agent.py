"""The whole chain into real containers: client, relay, node agent, containerd's sandboxes."""

from __future__ import annotations

import base64
import contextlib
import hashlib
import json
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil
import pytest
import yaml
from containerd.conftest import serving
from containerd.transfers import MIB, digest_of_sent
from peers.containerd import Containerd, PodSandbox

import kfwd_nb
from kfwd_nb.cluster.pki import Authority
from kfwd_nb.errors import KfwdError

pytestmark = pytest.mark.chain

PORTS = json.dumps([{"name": "echo", "containerPort": 7, "protocol": "TCP"}])

PATIENCE = 20.0


def until(condition: Callable[[], Any]) -> Any:
    end = time.monotonic() + PATIENCE
    while not (found := condition()):
        assert time.monotonic() < end, "never came true"
        time.sleep(0.01)
    return found


@dataclass
class Chain:
    """A relay and an agent of one node, both processes.

    Attributes:
        agent: its process; in the daemon's mount and PID namespaces, and in our network.
    """

    kubeconfig: Path
    relay: subprocess.Popen[bytes]
    agent: psutil.Process
    start_agent: Callable[[], psutil.Process]

    def kubectl(self, *words: str) -> subprocess.CompletedProcess[str]:
        binary = Path(sys.prefix, "kubectl", "kubectl-1.37")
        command = [str(binary), f"--kubeconfig={self.kubeconfig}", *words]
        return subprocess.run(command, capture_output=True, text=True, timeout=30, check=False)

    def pods(self) -> dict[str, Any]:
        """All pods of the namespace `default` by their names."""
        listed = self.kubectl("get", "pods", "-o", "json")
        assert listed.returncode == 0, listed.stderr
        return {each["metadata"]["name"]: each for each in json.loads(listed.stdout)["items"]}

    def ready(self, name: str) -> Any:
        """The pod, once it is ready; None before."""
        pod = self.pods().get(name)
        conditions = pod["status"]["conditions"] if pod else []
        return pod if any(c["type"] == "Ready" and c["status"] == "True" for c in conditions) else 0


@pytest.fixture(scope="module")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("pki")
    authority = Authority("tests")
    (folder / "ca.crt").write_bytes(authority.certificate)
    for name, made in (("relay", authority.relay()), ("node", authority.node("real"))):
        (folder / f"{name}.crt").write_bytes(made.certificate)
        (folder / f"{name}.key").write_bytes(made.key)
    return folder


@pytest.fixture(params=["netns", "socat"], scope="module")
def chain(
    request: pytest.FixtureRequest, certificates: Path, containerd: Containerd
) -> Iterator[Chain]:
    relay = start_relay(certificates)
    assert relay.stdout is not None
    port = json.loads(relay.stdout.readline())["listening"]
    agents = []

    def start_agent() -> psutil.Process:
        command = [
            *containerd.enter(net=False),
            *(sys.executable, "-m", "kfwd_nb.cli", "agent"),
            *("--cri", f"unix://{containerd.socket}", "--relay", f"127.0.0.1:{port}"),
            *("--cert", str(certificates / "node.crt"), "--key", str(certificates / "node.key")),
            *("--ca", str(certificates / "ca.crt"), "--node", "real"),
            *("--connector", request.param),
        ]
        entered = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE)
        agents.append(entered)
        assert entered.stdout is not None
        assert b"listening" in entered.stdout.readline()
        (agent,) = psutil.Process(entered.pid).children()
        return agent

    try:
        kubeconfig = write_kubeconfig(certificates, port)
        yield Chain(kubeconfig, relay, start_agent(), start_agent)
    finally:
        for entered in agents:
            for agent in psutil.Process(entered.pid).children() if entered.poll() is None else []:
                agent.send_signal(signal.SIGTERM)
            assert entered.wait(10) in (0, -signal.SIGKILL, 128 + signal.SIGKILL)
            entered.stdout.close()
        relay.terminate()
        assert relay.wait(10) == 0
        relay.stdout.close()
        relay.stdin.close()


def start_relay(folder: Path) -> subprocess.Popen[bytes]:
    config = {
        "cluster": "tests",
        "cert": str(folder / "relay.crt"),
        "key": str(folder / "relay.key"),
        "ca": str(folder / "ca.crt"),
        "tokens": [{"token": "secret", "user": "me", "groups": ["system:masters"]}],
    }
    (folder / "relay.json").write_text(json.dumps(config))
    return subprocess.Popen(
        [sys.executable, "-m", "kfwd_nb.relay", "--config", str(folder / "relay.json")],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )


def write_kubeconfig(folder: Path, port: int) -> Path:
    ca = base64.b64encode((folder / "ca.crt").read_bytes()).decode()
    cluster = {"server": f"https://127.0.0.1:{port}", "certificate-authority-data": ca}
    document = {
        "apiVersion": "v1",
        "kind": "Config",
        "current-context": "tests",
        "contexts": [{"name": "tests", "context": {"cluster": "tests", "user": "me"}}],
        "clusters": [{"name": "tests", "cluster": cluster}],
        "users": [{"name": "me", "user": {"token": "secret"}}],
    }
    (folder / "config").write_text(yaml.safe_dump(document))
    return folder / "config"


@pytest.fixture
def web(containerd: Containerd, chain: Chain) -> Iterator[PodSandbox]:
    """A pod with one container and the server in its namespaces, ready in the relay."""
    pod = containerd.run_sandbox("web", app="web")
    containerd.run_container(pod, "main", io__kubernetes__container__ports=PORTS)
    with serving(pod):
        until(lambda: chain.ready("web"))
        yield pod
    if pod.id in containerd.sandboxes():
        containerd.remove(pod)
    until(lambda: "web" not in chain.pods())


def connect(forward: kfwd_nb.Forward, port: int) -> socket.socket:
    local = next(each.local for each in forward.ports if each.remote == port)
    return socket.create_connection(("127.0.0.1", local), timeout=PATIENCE)


def read_all(sock: socket.socket) -> tuple[int, bytes]:
    seen, count = hashlib.sha256(), 0
    while data := sock.recv(1 << 18):
        seen.update(data)
        count += len(data)
    return count, seen.digest()


def read_some(sock: socket.socket, count: int) -> bytes:
    data = bytearray()
    while len(data) < count:
        more = sock.recv(count - len(data))
        assert more
        data += more
    return bytes(data)


def test_a_real_pod_is_shown_and_forwarded_to(chain: Chain, web: PodSandbox) -> None:
    shown = chain.ready("web")
    assert shown["metadata"]["uid"] == web.uid
    assert shown["metadata"]["labels"]["app"] == "web"
    assert shown["metadata"]["annotations"]["kfwd/pid"] == str(web.pid)
    assert shown["metadata"]["annotations"]["kfwd/found-by"] == "cri"
    assert shown["spec"]["nodeName"] == "real"
    assert shown["status"]["phase"] == "Running"
    assert shown["status"]["podIP"].startswith("10.88.")
    (container,) = shown["status"]["containerStatuses"]
    assert container["name"] == "main"
    assert "running" in container["state"]

    ports = (":7", ":71", ":80", ":9")
    with kfwd_nb.forward("web", *ports, kubeconfig=str(chain.kubeconfig)) as fwd:
        with connect(fwd, 7) as sock:
            sock.sendall(b"last words")
            sock.shutdown(socket.SHUT_WR)
            got = b""
            while data := sock.recv(100):
                got += data
            assert got == b"last wordsbye", "the reply after the end of our direction"
        with connect(fwd, 71) as sock:
            sock.sendall((64 * MIB).to_bytes(8, "big"))
            sock.shutdown(socket.SHUT_WR)
            assert read_all(sock) == (64 * MIB, digest_of_sent(64 * MIB))
        with connect(fwd, 80) as sock:
            sent, piece = hashlib.sha256(), bytes(range(256)) * (1 << 12)
            sock.sendall((64 * MIB).to_bytes(8, "big"))
            for _ in range(64):
                sock.sendall(piece)
                sent.update(piece)
            assert read_some(sock, 32) == sent.digest()
        with connect(fwd, 9) as sock, pytest.raises(ConnectionResetError):
            sock.recv(1)
        assert any("nobody listens on port 9" in each.reason for each in fwd.connections())


def test_a_named_port_is_known_by_the_kubelets_annotation(chain: Chain, web: PodSandbox) -> None:
    with kfwd_nb.forward("web", ":echo", kubeconfig=str(chain.kubeconfig)) as fwd:
        with connect(fwd, 7) as sock:
            sock.sendall(b"x")
            assert sock.recv(1) == b"x"


def test_the_sandbox_is_removed_under_way(
    chain: Chain, containerd: Containerd, web: PodSandbox
) -> None:
    with kfwd_nb.forward("web", ":70", kubeconfig=str(chain.kubeconfig)) as fwd:
        with connect(fwd, 70) as sock:
            sock.sendall((1 << 40).to_bytes(8, "big"))
            read_some(sock, 4 * MIB)
            containerd.remove(web)
            with contextlib.suppress(ConnectionResetError):
                while sock.recv(1 << 20):
                    pass
        until(lambda: "web" not in chain.pods())


def test_a_container_that_ends_makes_its_pod_unready(
    chain: Chain, containerd: Containerd, web: PodSandbox
) -> None:
    second = containerd.run_container(web, "second")
    until(lambda: len(chain.pods()["web"]["status"]["containerStatuses"]) == 2)
    containerd.stop_container(second)
    until(lambda: not chain.ready("web"))
    ended = chain.pods()["web"]["status"]["containerStatuses"][1]
    assert ended["state"]["terminated"]["exitCode"] == 128 + signal.SIGKILL


def test_nobody_here_starts_or_ends_such_a_pod(chain: Chain, web: PodSandbox) -> None:
    refused = chain.kubectl("delete", "pod", "web")
    assert refused.returncode != 0
    assert "it can be deleted only where it was made" in refused.stderr
    assert "deletionTimestamp" not in chain.ready("web")["metadata"]


def test_a_pod_that_went_while_the_agent_was_away_is_forgotten(
    chain: Chain, containerd: Containerd, web: PodSandbox
) -> None:
    other = containerd.run_sandbox("stays")
    until(lambda: chain.ready("stays"))
    chain.agent.kill()
    until(lambda: not chain.ready("web"))
    containerd.remove(web)
    chain.agent = chain.start_agent()
    until(lambda: "web" not in chain.pods() and chain.ready("stays"))
    containerd.remove(other)
    until(lambda: "stays" not in chain.pods())


def test_a_pod_that_is_gone_is_not_found(chain: Chain) -> None:
    with pytest.raises(KfwdError, match="not found"):
        kfwd_nb.forward("web", ":7", kubeconfig=str(chain.kubeconfig))
