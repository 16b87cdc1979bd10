"""Gives every pod a node: the ready one with the fewest pods."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

import msgspec

from kfwd_nb.kube.objects import FOUND_ANNOTATION, Condition, Node, Pod, condition
from kfwd_nb.kube.podstate import FINISHED

if TYPE_CHECKING:
    from collections.abc import Iterable

    from kfwd_nb.relay.store import Store

CONNECTING = "Connecting"
"""Reason of a node that has registered and is being dialled; it does not last (`NodeLink`)."""


def assign(pods: Iterable[Pod], nodes: Iterable[Node]) -> list[tuple[Pod, str]]:
    """A node's name for each pod that has none; empty when no node is ready. Pure.

    Ties go to the node that sorts first, so the same pods always go to the same nodes. While a node
    is dialled, nothing is decided: the first of several to answer would get all pods. A node whose
    agent only finds pods gets none.
    """
    pods, nodes = list(pods), list(nodes)
    nodes = [node for node in nodes if FOUND_ANNOTATION not in node.metadata.annotations]
    names = sorted(node.metadata.name for node in nodes if node.ready)
    if not names or any(_connecting(node) for node in nodes):
        return []
    load = Counter(pod.spec.node_name for pod in pods if pod.status.phase not in FINISHED)
    assigned = []
    for pod in pods:
        if not pod.spec.node_name and pod.metadata.deletion_timestamp is None:
            name = min(names, key=lambda each: (load[each], each))
            load[name] += 1
            assigned.append((pod, name))
    return assigned


def _connecting(node: Node) -> bool:
    ready = condition(node.status.conditions)
    return ready is not None and ready.reason == CONNECTING


class Scheduler:
    """Writes the decisions of `assign` into the store, and on pods that must wait, why."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def step(self) -> None:
        """See `running.Controller`."""
        store = self._store
        pods, nodes = store.select(Pod), store.select(Node)
        for pod, name in assign(pods, nodes):
            spec = msgspec.structs.replace(pod.spec, node_name=name)
            status = msgspec.structs.replace(pod.status, conditions=[_scheduled(store.now())])
            store.update(msgspec.structs.replace(pod, spec=spec, status=status))
        if not any(node.ready for node in nodes):
            for pod in pods:
                if not pod.spec.node_name and not pod.status.conditions:
                    waiting = [_unschedulable(len(nodes), store.now())]
                    status = msgspec.structs.replace(pod.status, conditions=waiting)
                    store.update(msgspec.structs.replace(pod, status=status))


def _scheduled(now: str) -> Condition:
    return Condition(type="PodScheduled", status="True", last_transition_time=now)


def _unschedulable(nodes: int, now: str) -> Condition:
    return Condition(
        type="PodScheduled",
        status="False",
        reason="Unschedulable",
        message=f"0/{nodes} nodes are ready",
        last_transition_time=now,
    )
