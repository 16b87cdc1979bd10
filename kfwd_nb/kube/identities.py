"""Who is who in the certificates and tokens of a cluster.

Names are those that Kubernetes gives to kubelets: CN is the user, O its groups (kubernetes.io, PKI
certificates and requirements).
"""

from __future__ import annotations

MASTERS = "system:masters"
"""The group that may do everything."""

NODES = "system:nodes"
"""The group of node agents."""

RELAY_USER = "kfwd-relay"
"""The relay, as node agents see it."""

RELAY_GROUP = "kfwd:relay"
"""The group that node agents obey. Another node's certificate is of the same CA, and may not tell
this node what to do."""


def node_user(node: str) -> str:
    """The user name of a node's agent."""
    return f"system:node:{node}"
