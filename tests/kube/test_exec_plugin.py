"""Exec plugins are real programs here, written for each test."""

from __future__ import annotations

import asyncio
import json
import os
import sys
from pathlib import Path
from typing import Any

import psutil
import pytest

from kfwd_nb.errors import ConfigError
from kfwd_nb.kube.kubeconfig import login_path, plugin_process
from kfwd_nb.kube.kubeconfig.exec_plugin import VERSIONS, ExecPlugin, PluginSpec
from kfwd_nb.kube.waiting import Waiting

pytestmark = pytest.mark.chain

V1 = VERSIONS[0]


class Clock:
    now = 1_000_000.0

    def __call__(self) -> float:
        return self.now


def answer(version: str = V1, kind: str = "ExecCredential", **status: Any) -> str:
    return json.dumps({"apiVersion": version, "kind": kind, "status": status or {"token": "t"}})


@pytest.fixture
def program(tmp_path):
    def write(body: str, name: str = "plugin") -> Path:
        path = tmp_path / name
        path.write_text(f"#!{sys.executable}\nimport os, sys, time, json\n{body}\n")
        path.chmod(0o755)
        return path

    return write


def spec(command: Path | str, *args: str, version: str = V1, **more: Any) -> PluginSpec:
    fields = {"env": (), "interactive_mode": "", "install_hint": "", "cluster": b"", "source": "kc"}
    return PluginSpec(str(command), args, api_version=version, **(fields | more))


def plugin(command: Path | str, *args: str, clock: Any = None, **more: Any) -> ExecPlugin:
    return ExecPlugin(spec(command, *args, **more), clock or Clock())


async def test_it_is_told_what_it_may_know_and_stdin_is_closed(program):
    path = program(
        "info = json.loads(os.environ['KUBERNETES_EXEC_INFO'])\n"
        "said = [info, sys.argv[1:], os.environ['EXTRA'], sys.stdin.read()]\n"
        f"print(json.dumps(dict({answer()}, status={{'token': json.dumps(said)}})))"
    )
    cluster = b'{"server":"https://x"}'
    found = await plugin(path, "a", "b", env=(("EXTRA", "e"),), cluster=cluster).current(print)
    said = json.loads(found.headers["authorization"].removeprefix("Bearer "))
    info = {"interactive": False, "cluster": {"server": "https://x"}}
    assert said == [
        {"apiVersion": V1, "kind": "ExecCredential", "spec": info},
        ["a", "b"],
        "e",
        "",
    ]


@pytest.mark.parametrize("version", VERSIONS)
async def test_certificates_and_both_versions(program, version):
    body = answer(version, clientCertificateData="C", clientKeyData="K")
    found = await plugin(program(f"print({body!r})"), version=version).current(print)
    assert (found.headers, found.certificate, found.key) == ({}, b"C", b"K")


async def test_it_is_kept_until_it_expires_and_renewed_before(program, tmp_path):
    """1,000,000 s after the epoch is 1970-01-12T13:46:40Z."""
    runs = tmp_path / "runs"
    body = answer(token="t", expirationTimestamp="1970-01-12T14:46:40Z")
    clock = Clock()
    kept = plugin(program(f"open({str(runs)!r}, 'a').write('x')\nprint({body!r})"), clock=clock)
    await asyncio.gather(*(kept.current(print) for _ in range(5)))
    clock.now += 3569
    await kept.current(print)
    assert runs.read_text() == "x"
    clock.now += 2
    await kept.current(print)
    assert runs.read_text() == "xx"


async def test_what_the_server_does_not_take_is_forgotten(program, tmp_path):
    runs = tmp_path / "runs"
    kept = plugin(program(f"open({str(runs)!r}, 'a').write('x')\nprint({answer()!r})"))
    refused = await kept.current(print)
    assert kept.forget(refused)
    await kept.current(print)
    assert runs.read_text() == "xx"


async def test_many_refusals_of_one_credential_run_it_once(program, tmp_path):
    runs = tmp_path / "runs"
    kept = plugin(program(f"open({str(runs)!r}, 'a').write('x')\nprint({answer()!r})"))
    refused = await kept.current(print)
    for _ in range(5):
        assert kept.forget(refused), "another one is there already"
        await kept.current(print)
    assert runs.read_text() == "xx"


async def test_its_stderr_is_told_while_it_waits(program, tmp_path):
    go = tmp_path / "go"
    path = program(
        "print('open https://x and type CODE', file=sys.stderr)\n"
        f"while not os.path.exists({str(go)!r}): time.sleep(0.01)\n"
        f"sys.stderr.write('done')\nprint({answer()!r})"
    )
    told: list[str] = []

    def notice(line: str) -> None:
        told.append(line)
        go.touch()

    await plugin(path).current(notice)
    assert told == ["open https://x and type CODE", "done"]


