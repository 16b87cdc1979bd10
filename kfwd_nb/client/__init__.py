"""kubectl's role: local listeners bound to a target in a cluster, supervised until stopped."""

from kfwd_nb.client.connection import Connection, ConnectionState, Totals
from kfwd_nb.client.events import Event, EventKind
from kfwd_nb.client.forward import Forward
from kfwd_nb.client.forwarded_port import ForwardedPort
from kfwd_nb.client.parameters import ForwardParameters
from kfwd_nb.client.registry import end, forward, forward_or_existing, forwards, restart

__all__ = [
    "Connection",
    "ConnectionState",
    "Event",
    "EventKind",
    "Forward",
    "ForwardParameters",
    "ForwardedPort",
    "Totals",
    "end",
    "forward",
    "forward_or_existing",
    "forwards",
    "restart",
]
