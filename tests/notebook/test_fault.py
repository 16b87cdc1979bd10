"""`%kfwd fault`: what a line means, what is shown, what it is refused for."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from kfwd_nb.errors import UsageError
from kfwd_nb.kube.completing import PREFIXES
from kfwd_nb.notebook.arguments.fault import FAULT_VERBS, FaultOptions
from kfwd_nb.notebook.arguments.kfwd import parse_kfwd
from kfwd_nb.notebook.completion import Wanted, wanted
from kfwd_nb.ports import Target

WEB = Target("pod", "web")


@pytest.mark.pure
@pytest.mark.parametrize(
    ("line", "meant"),
    [
        ("", FaultOptions()),
        ("--clear", FaultOptions(clear=True)),
        ("kill pod/web", FaultOptions("kill", WEB)),
        ("kill web -n staging", FaultOptions("kill", WEB, namespace="staging")),
        ("replace deploy/api", FaultOptions("replace", Target("deploy", "api"))),
        ("stop node/node-1", FaultOptions("stop", "node-1")),
        ("continue node-1", FaultOptions("continue", "node-1")),
        ("mend node/node-1", FaultOptions("mend", "node-1")),
        ("mend web 80", FaultOptions("mend", WEB, 80)),
        ("refuse pod/web 80", FaultOptions("refuse", WEB, 80)),
        ("stall svc/web :7", FaultOptions("stall", Target("svc", "web"), 7)),
    ],
)
def test_what_a_line_means(line: str, meant: FaultOptions) -> None:
    assert parse_kfwd(f"fault {line}") == ("fault", meant)


@pytest.mark.pure
@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("kil web", 'did you mean "kill"?'),
        ("bogus web", "use one of kill, replace, stop"),
        ("kill", "as in %kfwd fault kill pod/web."),
        ("kill web 80", "takes a pod."),
        ("stop pod/web", "takes a node, which pod/web is not."),
        ("cut", "as in %kfwd fault cut node/node-1."),
        ("refuse web", "takes a pod and its port."),
        ("refuse web http", "a pod's port, which http is not."),
        ("reset web 65536", "a pod's port, which 65536 is not."),
        ("kill web --clear", "--clear takes no 'kill' beside it."),
        ("kill web --all", "unrecognized arguments: --all"),
    ],
)
def test_what_cannot_be_meant(line: str, said: str) -> None:
    with pytest.raises(UsageError) as error:
        parse_kfwd(f"fault {line}")
    assert said in str(error.value)


@pytest.mark.pure
@pytest.mark.parametrize(
    ("text", "want"),
    [
        ("%kfwd fault st", Wanted("st", FAULT_VERBS)),
        ("%kfwd fault kill w", Wanted("w", PREFIXES, "pod")),
        ("%kfwd fault refuse web 8", Wanted("8", (), "ports pod/web")),
        ("%kfwd fault stop ", Wanted("", (), "node", "node/")),
        ("%kfwd fault mend node/n", Wanted("node/n", (), "node", "node/")),
        ("%kfwd fault mend w", Wanted("w", PREFIXES, "pod")),
        ("%kfwd fault -n st", Wanted("st", kind="namespace")),
    ],
)
def test_the_tab_key(text: str, want: Wanted) -> None:
    assert wanted(text) == want


@pytest.mark.notebook
def test_without_a_cluster(new_kernel: Callable[..., Any]) -> None:
    kernel = new_kernel()
    kernel.ok("%load_ext kfwd_nb")
    run = kernel.run("%kfwd fault kill web")
    assert run.lines[0].startswith("faults are for an embedded cluster")
    assert "`%kfwd up` starts one" in run.lines[1]


@pytest.mark.notebook
def test_in_a_kernel(up_kernel: Any, survivors: Callable[..., Any]) -> None:
    kernel = up_kernel
    assert "nothing is broken" in kernel.ok("%kfwd fault").text
    shown = kernel.ok("%kfwd fault refuse web 80").text
    assert "default/web:80: new connections are refused" in shown
    assert "%kfwd fault mend web 80" in shown
    assert kernel.ok("%kfwd fault cut node/node-2").text.count("%kfwd fault mend") == 2
    assert kernel.run("%kfwd fault kill wbe").lines[1] == 'hint: did you mean "web"?'
    assert kernel.run("%kfwd fault continue node/node-2").status == "error"
    assert "ended: refuse default/web:80" in kernel.ok("%kfwd fault mend web 80").text
    assert "ended: cut node/node-2" in kernel.ok("%kfwd fault --clear").text
    assert "no fault" in kernel.ok("%kfwd fault --clear").text
    assert "listening" in kernel.ok("%kfwd fault kill web\n%portforward web :80").text
    kernel.ok("%kfwd fault stop node/node-1")
    family = kernel.family()
    kernel.ok("%kfwd down")
    assert survivors(family) == []
