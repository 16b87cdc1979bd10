"""What a container's process gets: arguments, environment, directory and user. No I/O but passwd.

Rules of `$(VAR)`: the Kubernetes API reference, `command`, `args` and `env` of a container.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field

from kfwd_nb.kube.objects import Container, Pod

_REFERENCE = re.compile(r"\$(?:\$|\(([^)]*)\))")


def expand(text: str, variables: Mapping[str, str]) -> str:
    """Replace every `$(NAME)`; one that is not defined stays as it is, and `$$` stands for `$`."""

    def value(match: re.Match[str]) -> str:
        name = match[1]
        return "$" if name is None else variables.get(name, match[0])

    return _REFERENCE.sub(value, text)


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What a container finds around it.

    Attributes:
        node: name of the node.
        scratch: the pod's private directory, as the container sees it.
        ports: declared port → the port that the process must really bind.
        variables: what every container of the node has in its environment besides.
        path: search path for commands.
    """

    node: str
    scratch: str
    ports: Mapping[int, int]
    variables: Mapping[str, str] = field(default_factory=dict)
    path: str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"


@dataclass(frozen=True, slots=True)
class Process:
    """A container's process, as the runtime is to start it.

    Attributes:
        argv: command and arguments, expanded.
        env: the whole environment.
        cwd: directory to start in.
        uid: user to run as; None for the runtime's own.
    """

    argv: tuple[str, ...]
    env: Mapping[str, str]
    cwd: str
    uid: int | None


def process_of(pod: Pod, container: Container, around: Surroundings) -> Process:
    """The process of `container`, with every `$(VAR)` expanded.

    A variable may refer to those before it and to the node agent's own, which are `KFWD_POD`,
    `KFWD_NAMESPACE`, `KFWD_NODE`, `KFWD_SCRATCH`, `KFWD_PORT_<port>` for each declared port, and
    what its configuration adds.
    """
    env = {
        **around.variables,
        "PATH": around.path,
        "LANG": "C.UTF-8",
        "HOME": around.scratch,
        "TMPDIR": around.scratch,
        "HOSTNAME": pod.metadata.name,
        "KFWD_POD": pod.metadata.name,
        "KFWD_NAMESPACE": pod.metadata.namespace,
        "KFWD_NODE": around.node,
        "KFWD_SCRATCH": around.scratch,
        "KFWD_POD_UID": pod.metadata.uid,
    }
    env |= {f"KFWD_PORT_{port}": str(real) for port, real in around.ports.items()}
    for variable in container.env:
        env[variable.name] = expand(variable.value, env)
    argv = tuple(expand(word, env) for word in [*container.command, *container.args])
    return Process(argv, env, container.working_dir or "/", run_as_user(pod, container))


def run_as_user(pod: Pod, container: Container) -> int | None:
    """The user that a container runs as: its own choice before its pod's; None for neither."""
    for context in (container.security_context, pod.spec.security_context):
        if context is not None and context.run_as_user is not None:
            return context.run_as_user
    return None


def declared_ports(pod: Pod) -> list[int]:
    """Every TCP port that the pod's containers say they listen on, each once, in their order."""
    ports = (p for c in pod.spec.containers for p in c.ports if p.protocol == "TCP")
    return list(dict.fromkeys(port.container_port for port in ports))
