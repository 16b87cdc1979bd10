"""From the tree of a YAML or JSON document to a typed object, or to the one field that is wrong.

An API server warns of an unknown field and goes on; here it is refused, because a mistyped
`readinessProbe` would otherwise be a pod that is ready too early, and nobody would know why. Fields
that Kubernetes knows and this project does not are in two tables: those without effect here are
dropped, those that would change what happens are refused with the reason.
"""

from __future__ import annotations

import re
from typing import Any, TypeVar

import msgspec
from msgspec import inspect

from kfwd_nb.errors import ConfigError
from kfwd_nb.kube import objects
from kfwd_nb.kube.nearest import did_you_mean

Typed = TypeVar("Typed", bound=objects.Model)


MAX_SHOWN = 80
"""Characters of a wrong value that a message repeats."""


class FieldError(ConfigError):
    """One field is wrong; `path` is its place in Kubernetes notation, `problem` says how."""

    def __init__(self, path: str, problem: str, *, hint: str | None = None) -> None:
        super().__init__(f"{path}: {problem}." if path else f"{problem}.", hint=hint)
        self.path = path
        self.problem = problem


IGNORED: dict[type, frozenset[str]] = {
    objects.ObjectMeta: frozenset(
        {
            "creationTimestamp",
            "deletionGracePeriodSeconds",
            "deletionTimestamp",
            "finalizers",
            "generation",
            "managedFields",
            "ownerReferences",
            "resourceVersion",
            "selfLink",
            "uid",
        }
    ),
    objects.Container: frozenset(
        {"imagePullPolicy", "resources", "terminationMessagePath", "terminationMessagePolicy"}
    ),
    objects.PodSpec: frozenset(
        {
            "automountServiceAccountToken",
            "dnsPolicy",
            "enableServiceLinks",
            "imagePullSecrets",
            "priorityClassName",
            "schedulerName",
            "serviceAccount",
            "serviceAccountName",
            "tolerations",
        }
    ),
    objects.Service: frozenset({"status"}),
    objects.ServiceSpec: frozenset(
        {
            "clusterIPs",
            "externalTrafficPolicy",
            "internalTrafficPolicy",
            "ipFamilies",
            "ipFamilyPolicy",
            "sessionAffinity",
        }
    ),
    objects.ServicePort: frozenset({"appProtocol", "nodePort"}),
    objects.Pod: frozenset({"status"}),
    objects.Deployment: frozenset({"status"}),
    objects.DeploymentSpec: frozenset(
        {"minReadySeconds", "progressDeadlineSeconds", "revisionHistoryLimit", "strategy"}
    ),
    objects.Namespace: frozenset({"spec", "status"}),
}
"""Fields that are accepted and have no effect here, by the object that they belong to."""

_HOST_FILES = "the command sees the host's file system, so name its files by their own paths"
_ONE_COMMAND = "a container is one command here"
_READINESS_ONLY = "only readinessProbe is; a command that ends is started again by restartPolicy"

UNSUPPORTED: dict[type, dict[str, str]] = {
    objects.Container: {
        "envFrom": "there are no ConfigMaps and Secrets; write the variables under env",
        "lifecycle": _ONE_COMMAND,
        "livenessProbe": _READINESS_ONLY,
        "startupProbe": _READINESS_ONLY,
        "stdin": "a pod's command has no terminal",
        "tty": "a pod's command has no terminal",
        "volumeDevices": _HOST_FILES,
        "volumeMounts": _HOST_FILES,
    },
    objects.EnvVar: {
        "valueFrom": "there are no ConfigMaps, Secrets and field references; write the value"
    },
    objects.ContainerPort: {
        "hostIP": "forward the port instead",
        "hostPort": "forward the port instead",
    },
    objects.Probe: {
        "exec": "use tcpSocket or httpGet",
        "grpc": "use tcpSocket or httpGet",
        "terminationGracePeriodSeconds": "it belongs to liveness probes",
    },
    objects.LabelSelector: {"matchExpressions": "use matchLabels"},
    objects.HTTPGetAction: {"httpHeaders": "the request carries no further headers"},
    objects.SecurityContext: dict.fromkeys(
        (
            "allowPrivilegeEscalation",
            "capabilities",
            "fsGroup",
            "privileged",
            "readOnlyRootFilesystem",
            "runAsGroup",
            "runAsNonRoot",
            "seLinuxOptions",
            "seccompProfile",
            "supplementalGroups",
        ),
        "only runAsUser is",
    ),
    objects.PodSpec: {
        "activeDeadlineSeconds": "delete the pod when it has run long enough",
        "affinity": "set spec.nodeName to choose a node",
        "ephemeralContainers": _ONE_COMMAND,
        "hostAliases": "the pod uses the host's files, /etc/hosts too",
        "hostIPC": "a pod has its own namespaces",
        "hostNetwork": "a pod has its own network",
        "hostPID": "a pod has its own namespaces",
        "hostname": "the hostname is the pod's name",
        "initContainers": "let the command do its preparations itself",
        "nodeSelector": "set spec.nodeName to choose a node",
        "topologySpreadConstraints": "pods are spread over the nodes evenly",
        "volumes": _HOST_FILES,
    },
    objects.ServiceSpec: {
        "externalIPs": "forward the port instead",
        "externalName": "a service leads to pods of this cluster",
        "loadBalancerIP": "forward the port instead",
    },
    objects.LabelSelector: {"matchExpressions": "use matchLabels"},
    objects.DeploymentSpec: {"paused": "set replicas to what should run"},
}
"""Fields of Kubernetes that would change what happens: refused, with what to do instead."""


