"""The whole chain from a cell: an embedded cluster, forwards, ordinary blocking code."""

from __future__ import annotations

import json
import os
import re
import socket
import threading
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

from kfwd_nb.cluster.workload import has_postgres

pytestmark = pytest.mark.notebook

BYTES_IN = re.compile(r'in <data value="(\d+)"')

FETCH = "print(urllib.request.urlopen({}.url()).read().decode())"


@pytest.fixture(scope="module")
def module_kernel(up_kernel: Any) -> Any:
    up_kernel.ok("import urllib.request, socket, time, os")
    return up_kernel


@pytest.fixture
def kernel(module_kernel: Any) -> Iterator[Any]:
    yield module_kernel
    module_kernel.ok("%portforward --stop all")


def test_a_blocking_call_reaches_the_pod(kernel: Any) -> None:
    kernel.ok("web = %portforward web :80")
    assert "Hello from pod web" in kernel.ok(FETCH.format("web")).printed


def test_a_blocking_call_in_the_very_cell_of_the_magic(kernel: Any) -> None:
    run = kernel.ok("web = %portforward web :80\n" + FETCH.format("web"))
    assert "Hello from pod web" in run.printed


@pytest.mark.skipif(not has_postgres() and "CI" not in os.environ, reason="no PostgreSQL here")
def test_a_database_query(kernel: Any) -> None:
    kernel.ok("db = %portforward db :5432\nimport psycopg")
    run = kernel.ok(
        "with psycopg.connect(f'postgresql://postgres@127.0.0.1:{db.local_port}/postgres') as c:\n"
        "    print(c.execute('select 6 * 7').fetchone())"
    )
    assert run.printed == "(42,)\n"


def test_the_same_line_leaves_connections_alone(kernel: Any) -> None:
    kernel.ok("echo = %portforward web :7")
    kernel.ok("s = socket.create_connection(('127.0.0.1', echo.local_port)); s.sendall(b'one')")
    run = kernel.ok("again = %portforward web :7")
    assert "already forwarding" in run.text
    assert kernel.ok("print(again is echo, s.recv(3))").printed == "True b'one'\n"
    kernel.ok("s.sendall(b'two')")
    assert kernel.ok("print(s.recv(3)); s.close()").printed == "b'two'\n"


def test_for_the_length_of_a_cell(kernel: Any) -> None:
    run = kernel.ok(
        "%%portforward web :80\n"
        "import asyncio\n"
        "reader, writer = await asyncio.open_connection('127.0.0.1', fwd.local_port)\n"
        "writer.write(b'GET / HTTP/1.1\\r\\nhost: x\\r\\nconnection: close\\r\\n\\r\\n')\n"
        "print((await reader.read()).decode().splitlines()[0])\n"
        "writer.close()"
    )
    assert run.printed.startswith("HTTP/1.")
    check = "socket.create_connection(('127.0.0.1', fwd.local_port))"
    assert kernel.run(check).reply["content"]["ename"] == "ConnectionRefusedError"


def test_the_table_shows_the_connection(kernel: Any) -> None:
    kernel.ok("web = %portforward web :80")
    kernel.ok(FETCH.format("web"))
    text = kernel.ok("%portforward").text
    assert "pod/web" in text
    assert "default/web" in text
    assert "node-" in text
    assert "0 open, 1 in all" in text


def test_pods_and_services(kernel: Any) -> None:
    run = kernel.ok("pods = %kfwd pods\npods")
    assert {"web", "db"} <= set(run.text.split())
    names = "sorted((p.namespace, p.name) for p in pods if p.name in ('web', 'db'))"
    assert kernel.ok(f"print({names})").printed == (
        "[('default', 'db'), ('default', 'web'), ('staging', 'web')]\n"
    )
    lines = kernel.ok("for each in pods: print(each.line)").printed.splitlines()
    assert {"%portforward web :80", "%portforward web :80 -n staging"} <= set(lines)
    kernel.ok("services = %kfwd services")
    lines = kernel.ok("for each in services: print(each.line)").printed.splitlines()
    assert "%portforward svc/api :80" in lines
    for line in lines:
        assert "listening" in kernel.ok(line).text


