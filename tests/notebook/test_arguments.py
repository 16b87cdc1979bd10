"""The words after a magic's name."""

from __future__ import annotations

from pathlib import Path

import pytest

from kfwd_nb.cluster.options import Options
from kfwd_nb.errors import UsageError
from kfwd_nb.notebook.arguments.kfwd import parse_kfwd
from kfwd_nb.notebook.arguments.line import asks_for_help, split
from kfwd_nb.notebook.arguments.listing import ListOptions
from kfwd_nb.notebook.arguments.nsenter import EnterOptions
from kfwd_nb.notebook.arguments.portforward import (
    ForwardOptions,
    ShowOptions,
    StopOptions,
    parse_block,
    parse_portforward,
)
from kfwd_nb.notebook.arguments.slips import second_target
from kfwd_nb.ports import Target

pytestmark = pytest.mark.pure

WEB = Target("pod", "web")


@pytest.mark.parametrize(
    ("line", "options"),
    [
        ("", ShowOptions()),
        ("--watch", ShowOptions(watch=True)),
        ("--dashboard", ShowOptions(dashboard=True)),
        ("--stop all", StopOptions("all")),
        ("--stop", StopOptions("")),
        ("--stop svc/api", StopOptions("svc/api")),
        ("web 8080:80", ForwardOptions(WEB, ("8080:80",))),
        ("web :80 :7", ForwardOptions(WEB, (":80", ":7"))),
        ("pod web 80", ForwardOptions(WEB, ("80",))),
        ("pod 8888:80", ForwardOptions(Target("pod", "pod"), ("8888:80",))),
        ("deployments/api http", ForwardOptions(Target("deploy", "api"), ("http",))),
        ("web -n staging :80", ForwardOptions(WEB, (":80",), namespace="staging")),
        ("-n staging web :80", ForwardOptions(WEB, (":80",), namespace="staging")),
        ("web :80 --name page", ForwardOptions(WEB, (":80",), name="page")),
        ("web :80 --loop kernel", ForwardOptions(WEB, (":80",), loop="kernel")),
        ("web :80 --address 0.0.0.0", ForwardOptions(WEB, (":80",), address="0.0.0.0")),
        ("web :80 --context 'my kind'", ForwardOptions(WEB, (":80",), context="my kind")),
        (
            "sts/db :5432 --dialect spdy --balance --pod-running-timeout 1m30s",
            ForwardOptions(
                Target("sts", "db"),
                (":5432",),
                dialect="spdy",
                balance=True,
                pod_running_timeout=90.0,
            ),
        ),
        (
            "web :80 --as ann --as-group a --as-group b",
            ForwardOptions(WEB, (":80",), as_user="ann", as_groups=("a", "b")),
        ),
        ("web :80;", ForwardOptions(WEB, (":80",))),
        ("web 8105:80;  # quietly", ForwardOptions(WEB, ("8105:80",))),
        ("web :80 ;", ForwardOptions(WEB, (":80",))),
        ("web :80  # the page", ForwardOptions(WEB, (":80",))),
        (r"web :80 --kubeconfig C:\kube\c", ForwardOptions(WEB, (":80",), kubeconfig=r"C:\kube\c")),
    ],
)
def test_portforward_reads(line: str, options: object) -> None:
    assert parse_portforward(line) == options


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("web", "no port given."),
        ("web abc:80", "invalid port format 'abc:80'."),
        ("web 70000", "invalid port format '70000'."),
        ("web 8080:0", "invalid port format '8080:0': the remote port cannot be 0."),
        ("web 8080:", "invalid port format '8080:'."),
        ("web 80:81 80:82", "local port 80 is given twice."),
        ("secret/web :80", "'secret' is no resource kind that can be forwarded to."),
        ("svc/ :80", "invalid target 'svc/'."),
        ("web :80 --loop main", "%portforward: argument --loop: invalid choice: 'main'"),
        ("web :80 --nmae x", "%portforward: unrecognized arguments: --nmae"),
        ("web :80 -n", "%portforward: argument -n/--namespace: expected one argument."),
        ("web :80 --stop all", "%portforward --stop takes no 'web' beside it."),
        ("--watch --stop all", "%portforward --watch takes no '--stop' beside it."),
        ("--dashboard web :80", "%portforward --dashboard takes no 'web' beside it."),
        ("--dashboard --watch", "%portforward --watch takes no '--dashboard' beside it."),
        ("-n staging", "--namespace needs a target beside it."),
        ("--dialect spdy", "--dialect needs a target beside it."),
        ("--balance", "--balance needs a target beside it."),
        ("web :80 --dialect h3", "%portforward: argument --dialect: invalid choice: 'h3'"),
        (
            "web :80 --pod-running-timeout 9",
            "%portforward: argument --pod-running-timeout: ",
        ),
        ("web :80 --as-group a", "--as-group needs --as beside it."),
        ("web 'open", "a quotation mark in this line is not closed."),
        ("web :{port}", "port is not defined in this notebook."),
        ("web :$port", "port is not defined in this notebook."),
        ("{pod.name} :80", "pod.name is not defined in this notebook."),
        ("web :{ports[0]}", "ports[0] is not defined in this notebook."),
    ],
)
def test_portforward_refuses(line: str, said: str) -> None:
    with pytest.raises(UsageError) as caught:
        parse_portforward(line)
    assert caught.value.what.startswith(said)
    assert len(str(caught.value).splitlines()) <= 2


