"""A node's pods from their start to their end, in namespaces and without."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import socket

import psutil
import pytest
from agent.nodes import echo_pod, make_pod, python_pod, ready, running_node, sleeping_pod, until
from peers.processes import runs

from kfwd_nb.agent.runtime import SandboxError
from kfwd_nb.errors import NotFoundError, UnavailableError
from kfwd_nb.kube.objects import PID_ANNOTATION, ContainerStatus, condition

pytestmark = pytest.mark.chain


def worker_of(node, name="web"):
    return node.pods.find("default", name)


def state_of(node, name="web"):
    return worker_of(node, name).pod.status.container_statuses[0]


def leader(node) -> psutil.Process:
    """The process of the only container of the only pod."""
    (sandbox,) = node.runtime.sandboxes
    (process,) = psutil.Process(sandbox.pid).children()
    return process


async def test_a_container_that_is_killed_is_started_again(node):
    await ready(node, echo_pod("web", 80))
    first = leader(node)
    first.kill()
    status = await until(lambda: state_of(node) if state_of(node).restart_count else None)
    last = status.last_state["terminated"]
    assert (last["exitCode"], last["signal"], last["reason"]) == (137, 9, "Error")
    await until(lambda: worker_of(node).pod.ready)
    assert leader(node).pid != first.pid


async def test_a_container_that_fails_says_its_last_lines(node):
    command = 'echo first; echo "no such table: users" >&2; exit 3'
    await node.pods.put(make_pod("web", "sh", "-c", command))

    def crashed() -> ContainerStatus | None:
        status = state_of(node)
        return status if status.state.get("waiting", {}).get("message") else None

    status = await until(crashed)
    assert status.state["waiting"]["reason"] == "CrashLoopBackOff"
    last = status.last_state["terminated"]
    assert last["exitCode"] == 3
    assert "no such table: users" in last["message"]
    assert worker_of(node).pod.status.phase == "Running"


@pytest.mark.parametrize(
    ("command", "fields", "why"),
    [
        (["/no/such/program"], {}, 'exec "/no/such/program": No such file or directory'),
        (["/etc/passwd"], {}, 'exec "/etc/passwd": Permission denied'),
        (["true"], {"workingDir": "/no/such"}, 'workingDir "/no/such": No such file or directory'),
        ([], {}, "no command"),
    ],
)
async def test_a_command_that_cannot_be_started_says_why(node, command, fields, why):
    await node.pods.put(make_pod("web", *command, restartPolicy="Never", **fields))
    await until(lambda: worker_of(node).pod.status.phase == "Failed")
    ended = state_of(node).state["terminated"]
    assert (ended["reason"], ended["exitCode"]) == ("StartError", 128)
    assert why in ended["message"]


@pytest.mark.parametrize(
    ("policy", "code", "phase"),
    [("Never", 0, "Succeeded"), ("Never", 1, "Failed"), ("OnFailure", 0, "Succeeded")],
)
async def test_a_pod_that_is_not_to_be_restarted_ends(node, policy, code, phase):
    await node.pods.put(make_pod("web", "sh", "-c", f"exit {code}", restartPolicy=policy))
    await until(lambda: worker_of(node).pod.status.phase == phase)
    await until(lambda: not node.runtime.sandboxes, "the end of its sandbox")


async def test_a_pod_whose_first_process_is_killed_has_failed_and_nothing_is_left(node, tmp_path):
    program = "import os, time; os.fork() or os.setsid() or os.fork(); time.sleep(1000)"
    place = await ready(node, python_pod("web", program))
    processes = await until(lambda: three_descendants(place.sandbox.pid))
    assert worker_of(node).pod.metadata.annotations[PID_ANNOTATION] == str(place.sandbox.pid)
    os.kill(place.sandbox.pid, signal.SIGKILL)
    await until(lambda: worker_of(node).pod.status.phase == "Failed")
    status = worker_of(node).pod.status
    assert status.reason == "SandboxKilled"
    assert status.container_statuses[0].state["terminated"]["exitCode"] == 137
    await until(lambda: not any(map(runs, processes)), "the end of its processes")
    await until(lambda: not list(tmp_path.iterdir()), "the end of its directory")


def three_descendants(pid: int) -> list[psutil.Process]:
    found = psutil.Process(pid).children(recursive=True)
    return found if len(found) == 3 else []


async def test_deleting_a_pod_returns_when_nothing_of_it_is_left(node, tmp_path):
    program = "import os, time; os.fork() or os.setsid() or os.fork(); time.sleep(1000)"
    place = await ready(node, python_pod("web", program))
    processes = await until(lambda: three_descendants(place.sandbox.pid))
    processes.append(psutil.Process(place.sandbox.pid))
    gone = await node.pods.delete("default", "web")
    assert not any(map(runs, processes))
    assert not list(tmp_path.iterdir())
    assert gone.metadata.deletion_timestamp is not None
    with pytest.raises(NotFoundError):
        await node.pods.delete("default", "web")


async def test_a_container_may_end_in_peace_within_its_grace(node):
    program = """