def test_tab(kernel: Any) -> None:
    def matches(code: str) -> set[str]:
        kernel.client.complete(code)
        return set(kernel.client.get_shell_msg(timeout=10)["content"]["matches"])

    assert {"web", "db", "svc/", "deploy/"} <= matches("%portforward ")
    assert matches("%portforward svc/") == {"svc/api", "svc/web"}
    assert matches("%portforward deploy ") == {"api"}
    assert matches("%kfwd pods -n ") == {"default", "staging"}
    assert matches("%kfwd nsenter w") == {"web"}


def test_on_the_loop_of_the_kernel(kernel: Any) -> None:
    run = kernel.ok(
        "%%portforward web :80 --loop kernel\n"
        "import asyncio\n"
        "reader, writer = await asyncio.open_connection('127.0.0.1', fwd.local_port)\n"
        "writer.write(b'GET / HTTP/1.1\\r\\nhost: x\\r\\nconnection: close\\r\\n\\r\\n')\n"
        "print('Hello' in (await reader.read()).decode(), fwd.state)\n"
        "writer.close()"
    )
    assert run.printed == "True listening\n"
    assert kernel.ok("print(fwd.state)").printed == "stopped\n"


def test_status(kernel: Any) -> None:
    text = kernel.ok("%kfwd status").text
    assert "embedded cluster kfwd-" in text
    assert "isolation" in text
    assert "node-1" in text


def sleepers(seconds: str) -> list[int]:
    every = psutil.process_iter(["cmdline"])
    return [each.pid for each in every if each.info["cmdline"] == ["sleep", seconds]]


def test_nsenter_runs_in_the_network_of_the_pod(
    kernel: Any, eventually: Callable[..., bool]
) -> None:
    kernel.ok(
        "pods = %kfwd pods\npid = {p.name: p.pid for p in pods if p.namespace == 'default'}['web']"
    )
    run = kernel.ok("inside = %kfwd nsenter web -- readlink /proc/self/ns/net\ninside")
    assert f"nsenter -t {kernel.ok('print(pid)').printed.strip()} -n readlink" in run.text
    assert "exit status 0" in run.text
    namespace = kernel.ok("print(inside.output)").printed.strip()
    assert namespace == kernel.ok("print(os.readlink(f'/proc/{pid}/ns/net'))").printed.strip()
    assert namespace != os.readlink("/proc/self/ns/net")
    waiting = kernel.send("%kfwd nsenter web -- sleep 4711")
    assert eventually(lambda: bool(sleepers("4711")), 10)
    kernel.interrupt()
    assert kernel.finish(waiting).lines == ["interrupted; the command was ended."]
    assert eventually(lambda: not sleepers("4711"), 5)
    failed = kernel.run("%kfwd nsenter web -- sh -c 'echo before; exit 3'")
    assert "before" in failed.text
    assert failed.lines == ["exit status 3"]


def test_the_environment_is_lent(kernel: Any) -> None:
    assert Path(kernel.ok("!echo $KUBECONFIG").printed.strip()).is_file()


MISTAKES = [
    ("%portforward wbe :80", 'Pod "wbe" not found', '"web"'),
    ("%portforward svc/apo :80", "apo", '"api"'),
    ("%portforward web :80 -n stagin", "stagin", '"staging"'),
    ("%portforward web :80 --context nowhere", 'no context "nowhere"', "kfwd-"),
    ("%portforward web :nosuch", "nosuch", ""),
    ("%portforward web :80 db :5432", "'web' does not have a named port 'db'", "db :5432`"),
    ("%portforward web 70000:80", "invalid port format '70000:80'", "8080:80"),
    ("%portforward svc/api :81", "Service api does not have a service port 81", ""),
    ("%kfwd pods -n stagin", 'Namespace "stagin" not found', '"staging"'),
    ("%kfwd services -n stagin", 'Namespace "stagin" not found', '"staging"'),
    ("%portforward svc/api :80 -n staging", "api", "-n default"),
    ("%kfwd nsenter wbe -- true", 'Pod "wbe" not found', '"web"'),
    ("%kfwd nsenter web -- no-such-command", "there is no command 'no-such-command'", ""),
]


