"""What is left when a kernel ends, whatever way: nothing."""

from __future__ import annotations

import os
import secrets
import socket
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psutil
import pytest

from kfwd_nb.client.local.stable_port import stable_port
from kfwd_nb.ports import Target

pytestmark = pytest.mark.notebook


def folder_of(kernel: Any) -> Path:
    return Path(kernel.ok("import os; print(os.environ['KUBECONFIG'])").printed.strip()).parent


TELLS_ITS_BEGINNING = """
from kfwd_nb.notebook.embedded import embedded

def start(*arguments):
    print("it begins", flush=True)
    del embedded.start
    return embedded.start(*arguments)

embedded.start = start
"""


def tab(kernel: Any, line: str) -> list[str]:
    kernel.client.complete(line)
    return kernel.client.get_shell_msg(timeout=10)["content"]["matches"]


def test_up_and_down(
    new_kernel: Callable[..., Any],
    survivors: Callable[..., Any],
    eventually: Callable[..., bool],
    tmp_path: Path,
) -> None:
    own = tmp_path / "config"
    kernel = new_kernel(KUBECONFIG=str(own))
    kernel.ok("%load_ext kfwd_nb")
    assert "web" not in tab(kernel, "%portforward w")
    kernel.ok(TELLS_ITS_BEGINNING)
    run = kernel.ok("cluster = %kfwd up")
    told = [each["msg_type"] for each in run.messages]
    assert told.index("display_data") < told.index("stream"), "it is shown before it begins"
    ids = {each["content"]["transient"]["display_id"] for each in run.displays}
    assert len(ids) == 1, "progress and result stand in one place"
    last = run.displays[-1]["content"]["data"]["text/plain"]
    for each in ("is ready after", "isolation ", "default/web", "%portforward web :80"):
        assert each in last

    assert eventually(lambda: tab(kernel, "%portforward w") == ["web"], 20)
    (context,) = tab(kernel, "%portforward web :80 --context ")
    assert context.startswith("kfwd-")
    folder, family = folder_of(kernel), kernel.family()
    assert folder.is_dir()
    assert len(family) >= 4
    assert "is already up" in kernel.ok("%kfwd up").text
    kernel.ok("web = %portforward web :80")
    assert "forwards stopped: web" in kernel.ok("%kfwd down").text
    assert survivors(family) == []
    assert not folder.exists()
    assert kernel.ok("print(web.state, os.environ['KUBECONFIG'])").printed == f"stopped {own}\n"
    for ask in ("web.url()", "web.link"):
        run = kernel.run(ask)
        assert run.lines[0] == "web was stopped: its embedded cluster was ended by %kfwd down."
        assert "run the line that started it again" in run.lines[1]
        assert len(run.lines) == 2
    assert "stopped: its embedded cluster was ended" in kernel.ok("web").text
    again = kernel.ok("%kfwd down").text  # a teardown cell can be run twice
    assert "there is no embedded cluster" in again
    kernel.ok("%kfwd up")
    assert (
        "Hello"
        in kernel.ok(
            "web = %portforward web :80\nimport urllib.request\n"
            "print(urllib.request.urlopen(web.url()).read().decode())"
        ).printed
    )


def test_simulated_isolation_is_said_everywhere(new_kernel: Callable[..., Any]) -> None:
    kernel = new_kernel()
    kernel.ok("%load_ext kfwd_nb")
    assert (
        "isolation loopback: simulated isolation"
        in kernel.ok("%kfwd up --isolation loopback").bundles[-1]["text/plain"]
    )
    shown = kernel.ok("web = %portforward web :80").bundles + kernel.ok("%portforward").bundles
    for bundle in shown:
        for form in bundle.values():
            assert "simulated isolation" in form
    assert "isolation loopback: simulated" in kernel.ok("%kfwd status").text
    inside = kernel.ok("inside = %kfwd nsenter web -- echo here\ninside").text
    assert inside.splitlines()[0] == "echo here"
    assert "ran as it is" in inside