import signal, sys, time
signal.signal(signal.SIGTERM, lambda *_: sys.exit(print("goodbye", flush=True)))
print("ready", flush=True)
time.sleep(1000)
"""
    await ready(node, python_pod("web", program, terminationGracePeriodSeconds=30))
    (sandbox,) = node.runtime.sandboxes
    await until(lambda: sandbox.directory.last_words("web", 0) == "ready")
    words = []
    remove = type(sandbox.directory).remove

    def keep(directory):
        words.append(directory.last_words("web", 0))
        remove(directory)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(type(sandbox.directory), "remove", keep)
        await asyncio.wait_for(node.pods.delete("default", "web"), 10)
    assert words == ["ready\ngoodbye"]


async def test_a_container_that_ignores_sigterm_is_killed_after_its_grace(node):
    program = """
import signal, time
signal.signal(signal.SIGTERM, signal.SIG_IGN)
print("deaf", flush=True)
time.sleep(1000)
"""
    await ready(node, python_pod("web", program, terminationGracePeriodSeconds=1))
    (sandbox,) = node.runtime.sandboxes
    await until(lambda: sandbox.directory.last_words("web", 0) == "deaf")
    process = leader(node)
    began = asyncio.get_running_loop().time()
    await node.pods.delete("default", "web")
    assert 0.9 < asyncio.get_running_loop().time() - began < 5
    assert not runs(process)


async def test_a_stopped_pod_can_be_ended(node):
    place = await ready(node, sleeping_pod("web", terminationGracePeriodSeconds=0))
    os.kill(place.sandbox.pid, signal.SIGSTOP)
    process = leader(node)
    await node.pods.delete("default", "web")
    await until(lambda: not runs(process))


async def test_the_same_uid_changes_nothing_and_another_one_replaces_the_pod(node):
    pod = sleeping_pod("web", terminationGracePeriodSeconds=0)
    place = await ready(node, pod)
    await node.pods.put(pod)
    assert worker_of(node).place.sandbox is place.sandbox
    other = await ready(node, sleeping_pod("web"))
    assert other.sandbox.pid != place.sandbox.pid
    assert not psutil.pid_exists(place.sandbox.pid)


async def test_a_watcher_hears_of_all_pods_then_of_changes_then_of_the_end(node):
    await ready(node, sleeping_pod("old", terminationGracePeriodSeconds=0))
    heard = []

    async def listen():
        async with contextlib.aclosing(node.pods.watch()) as changes:
            async for pod in changes:
                heard.append(pod)  # noqa: PERF401 - one at a time, as they come

    task = asyncio.create_task(listen())
    await until(lambda: heard)
    assert (heard[0].metadata.name, heard[0].ready) == ("old", True)
    await ready(node, sleeping_pod("new"))
    await until(lambda: any(pod.metadata.name == "new" and pod.ready for pod in heard))
    await node.pods.delete("default", "old")
    await until(lambda: heard[-1].metadata.deletion_timestamp)
    assert heard[-1].metadata.name == "old"
    task.cancel()
    await asyncio.wait([task])


async def test_a_pod_is_ready_when_its_declared_ports_listen_and_no_earlier(node):
    program = """
import os, socket, time
path = os.environ["KFWD_SCRATCH"] + "/go"
server = socket.create_server(("127.0.0.1", int(os.environ["KFWD_PORT_80"])))
while not os.path.exists(path):
    time.sleep(0.01)
other = socket.create_server(("127.0.0.1", int(os.environ["KFWD_PORT_81"])))
server.settimeout(1)
try:
    server.accept()
    print("disturbed", flush=True)
except TimeoutError:
    print("left alone", flush=True)
time.sleep(1000)
"""
    await node.pods.put(python_pod("web", program, ports=[80, 81]))

    def unready():
        found = condition(worker_of(node).pod.status.conditions)
        return "nobody listens on port 81 yet" in found.message

    await until(unready)
    assert not worker_of(node).pod.ready
    (sandbox,) = node.runtime.sandboxes
    (sandbox.directory.private / "go").touch()
    await until(lambda: worker_of(node).pod.ready)
    await until(lambda: sandbox.directory.last_words("web", 0) == "left alone")


HTTP = """
import http.server, os
class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        ok = os.path.exists(os.environ["KFWD_SCRATCH"] + "/ok")
        self.send_response(200 if ok and self.path == "/health" else 503)
        self.end_headers()
