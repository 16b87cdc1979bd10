"""What a typed object must be beyond its types: names, ports, probes, selectors.

The rules are those of the Kubernetes API reference, with two of this project's: a container needs
a command, for no image is pulled, and what is counted has a limit. Both readers use them: of
manifests (`kube.manifests.reading`) and of API requests (`relay.api`).
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from kfwd_nb.kube.manifests.schema import FieldError
from kfwd_nb.kube.nearest import did_you_mean
from kfwd_nb.kube.objects import (
    AnyObject,
    Container,
    Deployment,
    HTTPGetAction,
    Namespace,
    ObjectMeta,
    Pod,
    PodSpec,
    Probe,
    Service,
    matches,
)
from kfwd_nb.ports import MAX_PORT

if TYPE_CHECKING:
    from collections.abc import Sequence

MAX_LABEL_NAME = 63
"""Characters of a DNS label (RFC 1123 §2.1)."""

MAX_SUBDOMAIN_NAME = 253
"""Characters of a DNS subdomain as Kubernetes allows it for names."""

MAX_REPLICAS = 100
"""Replicas of one deployment; each is at least one process of this machine."""

MAX_CONTAINERS = 20
"""Containers of one pod."""

MAX_PORTS = 100
"""Ports that one container or one service declares."""

_LABEL = re.compile(r"[a-z0-9]([-a-z0-9]*[a-z0-9])?")
_SUBDOMAIN = re.compile(rf"{_LABEL.pattern}(\.{_LABEL.pattern})*")
_SERVICE_NAME = re.compile(r"[a-z]([-a-z0-9]*[a-z0-9])?")
_PORT_NAME = re.compile(r"(?=.*[a-z])[a-z0-9]+(-[a-z0-9]+)*")
_QUALIFIED = re.compile(r"[A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?")
_HTTP_PATH = re.compile(r"/[!-~]*")
_VARIABLE = re.compile(r"[-._a-zA-Z][-._a-zA-Z0-9]*")


def validate(item: AnyObject) -> None:
    """Nothing, if the object can be.

    Raises:
        FieldError: for the first field that is wrong.
    """
    _check_metadata(item.metadata, item)
    if isinstance(item, Pod):
        _check_pod_spec(item.spec, "spec")
    elif isinstance(item, Service):
        _check_service(item)
    elif isinstance(item, Deployment):
        _check_deployment(item)


def _check_metadata(metadata: ObjectMeta, item: AnyObject) -> None:
    if not metadata.name:
        raise FieldError("metadata.name", "required, but not given")
    if isinstance(item, Service):
        _check_name(metadata.name, "metadata.name", _SERVICE_NAME, MAX_LABEL_NAME)
    elif isinstance(item, Namespace):
        _check_name(metadata.name, "metadata.name", _LABEL, MAX_LABEL_NAME)
    else:
        _check_name(metadata.name, "metadata.name", _SUBDOMAIN, MAX_SUBDOMAIN_NAME)
    if metadata.namespace:
        _check_name(metadata.namespace, "metadata.namespace", _LABEL, MAX_LABEL_NAME)
    _check_labels(metadata.labels, "metadata.labels")


def _check_name(name: str, path: str, form: re.Pattern[str], longest: int) -> None:
    if len(name) > longest:
        raise FieldError(path, f"must be no more than {longest} characters, not {len(name)}")
    if form.fullmatch(name) is None:
        proposal = re.sub(r"[^a-z0-9.-]+", "-", name.lower()).strip("-.")
        letter = ", and begin with a letter" if form is _SERVICE_NAME else ""
        raise FieldError(
            path,
            f'"{name}" is not a valid name: use lower case letters, digits and "-"{letter} '
            "(DNS-1123)",
            hint=f'for example "{proposal}".' if form.fullmatch(proposal) else None,
        )


def _check_labels(labels: dict[str, str], path: str) -> None:
    for key, value in labels.items():
        prefix, slash, name = key.rpartition("/")
        if (slash and not _SUBDOMAIN.fullmatch(prefix)) or not _QUALIFIED.fullmatch(name):
            raise FieldError(path, f'"{key}" is not a valid label key')
        if value and not _QUALIFIED.fullmatch(value):
            raise FieldError(
                f"{path}.{key}",
                f'"{value}" is not a valid label value: use up to 63 letters, '
                'digits, "-", "_" and "."',
            )


def _check_pod_spec(spec: PodSpec, path: str) -> None:
    if not spec.containers:
        raise FieldError(f"{path}.containers", "required, but not given")
    _check_count(spec.containers, MAX_CONTAINERS, f"{path}.containers")
    if spec.termination_grace_period_seconds < 0:
        raise FieldError(f"{path}.terminationGracePeriodSeconds", "must not be negative")
    if spec.node_name:
        _check_name(spec.node_name, f"{path}.nodeName", _SUBDOMAIN, MAX_SUBDOMAIN_NAME)
    if spec.security_context is not None:
        _check_user(spec.security_context.run_as_user, f"{path}.securityContext")
    names: set[str] = set()
    for number, container in enumerate(spec.containers):
        at = f"{path}.containers[{number}]"
        _check_name(container.name, f"{at}.name", _LABEL, MAX_LABEL_NAME)
        _check_new(container.name, names, f"{at}.name")
        _check_container(container, at)


def _check_container(container: Container, path: str) -> None:
    if not container.command:
        raise FieldError(
            f"{path}.command",
            "required, but not given",
            hint="no image is pulled here; name a command of this machine.",
        )
    _check_texts(container, path)
    if container.working_dir and not container.working_dir.startswith("/"):
        raise FieldError(f"{path}.workingDir", f'"{container.working_dir}" is not an absolute path')
    if container.security_context is not None:
        _check_user(container.security_context.run_as_user, f"{path}.securityContext")
    for number, variable in enumerate(container.env):
        if _VARIABLE.fullmatch(variable.name) is None:
            at = f"{path}.env[{number}].name"
            raise FieldError(at, f'"{variable.name}" is not a valid variable name')
    _check_container_ports(container, path)
    if container.readiness_probe is not None:
        _check_probe(container.readiness_probe, container, f"{path}.readinessProbe")


def _check_texts(container: Container, path: str) -> None:
    """What is handed to the system as C strings cannot hold a NUL."""
    texts = [
        *((f"command[{number}]", text) for number, text in enumerate(container.command)),
        *((f"args[{number}]", text) for number, text in enumerate(container.args)),
        *((f"env[{number}].value", each.value) for number, each in enumerate(container.env)),
        ("workingDir", container.working_dir),
    ]
    for name, text in texts:
        if "\0" in text:
            raise FieldError(f"{path}.{name}", "holds a NUL character")


def _check_container_ports(container: Container, path: str) -> None:
    _check_count(container.ports, MAX_PORTS, f"{path}.ports")
    names: set[str] = set()
    for number, port in enumerate(container.ports):
        at = f"{path}.ports[{number}]"
        _check_port(port.container_port, f"{at}.containerPort")
        if port.name:
            _check_port_name(port.name, f"{at}.name")
            _check_new(port.name, names, f"{at}.name")


def _check_probe(probe: Probe, container: Container, path: str) -> None:
    actions = [(probe.tcp_socket, "tcpSocket"), (probe.http_get, "httpGet")]
    given = [(action, name) for action, name in actions if action is not None]
    if len(given) != 1:
        problem = "takes only one of tcpSocket and httpGet" if given else "needs an action"
        raise FieldError(path, problem, hint=None if given else "use tcpSocket or httpGet.")
    action, name = given[0]
    if isinstance(action.port, int):
        _check_port(action.port, f"{path}.{name}.port")
    elif action.port not in (known := [port.name for port in container.ports if port.name]):
        raise FieldError(
            f"{path}.{name}.port",
            f'the container declares no port of the name "{action.port}"',
            hint=did_you_mean(action.port, known),
        )
    if isinstance(action, HTTPGetAction) and not action.path.startswith("/"):
        raise FieldError(f"{path}.{name}.path", f'"{action.path}" does not begin with "/"')
    if isinstance(action, HTTPGetAction) and _HTTP_PATH.fullmatch(action.path) is None:
        raise FieldError(
            f"{path}.{name}.path",
            "holds characters that a URL cannot",
            hint="write them as %XX, the percent-encoded bytes of their UTF-8.",
        )
    _check_probe_times(probe, path)


def _check_probe_times(probe: Probe, path: str) -> None:
    for name, value, least in (
        ("initialDelaySeconds", probe.initial_delay_seconds, 0),
        ("periodSeconds", probe.period_seconds, 1),
        ("timeoutSeconds", probe.timeout_seconds, 1),
        ("successThreshold", probe.success_threshold, 1),
        ("failureThreshold", probe.failure_threshold, 1),
    ):
        if value < least:
            raise FieldError(f"{path}.{name}", f"must be at least {least}, not {value}")


def _check_service(service: Service) -> None:
    ports = service.spec.ports
    if not ports:
        raise FieldError("spec.ports", "required, but not given")
    _check_count(ports, MAX_PORTS, "spec.ports")
    if service.spec.type not in ("ClusterIP", "NodePort", "LoadBalancer"):
        raise FieldError("spec.type", f'"{service.spec.type}" is not supported here')
    _check_labels(service.spec.selector, "spec.selector")
    names: set[str] = set()
    numbers: set[str] = set()
    for number, port in enumerate(ports):
        at = f"spec.ports[{number}]"
        _check_port(port.port, f"{at}.port")
        _check_new(f"{port.port}/{port.protocol}", numbers, f"{at}.port")
        if len(ports) > 1 and not port.name:
            raise FieldError(f"{at}.name", "required where a service has several ports")
        if port.name:
            _check_name(port.name, f"{at}.name", _LABEL, MAX_LABEL_NAME)
            _check_new(port.name, names, f"{at}.name")
        if isinstance(port.target_port, int):
            _check_port(port.target_port, f"{at}.targetPort")
        elif port.target_port is not None:
            _check_port_name(port.target_port, f"{at}.targetPort")


def _check_deployment(deployment: Deployment) -> None:
    spec = deployment.spec
    if not 0 <= spec.replicas <= MAX_REPLICAS:
        raise FieldError("spec.replicas", f"must be 0 to {MAX_REPLICAS}, not {spec.replicas}")
    if not spec.selector.match_labels:
        raise FieldError("spec.selector.matchLabels", "required, but not given")
    _check_labels(spec.template.metadata.labels, "spec.template.metadata.labels")
    _check_pod_spec(spec.template.spec, "spec.template.spec")
    if not matches(spec.selector.match_labels, spec.template.metadata.labels):
        raise FieldError(
            "spec.selector.matchLabels",
            "does not match spec.template.metadata.labels",
            hint="the pods of a deployment must carry every label that it selects by.",
        )
    if spec.template.spec.restart_policy != "Always":
        raise FieldError("spec.template.spec.restartPolicy", "must be Always in a deployment")


def _check_port(port: int, path: str) -> None:
    if not 0 < port <= MAX_PORT:
        raise FieldError(path, f"must be 1 to {MAX_PORT}, not {port}")


def _check_port_name(name: str, path: str) -> None:
    if len(name) > 15 or _PORT_NAME.fullmatch(name) is None:
        raise FieldError(
            path,
            f'"{name}" is not a valid port name: use up to 15 lower case letters, digits and "-", '
            "a letter among them (RFC 6335)",
        )


def _check_user(user: int | None, path: str) -> None:
    if user is not None and not 0 <= user < 2**31:
        raise FieldError(f"{path}.runAsUser", f"must be 0 to {2**31 - 1}, not {user}")


def _check_count(items: Sequence[object], most: int, path: str) -> None:
    if (count := len(items)) > most:
        raise FieldError(path, f"has {count} items; the limit is {most}")


def _check_new(name: str, seen: set[str], path: str) -> None:
    if name in seen:
        raise FieldError(path, f'"{name}" is given twice')
    seen.add(name)
