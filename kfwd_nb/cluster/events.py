"""What a supervisor tells its owner, one JSON object a line on its standard output."""

from __future__ import annotations

import msgspec


class Event(msgspec.Struct, tag_field="event", tag=str.lower, kw_only=True):
    """Base of all events."""


class Progress(Event):
    """Something was done, or turned out.

    Attributes:
        text: one line for a person.
        seconds: since the supervisor began.
    """

    text: str
    seconds: float = 0.0


class Ready(Event):
    """All pods are ready.

    Attributes:
        name: the cluster's name.
        kubeconfig: path of its kubeconfig.
        relay: URL of its relay.
        isolation: how pods are kept apart: netns, userns or loopback.
        pods: NAMESPACE/NAME of each.
        seconds: since the supervisor began.
        phases: seconds that each part of the start took.
        pod_seconds: for each pod, when it was ready, in seconds since the manifests were posted.
    """

    name: str
    kubeconfig: str
    relay: str
    isolation: str
    pods: list[str]
    seconds: float
    phases: dict[str, float] = {}
    pod_seconds: dict[str, float] = {}


class Failed(Event):
    """The cluster could not start, or has ended by itself. The last event.

    Attributes:
        what: one sentence.
        hint: what to do about it; may be empty.
        kind: name of the error's class in `kfwd_nb.errors`.
    """

    what: str
    hint: str = ""
    kind: str = "ClusterError"


AnyEvent = Progress | Ready | Failed

_ENCODER = msgspec.json.Encoder()
_DECODER = msgspec.json.Decoder(AnyEvent)


def encode(event: AnyEvent) -> bytes:
    """One line, with its newline."""
    return _ENCODER.encode(event) + b"\n"


def decode(line: bytes) -> AnyEvent | None:
    """The event of a line; None for anything else, such as a traceback's lines."""
    try:
        event: AnyEvent = _DECODER.decode(line)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return None
    return event