port = int(os.environ["KFWD_PORT_8080"])
http.server.ThreadingHTTPServer(("127.0.0.1", port), Handler).serve_forever()
"""


async def test_readiness_by_http_get_follows_the_answers(node):
    pod = python_pod("web", HTTP, ports=[8080])
    pod = make_pod(
        "web",
        *pod.spec.containers[0].command,
        ports=[8080],
        readinessProbe={
            "httpGet": {"port": 8080, "path": "/health"},
            "periodSeconds": 1,
            "failureThreshold": 1,
        },
    )
    await node.pods.put(pod)

    def message():
        return condition(worker_of(node).pod.status.conditions).message

    await until(lambda: "/health answered 503" in message())
    (sandbox,) = node.runtime.sandboxes
    (sandbox.directory.private / "ok").touch()
    await until(lambda: worker_of(node).pod.ready)
    (sandbox.directory.private / "ok").unlink()
    await until(lambda: "/health answered 503" in message())


async def test_readiness_by_tcp_socket(node):
    pod = echo_pod("web", 80)
    probe = {"tcpSocket": {"port": 80}}
    await ready(
        node, make_pod("web", *pod.spec.containers[0].command, ports=[80], readinessProbe=probe)
    )


async def test_a_long_log_keeps_its_end(node, monkeypatch):
    monkeypatch.setattr("kfwd_nb.agent.scratch.MAX_LOG", 1000)
    command = "i=0; while [ $i -lt 300 ]; do echo line-$i; i=$((i+1)); done; exec sleep 1000"
    await ready(node, make_pod("web", "sh", "-c", command))
    (sandbox,) = node.runtime.sandboxes
    await until(lambda: "line-299" in sandbox.directory.last_words("web", 0))
    sandbox.trim_logs()
    assert sandbox.directory.size("web") == 500
    assert sandbox.directory.last_words("web", 0).endswith("line-299")


async def test_a_refused_sandbox_is_tried_again_and_says_why(node, monkeypatch):
    create, tries = type(node.runtime).create, []

    async def refuse_once(runtime, pod, events):
        tries.append(pod)
        if len(tries) == 1:
            raise SandboxError("unshare(CLONE_NEWNET): No space left on device.")
        return await create(runtime, pod, events)

    monkeypatch.setattr(type(node.runtime), "create", refuse_once)
    await node.pods.put(sleeping_pod("web"))
    await until(lambda: "No space left" in worker_of(node).pod.status.message)
    assert worker_of(node).pod.status.phase == "Pending"
    await until(lambda: worker_of(node).pod.ready)
    assert worker_of(node).pod.status.message == ""


async def test_a_sandbox_that_dies_while_it_is_made_is_not_taken_for_a_running_one(
    node, monkeypatch
):
    create = type(node.runtime).create

    async def create_and_kill(runtime, pod, events):
        sandbox = await create(runtime, pod, events)
        os.kill(sandbox.pid, signal.SIGKILL)
        await until(lambda: sandbox.over)
        return sandbox

    monkeypatch.setattr(type(node.runtime), "create", create_and_kill)
    await node.pods.put(sleeping_pod("web"))
    await until(lambda: worker_of(node).pod.status.reason == "SandboxKilled")


async def test_deleting_a_pod_while_it_is_made_leaves_nothing(node, tmp_path):
    for pause in (0, 0.002, 0.01, 0.03):
        await node.pods.put(sleeping_pod("web", terminationGracePeriodSeconds=0))
        await asyncio.sleep(pause)
        await node.pods.delete("default", "web")
        assert not list(tmp_path.iterdir())
        assert not node.runtime.sandboxes


async def test_loopback_gives_another_port_where_a_stranger_took_it(tmp_path):
    async with running_node(tmp_path, "loopback", "loopback") as parts:
        place = await ready(parts, sleeping_pod("web", ports=[]))
        await parts.pods.delete("default", "web")
        pod = make_pod("web", "sh", "-c", "echo $(KFWD_PORT_80); exec sleep 1000", ports=[80])
        await parts.pods.put(pod)
        worker = parts.pods.find("default", "web")
        await until(lambda: worker.pod.status.phase == "Running")
        place = worker.place
        taken = place.sandbox.ports[80]
        with socket.create_server(("127.0.0.1", taken)):
            leader(parts).kill()
            await until(lambda: worker.pod.status.container_statuses[0].restart_count)
            await until(lambda: place.sandbox.ports[80] != taken)


async def test_the_pid_is_the_true_one_and_a_finished_pod_has_none(node):
    pod = make_pod("web", "sh", "-c", "until [ -e $KFWD_SCRATCH/go ]; do sleep 0.02; done")
    pod.spec.restart_policy = "Never"
    pod.metadata.annotations = {PID_ANNOTATION: "1", "mine": "stays"}
    place = await ready(node, pod)
    assert worker_of(node).pod.metadata.annotations == {
        PID_ANNOTATION: str(place.sandbox.pid),
        "mine": "stays",
    }
    (place.sandbox.directory.private / "go").touch()
    await until(lambda: worker_of(node).pod.status.phase == "Succeeded")
    assert worker_of(node).pod.metadata.annotations == {"mine": "stays"}


async def test_a_deleted_pod_has_no_pid(node):
    await ready(node, sleeping_pod("web", terminationGracePeriodSeconds=0))
    gone = await node.pods.delete("default", "web")
    assert PID_ANNOTATION not in gone.metadata.annotations


async def test_a_node_that_ends_says_so_instead_of_a_limit(tmp_path):
    async with running_node(tmp_path, "loopback", "loopback") as parts:
        await parts.pods.close(0)
        with pytest.raises(UnavailableError, match="the node is ending"):
            await parts.pods.put(sleeping_pod("web"))
