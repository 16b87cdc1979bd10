"""The embedded cluster of ordinary users: one who may make namespaces, one who may not."""

from __future__ import annotations

import re
import signal
import subprocess
import time
import urllib.request

import psutil
import pytest

pytestmark = pytest.mark.users


def first_line(process: subprocess.Popen[str]) -> str:
    assert process.stdout is not None
    line = process.stdout.readline()
    if not line:
        raise AssertionError(process.communicate())
    return line


def test_up_and_forward(ordinary_user) -> None:
    user, isolation = ordinary_user
    kfwd = (str(user.python), "-m", "kfwd_nb.cli")
    cluster = user.start(*kfwd, "cluster", "up")
    forward = None
    try:
        line = first_line(cluster)
        match = re.search(r"kubeconfig=(\S+) .* isolation=(\w+)", line)
        assert match is not None
        assert match[2] == isolation
        assert ("simulated isolation" in line) == (isolation == "loopback")
        forward = user.start(*kfwd, "port-forward", "--kubeconfig", match[1], "web", ":80")
        port = first_line(forward).partition("127.0.0.1:")[2].split()[0]
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/", timeout=20) as page:
            assert b"pod web" in page.read()
        forward.send_signal(signal.SIGINT)
        assert forward.wait(10) == 0
        members = psutil.Process(cluster.pid).children(recursive=True)
        cluster.kill()
        cluster.communicate()
        assert psutil.wait_procs(members, timeout=3)[1] == []
        deadline = time.monotonic() + 3
        while left := [path.name for path in user.home.glob("kfwd-*")]:
            assert time.monotonic() < deadline, left
            time.sleep(0.05)
    finally:
        for process in filter(None, (forward, cluster)):
            process.kill()
            process.communicate()
