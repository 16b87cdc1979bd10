"""The Tab key in a shell, and kubectl's question for its plugin."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import psutil
import pytest

from kfwd_nb.cli import completing, main
from kfwd_nb.cli.completing import _options_first, complete
from kfwd_nb.cli.port_forward import parser

pytestmark = pytest.mark.pure

ANSWER = "from kfwd_nb.cli.completing import answer_kubectl; answer_kubectl()"


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, Any, Any]]:
    """What the cluster is asked for; it answers with `a1` and `b2`, as ports with 80 and 443."""
    asked: list[tuple[str, Any, Any]] = []

    def names(kind: str, given: Any) -> tuple[str, ...]:
        asked.append((kind, given.namespace, given.context))
        return ("80", "443") if kind.startswith("ports") else ("a1", "b2")

    monkeypatch.setattr(completing, "_names", names)
    return asked


@pytest.mark.parametrize(
    ("words", "texts", "question"),
    [
        (["po"], ["port-forward"], None),
        (["port-forward", "a"], ["a1"], ("pod", None, None)),
        (["port-forward", "svc/"], ["svc/a1", "svc/b2"], ("svc", None, None)),
        (["a"], ["agent"], None),
        (["b"], ["b2"], ("pod", None, None)),
        (["svc/a"], ["svc/a1"], ("svc", None, None)),
        (["port-forward", "sts", "b"], ["b2"], ("sts", None, None)),
        (["port-forward", "web", ":"], [":80", ":443"], ("ports pod/web", None, None)),
        (["port-forward", "svc/x", "8080:4"], ["8080:443"], ("ports svc/x", None, None)),
        (["port-forward", "web", "-n", "st", "8"], ["80"], ("ports pod/web", "st", None)),
        (["web", ":80", "--context", "k", ":4"], [":443"], ("ports pod/web", None, "k")),
        (["port-forward", "web", "-n", ""], ["a1", "b2"], ("namespace", None, None)),
        (["port-forward", "--dialect", "s"], ["spdy"], None),
        (["port-forward", "--bal"], ["--balance"], None),
        (["port-forward", "--as", ""], [], None),
        (["cluster", ""], ["up"], None),
        (["cluster", "up", "--iso"], ["--isolation"], None),
        (["completion", "f"], ["fish"], None),
    ],
)
def test_what_a_word_can_become(
    asked: list[tuple[str, Any, Any]], words: list[str], texts: list[str], question: Any
) -> None:
    assert complete(words) == texts
    assert asked == ([] if question is None else [question])


def test_options_come_first() -> None:
    line = "kfwd web -n staging :80 --balance "
    assert _options_first(line, parser()) == "kfwd -n staging --balance web :80 "
    assert _options_first("kfwd web -n st", parser()) == "kfwd web -n st"


def test_contexts_come_from_the_kubeconfig(tmp_path: Path) -> None:
    path = tmp_path / "config"
    path.write_text(
        "{contexts: [{name: kind, context: {cluster: a}}, {name: prod, context: {cluster: b}}]}"
    )
    assert complete(["port-forward", "--kubeconfig", str(path), "--context", "p"]) == ["prod"]


def test_a_cluster_that_is_not_there_is_no_answer(tmp_path: Path) -> None:
    missing = str(tmp_path / "missing")
    assert complete(["port-forward", "--kubeconfig", missing, "w"]) == []


def test_kubectl_gets_a_directive(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "argv", ["kubectl_complete-kfwd", "port-forward", "--dialect", ""])
    assert completing.answer_kubectl() == 0
    assert capsys.readouterr().out.splitlines() == ["auto", "websocket", "spdy", "connect", ":4"]


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_every_shell_gets_code_that_names_us(
    capsys: pytest.CaptureFixture[str], shell: str
) -> None:
    assert main(["completion", shell]) == 0
    out = capsys.readouterr().out
    assert "kfwd" in out
    assert "kubectl-kfwd" in out


def test_bash_asks_us(tmp_path: Path) -> None:
    command = tmp_path / "kfwd"
    command.write_text(f'#!/bin/sh\nexec "{sys.executable}" -m kfwd_nb.cli "$@"\n')
    command.chmod(0o755)
    script = """
        eval "$(kfwd completion bash)"
        COMP_LINE="kfwd port-forward --dialect s" COMP_POINT=29 COMP_TYPE=9
        _python_argcomplete kfwd
        printf '%s\\n' "${COMPREPLY[@]}"
    """
    result = subprocess.run(
        ["bash", "-c", script],
        env={**os.environ, "PATH": f"{tmp_path}:{os.environ['PATH']}"},
        capture_output=True,
        text=True,
        check=True,
    )
    assert (result.stdout.strip(), result.stderr) == ("spdy", "")


@pytest.mark.parametrize("speaks", [True, False])
def test_no_exec_plugin_outlives_the_tab_key(tmp_path: Path, speaks: bool) -> None:
    mark = tmp_path / "pid"
    word = "echo open the door >&2; " if speaks else ""
    plugin = {
        "apiVersion": "client.authentication.k8s.io/v1",
        "command": "sh",
        "args": ["-c", f"echo $$ > {mark}; {word}exec sleep 600"],
        "interactiveMode": "Never",
    }
    path = tmp_path / "config"
    document = {
        "current-context": "k",
        "clusters": [{"name": "c", "cluster": {"server": "https://127.0.0.1:1"}}],
        "users": [{"name": "u", "user": {"exec": plugin}}],
        "contexts": [{"name": "k", "context": {"cluster": "c", "user": "u"}}],
    }
    path.write_text(json.dumps(document))
    result = subprocess.run(
        [sys.executable, "-c", ANSWER, "port-forward", "w"],
        env={**os.environ, "KUBECONFIG": str(path)},
        capture_output=True,
        text=True,
        timeout=30,
        check=True,
    )
    assert (result.stdout, result.stderr) == (":4\n", "")
    assert not psutil.pid_exists(int(mark.read_text()))
