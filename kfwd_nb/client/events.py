"""What happens to a forward, as events: for its log, for lines and for JSON."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from time import localtime, strftime
from typing import TYPE_CHECKING, Any, Literal

from kfwd_nb.errors import printable
from kfwd_nb.ports import bracketed

if TYPE_CHECKING:
    from kfwd_nb.client.connection import Connection
    from kfwd_nb.client.forwarded_port import ForwardedPort
    from kfwd_nb.client.parameters import DialectName, ForwardParameters
    from kfwd_nb.kube.objects import Pod

EventKind = Literal[
    "dialect",
    "listening",
    "opened",
    "waiting",
    "pod",
    "closed",
    "gone",
    "came",
    "missed",
    "trouble",
    "recovered",
    "stopped",
]
"""`opened`, `waiting`, `pod` and `closed` are about one connection; `gone` and `came` about a pod
of the target: it is there no more; a new one is ready."""


@dataclass(slots=True, repr=False)
class Event:
    """Something that happened; nothing changes it any more once a log has it.

    Attributes:
        kind: see `EventKind`.
        facts: what there is to know of it, for programs; keys as in JSON.
        connection: the connection as it was then, for those that are about one.
        time: when it happened, in seconds since the epoch; None for when it is told.
        number: counts the events of a forward, from 1; 0 for one that no log has seen.
    """

    kind: EventKind
    facts: dict[str, Any]
    connection: Connection | None = field(default=None, compare=False)
    time: float | None = field(default=None, compare=False)
    number: int = field(default=0, compare=False)

    @property
    def text(self) -> str:
        """One line for people; what pods and clusters said is in it as it came."""
        return _in_words(self.kind, self.facts)

    def __repr__(self) -> str:
        when = "" if self.time is None else f"{strftime('%H:%M:%S', localtime(self.time))} "
        return f"<{when}{self.kind}: {printable(self.text)}>"


def _in_words(kind: EventKind, facts: dict[str, Any]) -> str:  # noqa: C901, PLR0911 - a table
    number = facts.get("connection")
    match kind:
        case "dialect":
            return f"dialect {facts['dialect']}: {facts['reason']}"
        case "listening":
            ways = [
                f"{bracketed(address)}:{port['local']} -> {port['remote']}"
                for port in facts["ports"]
                for address in port["addresses"]
            ]
            return f"listens: {', '.join(ways)}" if ways else "ready, without a local port"
        case "opened":
            return f"connection {number} from {facts['peer']}"
        case "waiting":
            return f"connection {number} waits for a pod"
        case "pod":
            where = f"{_placed(facts)}, port {facts['port']}"
            return f"connection {number} goes to {where}, by {facts['dialect']}"
        case "closed":
            how = "failed" if facts["failed"] else "closed"
            passed = f"{facts['bytesIn']} bytes in, {facts['bytesOut']} out"
            after = f"after {facts['seconds']} s, {passed}"
            return f"connection {number} {how} {after}: {facts['reason']}"
        case "gone":
            return f"pod {_placed(facts)} is gone"
        case "came":
            return f"pod {_placed(facts)} is ready"
        case "missed":
            return f"{facts['events']} events were dropped: nobody had read them"
        case "trouble":
            return str(facts["reason"])
        case "recovered":
            return "all is well again"
        case "stopped":
            return f"stopped: {facts['reason']}" if facts["reason"] else "stopped"


def _placed(facts: dict[str, Any]) -> str:
    return f"{facts['pod']} on {facts['node']}" if facts["node"] else str(facts["pod"])


# -- the forward as a whole ---------------------------------------------------------------------


def listening(
    parameters: ForwardParameters,
    dialect: str,
    reason: str,
    ports: Sequence[ForwardedPort],
) -> Event:
    """All its ports listen; the facts are what the forward is."""
    facts = {
        "target": str(parameters.target),
        "namespace": parameters.namespace,
        "context": parameters.context,
        "server": parameters.server,
        "dialect": dialect,
        "dialectReason": reason,
        "ports": [_port(each) for each in ports],
    }
    return Event("listening", facts)


def stopped(reason: str) -> Event:
    """It is over."""
    return Event("stopped", {"reason": reason})


def _port(port: ForwardedPort) -> dict[str, Any]:
    return {"addresses": list(port.addresses), "local": port.local, "remote": port.remote}


def trouble(reason: str) -> Event:
    """Something is wrong with it; or, with an empty reason, nothing is any more."""
    return Event("trouble", {"reason": reason}) if reason else Event("recovered", {})


def chosen(dialect: DialectName, reason: str) -> Event:
    """The wire to the cluster is chosen."""
    return Event("dialect", {"dialect": dialect, "reason": reason})


def gone(pod: Pod) -> Event:
    """A pod of the target is there no more."""
    return Event("gone", _of_pod(pod))


def came(pod: Pod) -> Event:
    """A pod of the target that was not there at the start is ready."""
    return Event("came", _of_pod(pod))


def _of_pod(pod: Pod) -> dict[str, Any]:
    meta = pod.metadata
    return {"pod": f"{meta.namespace}/{meta.name}", "node": pod.spec.node_name}


# -- one connection -----------------------------------------------------------------------------


def opened(connection: Connection) -> Event:
    """A local program has connected."""
    facts = _named(connection) | {
        "peer": connection.peer,
        "local": connection.local,
        "remote": connection.remote,
    }
    return Event("opened", facts, replace(connection), connection.opened)


def waiting(connection: Connection) -> Event:
    """No pod can take it now."""
    return Event("waiting", _named(connection), replace(connection))


def goes_to(connection: Connection) -> Event:
    """A pod is tried: the first one, or another in its place."""
    facts = {
        "pod": connection.pod,
        "node": connection.node,
        "port": connection.remote,
        "dialect": connection.dialect,
    }
    return Event("pod", _named(connection) | facts, replace(connection))


def closed(connection: Connection) -> Event:
    """It is over."""
    end = connection.opened if connection.closed is None else connection.closed
    first = connection.first_byte
    facts = {
        "failed": connection.failed,
        "reason": connection.reason,
        "bytesIn": connection.bytes_in,
        "bytesOut": connection.bytes_out,
        "seconds": round(max(0.0, end - connection.opened), 3),
        "firstByteSeconds": None if first is None else round(first, 6),
    }
    # No copy: nothing changes it any more.
    return Event("closed", _named(connection) | facts, connection, connection.closed)


def _named(connection: Connection) -> dict[str, Any]:
    return {"connection": connection.number}