def convert(tree: object, kind: type[Typed]) -> Typed:
    """The object that `tree` describes; every field must be known and of its type.

    Raises:
        FieldError: for the first field that is not, with its path.
    """
    info = inspect.type_info(kind)
    try:
        return msgspec.convert(_known(tree, info, ""), kind)
    except msgspec.ValidationError as error:
        raise field_error(error) from None


def field_error(error: msgspec.ValidationError) -> FieldError:
    """Msgspec's words and path in ours."""
    text, _, path = str(error).partition(" - at `$")
    path = path.rstrip("`").lstrip(".")
    if missing := re.search(r"missing required field `(.+)`", text):
        return FieldError(_join(path, missing[1]), "required, but not given")
    if wrong := re.fullmatch(r"Expected `(.+)`, got `(.+)`", text):
        expected, got = (_TYPE_WORDS.get(word, word) for word in wrong.groups())
        quote = expected == "text" and got in ("a number", "a whole number", "true or false")
        return FieldError(
            path, f"must be {expected}, not {got}", hint="put it in quotes." if quote else None
        )
    return FieldError(path, text)


_TYPE_WORDS = {
    "int": "a whole number",
    "float": "a number",
    "bool": "true or false",
    "str": "text",
    "array": "a list",
    "object": "a mapping",
    "null": "empty",
    "int | str": "a number or a name",
}


def _known(tree: object, info: inspect.Type, path: str) -> object:
    """`tree` without empty and ignored fields; everything else in it must be known to `info`."""
    if isinstance(info, inspect.UnionType) and isinstance(tree, dict):
        info = next((t for t in info.types if isinstance(t, inspect.StructType)), info)
    if isinstance(info, inspect.StructType) and isinstance(tree, dict):
        return _known_fields(tree, info, path)
    if isinstance(info, inspect.ListType) and isinstance(tree, list):
        return [_known(e, info.item_type, f"{path}[{i}]") for i, e in enumerate(tree)]
    if isinstance(info, inspect.DictType) and isinstance(tree, dict):
        _require_text_values(tree, info, path)
    if isinstance(info, inspect.LiteralType) and tree not in info.values:
        allowed = ", ".join(str(value) for value in info.values)
        raise FieldError(path, f"{shown(tree)} is not one of {allowed}")
    return tree


def _known_fields(tree: dict[object, object], info: inspect.StructType, path: str) -> object:
    fields = {field.encode_name: field.type for field in info.fields}
    ignored = IGNORED.get(info.cls, frozenset())
    known: dict[str, object] = {}
    for key, value in tree.items():
        if not isinstance(key, str):
            raise FieldError(
                path, f"the field name {shown(key)} is not text", hint="put it in quotes."
            )
        if key in ignored or value is None:
            continue
        if key not in fields or key in UNSUPPORTED.get(info.cls, {}):
            raise _unknown(_join(path, key), key, info)
        known[key] = _known(value, fields[key], _join(path, key))
    return known


def _unknown(path: str, key: str, info: inspect.StructType) -> FieldError:
    reason = UNSUPPORTED.get(info.cls, {}).get(key)
    if reason is not None:
        return FieldError(path, "not supported here", hint=f"{reason}.")
    return FieldError(
        path, "unknown field", hint=did_you_mean(key, (field.encode_name for field in info.fields))
    )


def _require_text_values(tree: dict[Any, object], info: inspect.DictType, path: str) -> None:
    for key, value in tree.items():
        if not isinstance(key, str):
            raise FieldError(path, f"the key {shown(key)} is not text", hint="put it in quotes.")
        if isinstance(info.value_type, inspect.StrType) and not isinstance(value, str):
            raise FieldError(
                _join(path, key), f"must be text, not {shown(value)}", hint="put it in quotes."
            )


def shown(value: object) -> str:
    """A value in a message: short, whatever the document holds."""
    if isinstance(value, dict | list):
        return "a mapping" if isinstance(value, dict) else "a list"
    text = f'"{value}"' if isinstance(value, str) else str(value)
    return text if len(text) <= MAX_SHOWN else f"{text[:MAX_SHOWN]}..."


def _join(path: str, name: str) -> str:
    return f"{path}.{name}" if path else name