async def test_it_is_told_that_it_runs_still(program, tmp_path, monkeypatch):
    monkeypatch.setattr(plugin_process, "TELL_EVERY", 0.01)
    go = tmp_path / "go"
    path = program(f"while not os.path.exists({str(go)!r}): time.sleep(0.01)\nprint({answer()!r})")
    told: list[Waiting] = []

    def waits(waiting: Waiting) -> None:
        told.append(waiting)
        if len(told) == 3:
            go.touch()

    await plugin(path).current(print, waits)
    assert len(told) >= 3
    assert told[0].what == f"the exec plugin {path} of the kubeconfig"
    assert told[0].until - told[0].since == plugin_process.RUN_LIMIT
    assert told[0] == told[-1]


async def test_a_browser_that_holds_its_outputs_is_not_waited_for(program, tmp_path):
    pid = tmp_path / "pid"
    path = program(
        "import subprocess\n"
        "child = subprocess.Popen(['sleep', '600'])\n"
        f"open({str(pid)!r}, 'w').write(str(child.pid))\nprint({answer()!r})"
    )
    try:
        assert (await plugin(path).current(print)).headers
    finally:
        psutil.Process(int(pid.read_text())).kill()


async def test_a_cancelled_wait_ends_it_with_all_that_it_started(program):
    path = program(
        "import subprocess, signal\nsignal.signal(signal.SIGTERM, signal.SIG_IGN)\n"
        "child = subprocess.Popen(['sleep', '600'])\n"
        "print('up', os.getpid(), child.pid, file=sys.stderr)\ntime.sleep(600)"
    )
    told: asyncio.Future[str] = asyncio.get_running_loop().create_future()
    task = asyncio.create_task(plugin(path).current(told.set_result))
    _, *numbers = (await told).split()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    async with asyncio.timeout(5):
        for number in numbers:
            while psutil.pid_exists(int(number)):  # killed, and its parent may not know yet
                if psutil.Process(int(number)).status() == psutil.STATUS_ZOMBIE:
                    break
                await asyncio.sleep(0.01)


@pytest.mark.parametrize(
    ("body", "words"),
    [
        ("sys.exit('please log in')", "ended with exit code 1.\n  please log in"),
        ("print('rubbish')", "printed no ExecCredential"),
        ("os.write(1, bytes(range(256)))", "printed no ExecCredential"),
        ("pass", "printed no ExecCredential"),
        ("print('[]')", "printed no ExecCredential"),
        (f"print({answer(kind='Status')!r})", f"printed {V1} Status, not"),
        (f"print({answer(VERSIONS[1])!r})", f"printed {VERSIONS[1]} ExecCredential, not"),
        (f"print({answer(other=1)!r})", "neither a token nor a certificate"),
        (f"print({answer(clientKeyData='K')!r})", "a certificate without its key"),
        (f"print({answer(token='a' + chr(10) + 'b')!r})", "characters that none may have"),
        ("os.kill(os.getpid(), 9)", "exit code -9"),
        ("print('x' * 2_000_000); time.sleep(600)", "wrote more than"),
        ("sys.stderr.write('x' * 2_000_000); time.sleep(600)", "octets to stderr"),
    ],
)
async def test_each_failure_is_one_clear_error(program, body, words):
    with pytest.raises(ConfigError) as caught:
        await plugin(program(body)).current(lambda _: None)
    assert words in caught.value.what
    assert "in a terminal" in (caught.value.hint or "")


async def test_the_wait_has_a_limit(program, monkeypatch):
    monkeypatch.setattr(plugin_process, "RUN_LIMIT", 0.2)
    with pytest.raises(ConfigError, match="did not end in"):
        await plugin(program("time.sleep(600)")).current(print)


def shell(folder: Path, body: str) -> str:
    path = folder / "shell"
    path.write_text(f"#!/bin/sh\n{body}\n")
    path.chmod(0o755)
    return str(path)


async def test_a_command_that_only_the_login_shell_knows(program, tmp_path, monkeypatch):
    program(f"assert {str(tmp_path)!r} in os.environ['PATH']\nprint({answer()!r})", "my-login")
    monkeypatch.setenv("PATH", "/nowhere")
    profile = f"echo a profile speaks; PATH=/usr/bin:/bin:{tmp_path}; export PATH"
    monkeypatch.setenv("SHELL", shell(tmp_path, f'{profile}\n[ "$1" = -lc ] && eval "$2"'))
    assert (await plugin("my-login").current(print)).headers


async def test_a_command_that_nobody_knows(tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", "/nowhere")
    monkeypatch.setenv("SHELL", shell(tmp_path, 'PATH=/some/place; eval "$2"'))
    with pytest.raises(ConfigError) as caught:
        await plugin("my-login", install_hint="get it from us").current(print)
    assert "(/nowhere)" in caught.value.what
    assert "(/some/place)" in caught.value.what
    assert caught.value.hint == "get it from us"


async def test_a_login_shell_that_hangs(tmp_path, monkeypatch):
    monkeypatch.setattr(login_path, "SHELL_LIMIT", 0.2)
    monkeypatch.setenv("SHELL", shell(tmp_path, "exec sleep 600"))
    with pytest.raises(ConfigError, match="which did not say"):
        await plugin("there-is-no-such-command").current(print)


async def test_a_path_is_not_looked_for(tmp_path):
    with pytest.raises(ConfigError, match="is not there, or cannot be run"):
        await plugin(os.fspath(tmp_path / "nothing")).current(print)
