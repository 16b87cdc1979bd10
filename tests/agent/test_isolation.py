"""Isolation is real: what the kernel says of two pods and of the node."""

from __future__ import annotations

import os
import socket
import subprocess
import sys

import pytest
from agent.nodes import Client, echo_pod, make_pod, python_pod, ready, running_node, until

from kfwd_nb.agent import podinit
from kfwd_nb.agent.isolation import probe, refusal

pytestmark = pytest.mark.chain

NAMESPACES = ("net", "uts", "ipc", "mnt", "pid")


@pytest.fixture(params=["netns"])
def isolation(request):
    return request.param


def namespaces(pid: int) -> dict[str, str]:
    return {kind: os.readlink(f"/proc/{pid}/ns/{kind}") for kind in NAMESPACES}


async def said(node, *lines: str) -> None:
    """Wait until the only pod's only container has written these last lines."""
    (sandbox,) = node.runtime.sandboxes
    name = sandbox.name.partition("/")[2]
    await until(
        lambda: sandbox.directory.last_words(name, 0).split("\n") == list(lines),
        f"{lines} after {sandbox.directory.last_words(name, 0)!r}",
    )


async def test_two_pods_listen_on_the_same_port_and_the_node_does_not(node):
    places = [await ready(node, echo_pod(name, 4321)) for name in ("one", "two")]
    with socket.socket() as ours, pytest.raises(ConnectionRefusedError):
        ours.connect(("127.0.0.1", 4321))
    for place in places:
        client = Client(await node.connector.open(place, 4321))
        await client.send(place.name.encode())
        await until(lambda c=client, p=place: c.data == p.name.encode())


async def test_every_namespace_is_the_pods_own(node):
    places = [await ready(node, make_pod(name, "sleep", "1000")) for name in ("one", "two")]
    seen = [namespaces(pid) for pid in (os.getpid(), *(p.sandbox.pid for p in places))]
    for kind in NAMESPACES:
        assert len({each[kind] for each in seen}) == 3, kind


async def test_hostname_is_the_pods_name_and_its_first_process_is_one(node):
    program = """
import os, socket, time
print(socket.gethostname(), os.getppid(), os.readlink("/proc/self") == str(os.getpid()), flush=True)
time.sleep(1000)
"""
    await ready(node, python_pod("web-7", program))
    await said(node, "web-7 1 True")


async def test_a_pods_network_is_lo_with_both_addresses(node):
    await ready(node, make_pod("web", "sh", "-c", "cat /proc/net/dev | tail -n +3; exec sleep 9"))
    (sandbox,) = node.runtime.sandboxes
    line = await until(lambda: sandbox.directory.last_words("web", 0))
    assert line.strip().startswith("lo:")
    assert "\n" not in line


async def test_the_pods_files_are_the_nodes(node, tmp_path):
    (tmp_path / "there").write_text("hello\n")
    command = f"cat {tmp_path}/there; exec sleep 1000"
    await ready(node, make_pod("web", "sh", "-c", command))
    await said(node, "hello")


async def test_run_as_user_with_a_private_directory_of_his_own(node, tmp_path):
    tmp_path.chmod(0o700)
    program = """
import os, time
path = os.environ["KFWD_SCRATCH"]
open(path + "/mine", "w").write("x")
print(os.getuid(), os.getgid(), os.getgroups(), os.stat(path + "/mine").st_uid, flush=True)
try:
    os.setuid(0)
except PermissionError:
    print("no way back", flush=True)
time.sleep(1000)
"""
    pod = python_pod("web", program, securityContext={"runAsUser": 12345})
    pod.spec.containers[0].command[0] = "/usr/bin/python3"
    await ready(node, pod)
    await said(node, "12345 12345 [12345] 12345", "no way back")
    (sandbox,) = node.runtime.sandboxes
    assert (sandbox.directory.private / "mine").read_text() == "x"


async def test_any_user_of_a_pod_may_bind_its_low_ports(node):
    pod = echo_pod("web", 80, securityContext={"runAsUser": 12345})
    pod.spec.containers[0].command[0] = "/usr/bin/python3"
    await ready(node, pod)


async def test_limits_and_signals_are_the_usual_ones_again(node):
    """SIGPIPE: Python ignores it, and what a Python starts would inherit that."""
    from kfwd_nb.transport.descriptors import raise_descriptor_limit

    raise_descriptor_limit()
    script = "ulimit -n; (kill -PIPE $(sh -c 'echo $PPID'); echo ignored); echo end; sleep 1000"
    await ready(node, make_pod("web", "sh", "-c", script))
    await said(node, "1024", "end")


async def test_environment_and_directory_reach_the_process(node):
    pod = make_pod(
        "web",
        *("sh", "-c", 'pwd; echo "$GREETING" "$@"; exec sleep 1000', "sh"),
        *("$(KFWD_NODE)", "$(KFWD_PORT_81)", "$$(KFWD_POD)"),
        ports=[],
        env=[{"name": "GREETING", "value": "hi $(KFWD_POD)"}],
        workingDir="/usr",
    )
    await ready(node, pod)
    await said(node, "/usr", "hi web node-1 $(KFWD_PORT_81) $(KFWD_POD)")


async def test_a_container_inherits_nothing_but_its_three_descriptors(node):
    await ready(node, make_pod("web", "sh", "-c", "echo /proc/$$$$/fd/*; exec sleep 1000"))
    (sandbox,) = node.runtime.sandboxes
    line = await until(lambda: sandbox.directory.last_words("web", 0))
    assert [word.rpartition("/")[2] for word in line.split()] in (
        ["0", "1", "2"],
        ["0", "1", "2", "3"],  # the shell's own, while it reads the directory
    )


@pytest.mark.skipif(os.geteuid() != 0, reason="the best isolation is root's")
def test_root_gets_the_best_isolation_by_trying():
    possible = probe()
    assert (possible.isolation, possible.reasons) == ("netns", {})


def test_a_refusal_has_the_systems_words():
    script = (
        "echo 0 >/proc/sys/user/max_user_namespaces; echo 0 >/proc/sys/user/max_net_namespaces;"
        f'exec "{sys.executable}" -I -S "{podinit.__file__}" --probe='
    )
    for isolation, reason in (
        ("netns", "unshare(CLONE_NEWNET): No space left on device (user.max_net_namespaces is 0)"),
        ("userns", "unshare(CLONE_NEWUSER): No space left on device"),
    ):
        command = ["unshare", "-Ur", "sh", "-c", script + isolation]
        done = subprocess.run(command, capture_output=True, text=True, timeout=20, check=False)
        assert done.returncode == 1
        assert done.stderr.strip().startswith(reason)


def test_loopback_is_never_refused():
    assert refusal("loopback") is None


async def test_loopback_gives_each_declared_port_a_high_one(tmp_path):
    async with running_node(tmp_path, "loopback", "loopback") as parts:
        places = [await ready(parts, echo_pod(name, 80, 443)) for name in ("one", "two")]
        ports = [port for place in places for port in place.sandbox.ports.values()]
        assert len(set(ports)) == 4
        assert all(20_000 <= port < 32_768 for port in ports)
