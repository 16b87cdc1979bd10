"""`portforward.k8s.io`: a forwarded connection as a pair of SPDY streams, sans-I/O.

One stream carries the bytes; the other one, half-closed by the client from the start, carries the
reason if there is something wrong (kubelet `pkg/cri/streaming/portforward`). Both are opened with
the same `requestid`, in either order; without one, the error stream is the one opened just before.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

from kfwd_nb.errors import (
    KfwdError,
    LostError,
    RefusedError,
    RemoteProtocolError,
    ResetError,
    UnavailableError,
)

PROTOCOL = "portforward.k8s.io"
"""Value of `X-Stream-Protocol-Version`."""

VERSION_HEADER = "x-stream-protocol-version"
ACCEPTED_HEADER = "x-accepted-stream-protocol-versions"

TUNNEL = f"SPDY/3.1+{PROTOCOL}"
"""WebSocket subprotocol whose binary messages carry the SPDY connection's bytes."""

PAIR_TIMEOUT = 30.0
"""Seconds for the second stream of a pair to come."""

MAX_HALVES = 1000
"""Streams of a connection that wait for the other half of their pair."""

MAX_ERROR_TEXT = 4096
"""Octets of an error stream that are kept."""

STREAM_TYPE, PORT, REQUEST_ID = "streamtype", "port", "requestid"
ERROR, DATA = "error", "data"


def pair_headers(kind: str, port: int, request_id: int) -> dict[str, str]:
    """Headers of the SYN_STREAM of one half: `kind` is `error` or `data`."""
    return {STREAM_TYPE: kind, PORT: str(port), REQUEST_ID: str(request_id)}


@dataclass(frozen=True, slots=True)
class Half:
    """A stream of a pair whose other one has not come.

    Attributes:
        key: what the two have in common.
        due: the time at which it has waited too long.
    """

    stream_id: int
    kind: str
    port: int
    key: str
    due: float


@dataclass(frozen=True, slots=True)
class Pair:
    """Both streams of a connection, by their ids."""

    error_id: int
    data_id: int
    port: int


class Pairing:
    """Puts the streams that a client opens together, pair by pair."""

    def __init__(self) -> None:
        self._halves: dict[str, Half] = {}

    def offer(self, stream_id: int, headers: Mapping[str, str], now: float) -> Pair | None:
        """A stream was opened; the pair, if it completes one.

        Raises:
            RemoteProtocolError: its headers make no half of a pair, or it is one too many.
        """
        half = _half(stream_id, headers, now)
        other = self._halves.get(half.key)
        if other is None:
            if len(self._halves) >= MAX_HALVES:
                raise RemoteProtocolError(f"{MAX_HALVES} streams wait for the rest of their pairs.")
            self._halves[half.key] = half
            return None
        if other.kind == half.kind or other.port != half.port:
            raise RemoteProtocolError(f"the streams of request {half.key} are no pair.")
        del self._halves[half.key]
        error, data = (half, other) if half.kind == ERROR else (other, half)
        return Pair(error.stream_id, data.stream_id, half.port)

    def forget(self, stream_id: int) -> None:
        """The stream is over."""
        for key, half in list(self._halves.items()):
            if half.stream_id == stream_id:
                del self._halves[key]

    def expired(self, now: float) -> list[Half]:
        """Those that have waited for too long; they are forgotten."""
        late = [half for half in self._halves.values() if half.due <= now]
        for half in late:
            del self._halves[half.key]
        return late

    @property
    def next_due(self) -> float | None:
        """The time at which `expired` is worth calling."""
        return min((half.due for half in self._halves.values()), default=None)


def _half(stream_id: int, headers: Mapping[str, str], now: float) -> Half:
    kind, port = headers.get(STREAM_TYPE, ""), headers.get(PORT, "")
    if kind not in (ERROR, DATA):
        raise RemoteProtocolError(f'invalid stream type "{kind[:40]}"')
    if not (port.isascii() and port.isdigit() and len(port) < 6 and 0 < int(port) < 1 << 16):
        raise RemoteProtocolError(f'unable to parse "{port[:40]}" as a port')
    key = headers.get(REQUEST_ID) or f"stream {stream_id if kind == ERROR else stream_id - 2}"
    return Half(stream_id, kind, int(port), key[:100], now + PAIR_TIMEOUT)


# -- texts on the error stream ---------------------------------------------------------------------

_GONE = re.compile(
    r"network namespace for sandbox \S+ is closed|failed to find sandbox|"
    r"sandbox (container |of pod )?\S+ is not running",
    re.IGNORECASE,
)
"""What runtimes say when the pod itself is gone; nothing else may end more than one connection (a
node without socat says "not found", too)."""

_NOT_NOW = re.compile(r"unable to forward port because pod is not running")
"""What API servers, kubectl and our own agent say of a pod that is coming or going."""

_TRIED = re.compile(r"IPv4: .*")
"""Where containerd says what it tried; before it stand a sandbox's and a namespace's long names."""

NOBODY = "nobody listens"
"""So begins what our own agent says of a refused port."""

_REFUSED = re.compile(r"connection refused", re.IGNORECASE)
_RESET = re.compile(r"connection reset|broken pipe", re.IGNORECASE)

TIMED_OUT = "timed out waiting for streams"
"""What a server says on an error stream whose data stream has not come."""


def error_of_text(text: str, port: int) -> KfwdError:
    """What a text on the error stream means; the words stay the cluster's own."""
    words = " ".join(text.split())
    if _GONE.search(words):
        return UnavailableError(f"the pod is gone: {words}", where="pod")
    if _NOT_NOW.search(words):
        return UnavailableError(words, where="pod")
    if _REFUSED.search(words):
        known = words.partition(" : ")[2]
        if not known.startswith(NOBODY):  # another runtime's words
            tried = _TRIED.search(words)
            known = f"{NOBODY} on port {port} of the pod ({tried[0] if tried else words})."
        return RefusedError(known, where="pod")
    if _RESET.search(words):
        return ResetError(f"the pod reset the connection: {words}", where="pod")
    return LostError(words or "the cluster gave no reason.", where="node agent")


def text_of_error(error: KfwdError, port: int, pod: str) -> str:
    """A refusal in the kubelet's words, so that clients know it."""
    cause = error.what
    if isinstance(error, RefusedError) and not _REFUSED.search(cause):
        cause = f"{cause} (connection refused)"
    return f"error forwarding port {port} to pod {pod}, uid : {cause}"