def test_a_cluster_that_dies_is_not_mistaken_for_none(
    new_kernel: Callable[..., Any], eventually: Callable[..., bool]
) -> None:
    kernel = new_kernel()
    kernel.ok("%load_ext kfwd_nb")
    kernel.ok("%kfwd up")
    assert "up with other options" in kernel.run("%kfwd up --nodes 3").lines[0]
    kernel.ok("%portforward web :80")
    (relay,) = [each for each in kernel.family() if "kfwd_nb.relay" in each.cmdline()]
    relay.kill()
    assert eventually(lambda: kernel.family() == [], 5)
    for line in ("%kfwd status", "%kfwd pods", "%portforward web :80"):
        run = kernel.run(line)
        assert run.lines[0].startswith("cluster ")
        assert " has ended: the relay ended" in run.lines[0]
        assert "`%kfwd up` starts another" in run.lines[1]
        assert len(run.lines) == 2
    assert "which has ended, are stopped: web" in kernel.ok("%kfwd up").text
    up = kernel.ok("%kfwd up").text
    (isolation,) = [line for line in up.splitlines() if "isolation " in line]
    assert isolation in kernel.ok("%kfwd status").text.splitlines()


def test_a_table_says_that_its_cluster_is_gone_before_a_magic_does(
    new_kernel: Callable[..., Any], eventually: Callable[..., bool]
) -> None:
    kernel = new_kernel()
    kernel.ok("%load_ext kfwd_nb")
    kernel.ok("%kfwd up")
    kernel.ok("%portforward web :80")
    (supervisor,) = psutil.Process(kernel.pid).children()
    supervisor.kill()

    def says_so(message: dict[str, Any]) -> bool:
        text = message["content"].get("data", {}).get("text/plain", "")
        return "embedded cluster of this process has ended; `%kfwd up` starts another" in text

    assert says_so(kernel.listen(20, until=says_so)[-1])
    assert eventually(lambda: kernel.family() == [], 20)
    assert " has ended: the cluster's supervisor ended" in kernel.run("%kfwd status").lines[0]


def test_interrupt_while_it_starts(
    new_kernel: Callable[..., Any], survivors: Callable[..., Any], eventually: Callable[..., bool]
) -> None:
    kernel = new_kernel()
    kernel.ok("%load_ext kfwd_nb")
    request = kernel.send("%kfwd up")
    assert eventually(lambda: len(kernel.family()) >= 2, 10)
    family = kernel.family()
    kernel.interrupt()
    run = kernel.finish(request)
    assert run.status == "error"
    assert run.lines == ["interrupted; nothing was started."]
    assert "no embedded cluster was started" in run.text
    assert survivors(family) == []
    assert kernel.family() == []
    assert kernel.ok("import os; print('KUBECONFIG' in os.environ)").printed == "False\n"


@pytest.mark.parametrize("end", ["kill", "shutdown", "restart"])
def test_the_end_of_a_kernel_is_the_end_of_everything(
    new_kernel: Callable[..., Any],
    survivors: Callable[..., Any],
    eventually: Callable[..., bool],
    end: str,
) -> None:
    kernel = new_kernel()
    kernel.ok("%load_ext kfwd_nb")
    kernel.ok("%kfwd up")
    kernel.ok("web = %portforward web :80")
    port = int(kernel.ok("print(web.local_port)").printed)
    folder, family = folder_of(kernel), kernel.family()
    with socket.create_connection(("127.0.0.1", port)) as download:
        download.sendall(b"GET /bytes/1073741824 HTTP/1.0\r\n\r\n")
        download.recv(65536)
        if end == "kill":
            kernel.kill()
        elif end == "restart":
            kernel.restart()
        else:
            kernel.stop()
    assert survivors(family) == []
    assert eventually(lambda: not folder.exists(), 3)
    with socket.socket() as free:
        free.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        free.bind(("127.0.0.1", port))


