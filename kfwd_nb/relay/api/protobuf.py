"""Protobuf bodies, as far as kubectl sends any: reviews, new namespaces and deployments. Pure.

Newer typed Go clients write protobuf where a server of that version would read it. Objects are
described by the numbers of their fields (`generated.proto` of k8s.io/api); a body with another
field is refused, so that nothing is lost in silence.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from kfwd_nb.relay.api.status import UnsupportedMediaTypeError

MEDIA_TYPE = "application/vnd.kubernetes.protobuf"

MAGIC = b"k8s\x00"
"""Before every object (apimachinery `runtime/serializer/protobuf`)."""

MAX_DEPTH = 20
"""Messages inside messages."""

TEXT, NUMBER, DROPPED = "text", "number", "dropped"

Kind = str
Fields = dict[int, tuple[str, Kind]]

MESSAGES: dict[str, Fields] = {
    "Unknown": {1: ("typeMeta", "TypeMeta"), 2: ("raw", "bytes"), 3: ("", DROPPED), 4: ("", TEXT)},
    "TypeMeta": {1: ("apiVersion", TEXT), 2: ("kind", TEXT)},
    "ObjectMeta": {
        1: ("name", TEXT),
        2: ("generateName", TEXT),
        3: ("namespace", TEXT),
        4: ("selfLink", DROPPED),
        5: ("uid", DROPPED),
        6: ("resourceVersion", DROPPED),
        7: ("generation", DROPPED),
        8: ("creationTimestamp", DROPPED),
        11: ("labels", "map"),
        12: ("annotations", "map"),
    },
    "Entry": {1: ("key", TEXT), 2: ("value", TEXT)},
    "Namespace": {1: ("metadata", "ObjectMeta"), 2: ("spec", DROPPED), 3: ("status", DROPPED)},
    "Deployment": {
        1: ("metadata", "ObjectMeta"),
        2: ("spec", "DeploymentSpec"),
        3: ("status", DROPPED),
    },
    "DeploymentSpec": {
        1: ("replicas", NUMBER),
        2: ("selector", "LabelSelector"),
        3: ("template", "PodTemplateSpec"),
        4: ("strategy", DROPPED),
        5: ("minReadySeconds", DROPPED),
        6: ("revisionHistoryLimit", DROPPED),
        7: ("paused", DROPPED),
    },
    "LabelSelector": {1: ("matchLabels", "map")},
    "PodTemplateSpec": {1: ("metadata", "ObjectMeta"), 2: ("spec", "PodSpec")},
    "PodSpec": {
        2: ("containers", "[Container"),
        3: ("restartPolicy", TEXT),
        6: ("dnsPolicy", DROPPED),
        8: ("serviceAccountName", DROPPED),
        9: ("serviceAccount", DROPPED),
        10: ("nodeName", DROPPED),
        11: ("hostNetwork", DROPPED),
        12: ("hostPID", DROPPED),
        13: ("hostIPC", DROPPED),
        14: ("securityContext", DROPPED),
        16: ("hostname", DROPPED),
        17: ("subdomain", DROPPED),
        19: ("schedulerName", DROPPED),
        24: ("priorityClassName", DROPPED),
    },
    "Container": {
        1: ("name", TEXT),
        2: ("image", TEXT),
        3: ("command", "[text"),
        4: ("args", "[text"),
        5: ("workingDir", TEXT),
        6: ("ports", "[ContainerPort"),
        7: ("env", "[EnvVar"),
        8: ("resources", DROPPED),
        13: ("terminationMessagePath", DROPPED),
        14: ("imagePullPolicy", DROPPED),
        16: ("stdin", DROPPED),
        17: ("stdinOnce", DROPPED),
        18: ("tty", DROPPED),
        20: ("terminationMessagePolicy", DROPPED),
    },
    "ContainerPort": {
        1: ("name", TEXT),
        2: ("hostPort", DROPPED),
        3: ("containerPort", NUMBER),
        4: ("protocol", TEXT),
        5: ("hostIP", DROPPED),
    },
    "EnvVar": {1: ("name", TEXT), 2: ("value", TEXT)},
    "SelfSubjectAccessReview": {
        1: ("metadata", DROPPED),
        2: ("spec", "AccessSpec"),
        3: ("status", DROPPED),
    },
    "AccessSpec": {
        1: ("resourceAttributes", "ResourceAttributes"),
        2: ("nonResourceAttributes", "NonResourceAttributes"),
    },
    "ResourceAttributes": {
        1: ("namespace", TEXT),
        2: ("verb", TEXT),
        3: ("group", TEXT),
        4: ("version", DROPPED),
        5: ("resource", TEXT),
        6: ("subresource", TEXT),
        7: ("name", TEXT),
    },
    "NonResourceAttributes": {1: ("path", TEXT), 2: ("verb", TEXT)},
    "SelfSubjectRulesReview": {
        1: ("metadata", DROPPED),
        2: ("spec", "RulesSpec"),
        3: ("status", DROPPED),
    },
    "RulesSpec": {1: ("namespace", TEXT)},
    "SelfSubjectReview": {1: ("metadata", DROPPED), 2: ("status", DROPPED)},
}
"""The fields of each message by number: the name, and what it holds (`[` for many of them)."""


def decode(body: bytes) -> dict[str, Any]:
    """The object of a protobuf body, as its JSON would be.

    Raises:
        UnsupportedMediaTypeError: it is no such object, or has a field that is not known here.
    """
    try:
        if not body.startswith(MAGIC):
            raise ValueError("the body does not begin with k8s")
        whole = _message(memoryview(body)[len(MAGIC) :], "Unknown", 0)
        kind = whole.get("typeMeta", {})
        if kind.get("kind") not in MESSAGES:
            raise ValueError(f"objects of kind {kind.get('kind')} are not read from protobuf")
        given: dict[str, Any] = dict(kind)
        return given | _message(whole.get("raw", memoryview(b"")), kind["kind"], 0)
    except (ValueError, IndexError) as error:
        raise UnsupportedMediaTypeError(
            f"a protobuf body that cannot be read here ({error}); send JSON"
        ) from None


def _message(data: memoryview, name: str, depth: int) -> dict[str, Any]:
    if depth > MAX_DEPTH:
        raise ValueError("too deep")
    fields = MESSAGES[name]
    tree: dict[str, Any] = {}
    for number, value in _split(data):
        if number not in fields:
            raise ValueError(f"field {number} of {name} is not known")
        field, kind = fields[number]
        if kind == DROPPED:
            continue
        if kind == "map":
            entry = _message(_octets(value), "Entry", depth + 1)
            tree.setdefault(field, {})[entry.get("key", "")] = entry.get("value", "")
        elif kind.startswith("["):
            tree.setdefault(field, []).append(_value(value, kind[1:], depth))
        else:
            tree[field] = _value(value, kind, depth)
    # Go writes every text, the empty ones too; in JSON they are left out.
    return {key: value for key, value in tree.items() if value not in ("", None)}


def _value(value: int | memoryview, kind: Kind, depth: int) -> Any:
    if kind == NUMBER:
        if not isinstance(value, int):
            raise ValueError("not a number")
        return value
    octets = _octets(value)
    if kind == TEXT:
        return bytes(octets).decode()
    return octets if kind == "bytes" else _message(octets, kind, depth + 1)


def _octets(value: int | memoryview) -> memoryview:
    if isinstance(value, int):
        raise ValueError("a number where none belongs")  # noqa: TRY004 - the peer's mistake
    return value


def _split(data: memoryview) -> Iterator[tuple[int, int | memoryview]]:
    """Numbers and values of a message's fields (protobuf encoding, wire types 0 and 2)."""
    at = 0
    while at < len(data):
        tag, at = _varint(data, at)
        value, at = _varint(data, at)
        if tag & 7 == 0:
            yield tag >> 3, value
        elif tag & 7 == 2 and at + value <= len(data):
            yield tag >> 3, data[at : at + value]
            at += value
        else:
            raise ValueError("a field of another type")


def _varint(data: memoryview, at: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        octet = data[at]
        at += 1
        value |= (octet & 0x7F) << shift
        if octet < 0x80:
            return value, at
        shift += 7
        if shift > 63:
            raise ValueError("a number that is too long")