@pytest.mark.parametrize(("cell", "said", "hint"), MISTAKES)
def test_a_mistake_is_a_line_or_two(kernel: Any, cell: str, said: str, hint: str) -> None:
    run = kernel.run(cell)
    assert run.status == "error"
    assert said in run.lines[0]
    assert hint in "\n".join(run.lines)
    assert len(run.lines) <= 2
    assert "Traceback" not in "".join(run.lines) + run.printed


def test_a_port_that_is_taken_is_named_with_its_owner(kernel: Any) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        run = kernel.run(f"%portforward web {taken.getsockname()[1]}:80")
    assert run.status == "error"
    assert str(os.getpid()) in "".join(run.lines)
    assert len(run.lines) <= 2


def test_an_interrupt_leaves_forwards_unharmed(
    kernel: Any, eventually: Callable[..., bool]
) -> None:
    kernel.ok("echo = %portforward web :7")
    kernel.ok("s = socket.create_connection(('127.0.0.1', echo.local_port)); s.sendall(b'one')")
    request = kernel.send("print('begun', flush=True)\ntime.sleep(60)")
    kernel.listen(10, until=lambda each: each["content"].get("text") == "begun\n")
    kernel.interrupt()
    assert kernel.finish(request).reply["content"]["ename"] == "KeyboardInterrupt"
    assert kernel.ok("print(s.recv(3), echo.state); s.close()").printed == "b'one' listening\n"
    assert "Hello" in kernel.ok("web = %portforward web :80\n" + FETCH.format("web")).printed


class Slow(threading.Thread):
    """Downloads from outside of the kernel, a piece at a time."""

    def __init__(self, url: str, pieces: int, piece: int, pause: float) -> None:
        super().__init__()
        self.url, self.pieces, self.piece, self.pause = url, pieces, piece, pause
        self.received = 0
        self.start()

    def run(self) -> None:
        clock = threading.Event()
        url = f"{self.url}bytes/{self.pieces * self.piece}"
        with urllib.request.urlopen(url, timeout=60) as response:
            while data := response.read(self.piece):
                self.received += len(data)
                clock.wait(self.pause)


def sent_by_pod(url: str) -> int:
    """Bytes that the pod has sent from its port 80, by its own count, before this answer."""
    with urllib.request.urlopen(f"{url}stats", timeout=10) as response:
        return int(json.load(response)["http"]["out"])


def test_the_table_moves_while_a_cell_blocks(kernel: Any) -> None:
    run = kernel.ok("web = %portforward web :80\nprint(web.url())")
    display, url = run.displays[0]["content"]["transient"], run.printed.strip()
    before = sent_by_pod(url)
    kernel.listen(2)
    request = kernel.send("time.sleep(5)")
    download = Slow(url, pieces=45, piece=1 << 20, pause=0.1)
    messages = kernel.finish(request).messages
    while_asleep = len(messages)
    download.join(30)
    messages += kernel.listen(2)
    updates = [
        each["content"]["data"]["text/html"] if each["msg_type"] == "update_display_data" else ""
        for each in messages
        if each["content"].get("transient") in (None, display)
    ]
    seen = [int(found[1]) if (found := BYTES_IN.search(html)) else None for html in updates]
    rising = [count for count in seen[:while_asleep] if count is not None]
    assert len(set(rising)) >= 10
    assert rising == sorted(rising)
    assert download.received == 45 << 20
    last = [count for count in seen if count is not None][-1]
    assert last == sent_by_pod(url) - before
    assert "idle" in next(filter(None, reversed(updates)))


def test_an_idle_forward_says_nothing(kernel: Any) -> None:
    kernel.ok("echo = %portforward web :7")
    kernel.ok("s = socket.create_connection(('127.0.0.1', echo.local_port)); s.sendall(b'one')")
    kernel.listen(2)
    assert kernel.listen(3) == []
    kernel.ok("s.close()")