def test_unloading_stops_forwards_and_reloading_keeps_them(new_kernel: Callable[..., Any]) -> None:
    kernel = new_kernel()
    kernel.ok("import sys, socket\n%load_ext kfwd_nb")
    interval = kernel.ok("print(sys.getswitchinterval())").printed
    kernel.ok("%kfwd up")
    kernel.ok("echo = %portforward web :7")
    connected = "s = socket.create_connection(('127.0.0.1', echo.local_port)); "
    kernel.ok(f"{connected}s.sendall(b'one')")
    assert kernel.ok("print(sys.getswitchinterval())").printed != interval
    kernel.ok("%reload_ext kfwd_nb")
    kernel.ok("s.sendall(b'two')")
    assert kernel.ok("print(s.recv(6, socket.MSG_WAITALL))").printed == "b'onetwo'\n"
    assert "already forwarding" in kernel.ok("%portforward web :7").text
    table = kernel.ok("%unload_ext kfwd_nb").text
    assert "stopped" in table, "the last state stands there"
    assert kernel.ok("print(echo.state)").printed == "stopped\n"
    assert kernel.ok("print(sys.getswitchinterval())").printed == interval
    assert kernel.run(connected).reply["content"]["ename"] == "ConnectionRefusedError"
    assert kernel.run("%portforward").status == "error"


A_POD = """
apiVersion: v1
kind: Pod
metadata: {{name: {name}}}
spec: {{containers: [{{name: idle, command: [sleep, infinity]}}]}}
"""


def test_a_bookmark_survives_the_kernel(new_kernel: Callable[..., Any], tmp_path: Path) -> None:
    """The embedded cluster has another name each time; that does not count."""
    name = f"pod-{secrets.token_hex(4)}"  # nobody else on this machine derives its number
    (tmp_path / "pod.yaml").write_text(A_POD.format(name=name))
    kernel = new_kernel()
    ports = []
    for _ in range(2):
        kernel.ok(f"%load_ext kfwd_nb\n%kfwd up -f {tmp_path}/pod.yaml")
        ports.append(
            int(kernel.ok(f"fwd = %portforward {name} :80\nprint(fwd.local_port)").printed)
        )
        kernel.restart()
    assert ports == [stable_port("", "default", Target("pod", name), 80)] * 2


FORK = """
import multiprocessing, time
child = multiprocessing.get_context('fork').Process(target=time.sleep, args=(60,))
child.start()
print(child.pid)
"""


def listening(process: psutil.Process) -> set[int]:
    return {each.laddr.port for each in process.net_connections("tcp")}


def test_a_fork_holds_no_listener(
    new_kernel: Callable[..., Any], survivors: Callable[..., Any], eventually: Callable[..., bool]
) -> None:
    kernel = new_kernel()
    kernel.ok("%load_ext kfwd_nb")
    kernel.ok("%kfwd up")
    kernel.ok("web = %portforward web :80")
    port = int(kernel.ok("print(web.local_port)").printed)
    family = kernel.family()
    child = psutil.Process(int(kernel.ok(FORK).printed))
    try:
        # It closes them as its first thing, which may be after its PID is known here.
        assert eventually(lambda: port not in listening(child), 10)
        kernel.kill()
        assert survivors(family) == []
        assert child.is_running()
        with socket.socket() as free:
            free.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            free.bind(("127.0.0.1", port))
    finally:
        os.kill(child.pid, 9)


def test_a_restart_says_nothing_but_in_the_tables(new_kernel: Callable[..., Any]) -> None:
    """The cluster ends with its kernel; that its forwards lose it then is no news for anybody."""
    kernel = new_kernel()
    kernel.ok("%load_ext kfwd_nb")
    kernel.ok("%kfwd up")
    kernel.ok("one = %portforward web :80\ntwo = %portforward svc/api :80")
    kernel.ok("%portforward db :5432 --loop kernel")
    kernel.ok("import kfwd_nb\nkfwd_nb.Dashboard()")
    said = kernel.client.iopub_channel
    kernel.client.shutdown()
    assert kernel.manager.provisioner.process.wait(30) is not None
    messages = []
    while said.msg_ready():
        messages.append(said.get_msg(timeout=1))
    streams = [each["content"]["text"] for each in messages if each["msg_type"] == "stream"]
    assert streams == []
    shown = [each["content"]["data"] for each in messages if each["msg_type"].endswith("_data")]
    tables = {text for each in shown if "web" in (text := each["text/plain"])}
    assert any("stopped" in each and "its kernel has ended" in each for each in tables)
    of_db = [text for each in shown if (text := each["text/plain"]).count("pod/db") == 1]
    assert "stopped: its kernel has ended" in of_db[-1], "on the kernel's own loop"
    assert not any("listening" in each["text/plain"] for each in shown[-3:])
    kernel.log.flush()
    assert "Traceback" not in Path(kernel.log.name).read_text()
