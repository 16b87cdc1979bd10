"""What it means to delete an object: a pod ends first; namespaces and nodes take theirs along."""

from __future__ import annotations

from typing import TYPE_CHECKING

from kfwd_nb.errors import ForbiddenError
from kfwd_nb.kube.objects import (
    DEFAULT_NAMESPACE,
    Deployment,
    Namespace,
    Node,
    Object,
    Pod,
)
from kfwd_nb.kube.podstate import was_found
from kfwd_nb.kube.resources import RESOURCES
from kfwd_nb.relay.store import with_metadata

if TYPE_CHECKING:
    from kfwd_nb.relay.store import Store


def delete(store: Store, item: Object) -> Object:
    """Delete the object, or mark it where its node's agent has to end it first.

    Raises:
        NotFoundError: it is not there any more.
        ForbiddenError: it is the namespace that must always be there, or a pod that was found, or
            a namespace that holds one; nothing is deleted then.
    """
    if isinstance(item, Pod):
        return delete_pod(store, item)
    if isinstance(item, Namespace):
        if item.metadata.name == DEFAULT_NAMESPACE:
            raise ForbiddenError(
                f'namespaces "{DEFAULT_NAMESPACE}" is forbidden: this namespace may not be deleted',
                where="relay",
            )
        for pod in store.select(Pod, item.metadata.name):
            check_made_here(store, pod)
        for resource in RESOURCES:
            if resource.namespaced:
                for inner in store.select(resource.type, item.metadata.name):
                    delete(store, inner)
    gone = store.delete(item)
    if isinstance(item, Node):
        for pod in store.select(Pod):
            if pod.spec.node_name == item.metadata.name:
                delete_pod(store, pod)
    return gone


def delete_pod(store: Store, pod: Pod) -> Pod:
    """Mark the pod, and its node's link does the rest; with no such link, take it out at once.

    An agent that comes back later is told to end what the store does not know.

    Raises:
        ForbiddenError: the agent has found the pod, and ends none.
    """
    check_made_here(store, pod)
    node = store.get(Node, "", pod.spec.node_name)
    if node is None or not node.ready:
        return store.delete(pod)
    if pod.metadata.deletion_timestamp is not None:
        return pod
    grace = pod.spec.termination_grace_period_seconds
    return store.update(
        with_metadata(pod, deletion_timestamp=store.now(), deletion_grace_period_seconds=grace)
    )


def check_made_here(store: Store, pod: Pod) -> None:
    """Nothing, if the pod may be deleted here.

    Raises:
        ForbiddenError: the agent of a node that there is has found it, and ends none.
    """
    node = pod.spec.node_name
    if was_found(pod) and store.get(Node, "", node) is not None:
        raise ForbiddenError(
            f'pods "{pod.metadata.name}" is forbidden: the agent of node "{node}" found it; it can '
            "be deleted only where it was made",
            where="relay",
        )


def orphan(store: Store, deployment: Deployment) -> None:
    """Let the deployment's pods live on without it (`kubectl delete --cascade=orphan`)."""
    uid = deployment.metadata.uid
    for pod in store.select(Pod, deployment.metadata.namespace):
        owners = pod.metadata.owner_references
        kept = [owner for owner in owners if owner.uid != uid]
        if kept != owners:
            store.update(with_metadata(pod, owner_references=kept))


class OrphanCollector:
    """Deletes the pods whose deployment is gone (Kubernetes' garbage collector, for one kind)."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def step(self) -> None:
        """See `running.Controller`."""
        living = {each.metadata.uid for each in self._store.select(Deployment)}
        for pod in self._store.select(Pod):
            if was_found(pod):
                continue
            owner = next((o for o in pod.metadata.owner_references if o.controller), None)
            if owner is not None and owner.kind == "Deployment" and owner.uid not in living:
                delete_pod(self._store, pod)
