"""Protobuf bodies of kubectl: what is known is read, anything else refused."""

from __future__ import annotations

import contextlib
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kfwd_nb.relay.api.protobuf import MAGIC, decode
from kfwd_nb.relay.api.status import UnsupportedMediaTypeError

pytestmark = pytest.mark.pure


def number(value: int) -> bytes:
    out = bytearray()
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes([*out, value])


def field(place: int, value: bytes | str | int) -> bytes:
    if isinstance(value, int):
        return number(place << 3) + number(value)
    data = value.encode() if isinstance(value, str) else value
    return number(place << 3 | 2) + number(len(data)) + data


def body(kind: str, version: str, *fields: bytes) -> bytes:
    head = field(1, field(1, version) + field(2, kind))
    return MAGIC + head + field(2, b"".join(fields)) + field(3, "") + field(4, "")


def test_a_review() -> None:
    asked = field(1, "default") + field(2, "create") + field(3, "") + field(5, "pods")
    review = body("SelfSubjectAccessReview", "authorization.k8s.io/v1", field(2, field(1, asked)))
    assert decode(review) == {
        "apiVersion": "authorization.k8s.io/v1",
        "kind": "SelfSubjectAccessReview",
        "spec": {
            "resourceAttributes": {"namespace": "default", "verb": "create", "resource": "pods"}
        },
    }


def test_a_deployment() -> None:
    labels = field(1, field(1, "app") + field(2, "x"))
    container = field(1, "main") + field(2, "image") + field(3, "sleep") + field(3, "9")
    container += field(6, field(3, 8080)) + field(8, b"")
    template = field(1, field(1, "") + field(8, b"")) + field(2, field(2, container))
    spec = field(1, 300) + field(2, labels) + field(3, template) + field(4, b"")
    made = body("Deployment", "apps/v1", field(1, field(1, "api") + field(11, b"")), field(2, spec))
    tree: dict[str, Any] = decode(made)
    assert tree["metadata"] == {"name": "api", "labels": {"": ""}}
    assert tree["spec"]["replicas"] == 300
    assert tree["spec"]["selector"] == {"matchLabels": {"app": "x"}}
    assert tree["spec"]["template"]["spec"]["containers"] == [
        {
            "name": "main",
            "image": "image",
            "command": ["sleep", "9"],
            "ports": [{"containerPort": 8080}],
        }
    ]


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"{}",
        MAGIC,
        MAGIC + b"\xff" * 20,
        body("Secret", "v1"),
        body("Namespace", "v1", field(1, field(13, "an owner"))),
        body("Namespace", "v1", field(1, 7)),
        body("Namespace", "v1", field(1, field(1, b"\xff"))),
        body("Deployment", "apps/v1", field(2, field(1, "three"))),
        body("Namespace", "v1", field(1, field(1, "name")))[:-9],
        body("Namespace", "v1", b"\x0d1234"),
    ],
)
def test_what_is_refused(data: bytes) -> None:
    with pytest.raises(UnsupportedMediaTypeError):
        decode(data)


@given(st.binary(max_size=60), st.sampled_from(["Namespace", "Deployment", "SelfSubjectReview"]))
def test_any_octets_are_read_or_refused(data: bytes, kind: str) -> None:
    for whole in (MAGIC + data, body(kind, "v1", data), body(kind, "v1", field(2, data))):
        with contextlib.suppress(UnsupportedMediaTypeError):
            assert isinstance(decode(whole), dict)