@pytest.mark.parametrize(
    ("line", "said", "hint"),
    [
        ("web:80", "invalid target 'web:80'.", "`web :80`"),
        ("web:8080:80", "invalid target 'web:8080:80'.", "`web 8080:80`"),
        ("'' :80", "no target given.", "`web :80`"),
        ("8080:80", "no target given.", "`web 8080:80`"),
        ("web 8105:80; x = 1", "'8105:80;' in the middle", "belongs on the next one"),
        (
            "web :80 svc/db :5432",
            "a line has one target, and svc/db is another.",
            "`%portforward web :80`, and `%portforward svc/db :5432`",
        ),
        ("staging/web :80", "'staging' is no resource kind", "-n staging web :80"),
    ],
)
def test_a_slip_is_answered_with_what_was_meant(line: str, said: str, hint: str) -> None:
    with pytest.raises(UsageError) as caught:
        parse_portforward(line)
    assert caught.value.what.startswith(said)
    assert hint in str(caught.value.hint)


@pytest.mark.parametrize(
    ("ports", "line"),
    [
        ((":80", "db", ":5432"), "%portforward db :5432"),
        ((":80", ":7", "svc", "db", "5432"), "%portforward svc db 5432"),
        ((":80", "http"), ""),
        (("http", ":80"), ""),
        ((":80", ":http", "7"), ""),
    ],
)
def test_a_name_among_the_ports_may_be_another_target(ports: tuple[str, ...], line: str) -> None:
    assert second_target(ports) == line


@pytest.mark.parametrize(
    ("line", "asks"),
    [
        ("-h", True),
        ("help", True),
        ("up --help", True),
        ("help :80", False),
        ("nsenter web -- ip -h", False),
        ("", False),
    ],
)
def test_who_asks_for_help(line: str, asks: bool) -> None:
    assert asks_for_help(line) == asks


def test_the_missing_name_is_told_from_those_that_are_there() -> None:
    with pytest.raises(UsageError, match=r"^port is not defined"):
        parse_portforward("{pod} :{port}", {"pod": "web"})
    with pytest.raises(UsageError, match="could not be worked out"):
        parse_portforward("web :{ports[9]}", {"ports": []})


def test_a_block_needs_a_target_and_a_variable() -> None:
    assert parse_block("web :80 --name page").name == "page"
    for line in ("", "--stop all", "--watch", "--dashboard"):
        with pytest.raises(UsageError, match="for the length of its cell"):
            parse_block(line)
    with pytest.raises(UsageError, match="cannot be the name"):
        parse_block("web :80 --name my-page")


@pytest.mark.parametrize(
    ("line", "command", "options"),
    [
        ("up", "up", Options()),
        (
            "up -f pods.yaml --nodes 3 --isolation userns --connector socat",
            "up",
            Options(Path("pods.yaml"), 3, "userns", "socat"),
        ),
        ("down", "down", None),
        ("status", "status", ListOptions()),
        ("pods", "pods", ListOptions()),
        ("pods -n staging --context kind", "pods", ListOptions("staging", "kind")),
        ("services -A", "services", ListOptions(everywhere=True)),
        ("pods --kubeconfig f", "pods", ListOptions(kubeconfig="f")),
        ("status --context c --kubeconfig f", "status", ListOptions(None, "c", False, "f")),
        (
            "nsenter web --kubeconfig f -- id",
            "nsenter",
            EnterOptions("web", ("id",), kubeconfig="f"),
        ),
        ("nsenter web -- ip -4 address", "nsenter", EnterOptions("web", ("ip", "-4", "address"))),
        (
            "nsenter pod/web -n staging -- sh -c 'echo $HOME {x} # y'",
            "nsenter",
            EnterOptions("web", ("sh", "-c", "echo $HOME {x} # y"), "staging"),
        ),
    ],
)
def test_kfwd_reads(line: str, command: str, options: object) -> None:
    assert parse_kfwd(line) == (command, options)


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("", "%kfwd needs a command."),
        ("upp", "%kfwd has no command 'upp'."),
        ("up --nodes 0", "--nodes 0: a cluster has 1 to 20 nodes."),
        ("up --nodes many", "%kfwd up: argument --nodes: invalid int value: 'many'."),
        ("up now", "%kfwd up: unrecognized arguments: now."),
        ("down --force", "%kfwd down: unrecognized arguments: --force."),
        ("pods -- ls", "%kfwd pods takes no command after --."),
        ("nsenter", "%kfwd nsenter needs a pod, then -- and a command."),
        ("nsenter web", "%kfwd nsenter needs a pod, then -- and a command."),
        ("nsenter web ls", "%kfwd nsenter needs a pod, then -- and a command."),
        ("nsenter {pod} -- ls", "pod is not defined in this notebook."),
    ],
)
def test_kfwd_refuses(line: str, said: str) -> None:
    with pytest.raises(UsageError) as caught:
        parse_kfwd(line)
    assert caught.value.what.startswith(said)
    assert len(str(caught.value).splitlines()) <= 2


def test_a_command_is_split_as_a_shell_splits_it() -> None:
    assert split("awk '{print $1}' \"a b\" '' ;", comments=False) == [
        "awk",
        "{print $1}",
        "a b",
        "",
        ";",
    ]
