from __future__ import annotations

import msgspec
import pytest

from kfwd_nb.agent.environment import Surroundings, declared_ports, expand, process_of, run_as_user
from kfwd_nb.kube.objects import Pod

pytestmark = pytest.mark.pure

AROUND = Surroundings("node-1", "/scratch", {80: 80, 81: 20081}, {"KFWD_PYTHON": "/py"}, "/bin")


def pod(container: dict, **spec) -> Pod:
    return msgspec.convert(
        {
            "metadata": {"name": "web", "namespace": "shop", "uid": "u"},
            "spec": {"containers": [{"name": "c"} | container], **spec},
        },
        Pod,
    )


@pytest.mark.parametrize(
    ("text", "expanded"),
    [
        ("plain", "plain"),
        ("$(A)", "a"),
        ("x$(A)y$(B)z", "xaybz"),
        ("$(UNKNOWN)", "$(UNKNOWN)"),
        ("$$(A)", "$(A)"),
        ("$$$(A)", "$a"),
        ("$$$$(A)", "$$(A)"),
        ("$A", "$A"),
        ("${A}", "${A}"),
        ("$(A", "$(A"),
        ("$()", "$()"),
        ("$(A)$", "a$"),
        ("$", "$"),
        ("$$", "$"),
        ("$(X$(A))", "$(X$(A))"),
        ("$(NESTED)", "$(A)"),
        ("", ""),
    ],
)
def test_expansion(text, expanded):
    assert expand(text, {"A": "a", "B": "b", "NESTED": "$(A)"}) == expanded


def test_command_and_args_are_expanded_from_env_and_from_the_agent():
    container = {
        "command": ["$(KFWD_PYTHON)", "$(KFWD_PORT_81)"],
        "args": ["$(GREETING)", "$(KFWD_POD).$(KFWD_NAMESPACE)@$(KFWD_NODE)", "$(KFWD_SCRATCH)"],
        "env": [{"name": "WHO", "value": "you"}, {"name": "GREETING", "value": "hi $(WHO)"}],
    }
    process = process_of(pod(container), pod(container).spec.containers[0], AROUND)
    assert process.argv == ("/py", "20081", "hi you", "web.shop@node-1", "/scratch")
    assert process.env["KFWD_PORT_80"] == "80"
    assert process.env["TMPDIR"] == process.env["HOME"] == "/scratch"
    assert process.cwd == "/"


def test_a_variable_sees_those_before_it_only():
    container = {
        "env": [{"name": "FIRST", "value": "$(SECOND)"}, {"name": "SECOND", "value": "$(FIRST)!"}]
    }
    env = process_of(pod(container), pod(container).spec.containers[0], AROUND).env
    assert env["FIRST"] == "$(SECOND)"
    assert env["SECOND"] == "$(SECOND)!"


def test_a_container_may_override_what_the_agent_sets():
    container = {"env": [{"name": "HOME", "value": "/srv"}], "workingDir": "/tmp"}
    process = process_of(pod(container), pod(container).spec.containers[0], AROUND)
    assert process.env["HOME"] == "/srv"
    assert process.cwd == "/tmp"


@pytest.mark.parametrize(
    ("container", "of_pod", "user"),
    [({}, None, None), ({}, 5, 5), (7, 5, 7), (0, 5, 0), (7, None, 7)],
)
def test_the_containers_user_comes_before_the_pods(container, of_pod, user):
    own = {"securityContext": {"runAsUser": container}} if container != {} else {}
    spec = {"securityContext": {"runAsUser": of_pod}} if of_pod is not None else {}
    made = pod(own, **spec)
    assert run_as_user(made, made.spec.containers[0]) == user


def test_declared_ports_are_the_tcp_ports_once_each():
    ports = [
        {"containerPort": 80},
        {"containerPort": 53, "protocol": "UDP"},
        {"containerPort": 443},
        {"containerPort": 80, "name": "again"},
    ]
    assert declared_ports(pod({"ports": ports})) == [80, 443]
