"""One forwarded connection, as the table shows it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

ConnectionState = Literal["opening", "waiting", "open", "local ended", "pod ended", "closed"]
"""`waiting` is for a pod that can take it. `local ended` and `pod ended` are the two half-closes:
that side has sent all it will send."""


@dataclass(slots=True)
class Connection:
    """Counters and facts of one connection; `Forward.connections()` hands out copies.

    Attributes:
        number: counts the connections of a forward, from 1.
        peer: the local program's address, `127.0.0.1:53422`; `in-process` for `Forward.open`.
        local: the local port it came in on; 0 if on none.
        remote: the pod's port, as a number.
        opened: seconds since the epoch.
        state: see `ConnectionState`.
        pod: NAMESPACE/NAME of the pod that answers, empty until it is known.
        node: the node whose agent opened the port, empty until it is known.
        dialect: wire between client and relay.
        bytes_in: bytes that came from the pod and were given to the local program.
        bytes_out: bytes that came from the local program and were given to the tunnel.
        first_byte: seconds from accept to the first byte from the pod; None before it.
        closed: seconds since the epoch; None while it lives.
        reason: why it closed, one line; empty while it lives.
        failed: it closed with an error.
    """

    number: int
    peer: str
    local: int
    remote: int
    opened: float
    state: ConnectionState = "opening"
    pod: str = ""
    node: str = ""
    dialect: str = "connect"
    bytes_in: int = 0
    bytes_out: int = 0
    first_byte: float | None = None
    closed: float | None = None
    reason: str = ""
    failed: bool = False


@dataclass(frozen=True, slots=True)
class Totals:
    """Sums over all connections that a forward ever had, the forgotten ones too."""

    opened: int = 0
    open: int = 0
    failed: int = 0
    bytes_in: int = 0
    bytes_out: int = 0
