"""From the name in a CONNECT to a pod and its port, connection by connection."""

from __future__ import annotations

from itertools import count
from typing import TYPE_CHECKING

from kfwd_nb.errors import UnavailableError
from kfwd_nb.kube.objects import Deployment, Namespace, Pod, Service
from kfwd_nb.kube.resolve import (
    Destination,
    Inventory,
    choose_pod,
    find_service,
    ready_pods,
    remote_port,
    require_namespace,
)
from kfwd_nb.ports import Target

if TYPE_CHECKING:
    from kfwd_nb.protocol.connect import Authority
    from kfwd_nb.relay.store import Store


class Names:
    """Finds the pod behind a name, as the store has it now.

    A service's connections go to its ready pods in turn: each to the one that was used least
    recently, whatever pods came and went in between.
    """

    def __init__(self, store: Store) -> None:
        self._store = store
        self._turns = count(1)
        self._used: dict[str, dict[str, int]] = {}

    def resolve(self, authority: Authority) -> Destination:
        """The pod that shall answer, and the port inside it.

        Raises:
            NotFoundError: no such namespace, pod, service or port.
            UnavailableError: the pod is not running, or the service has no ready pods.
        """
        inventory = self.inventory(authority.namespace)
        require_namespace(inventory)
        target = Target(authority.kind, authority.name)
        if authority.kind == "svc":
            pod = self._next(find_service(authority.name, inventory), inventory)
        else:
            pod = choose_pod(target, inventory)
        if not pod.spec.node_name:
            raise UnavailableError(f'Pod "{authority.name}" has no node yet.')
        return Destination(pod, remote_port(target, authority.port, pod, inventory))

    def inventory(self, namespace: str) -> Inventory:
        """What a namespace holds."""
        return Inventory(
            namespace,
            pods=self._store.select(Pod, namespace),
            services=self._store.select(Service, namespace),
            deployments=self._store.select(Deployment, namespace),
            namespaces=[each.metadata.name for each in self._store.select(Namespace)],
        )

    def _next(self, service: Service, inventory: Inventory) -> Pod:
        """The ready pod of the service whose turn it is."""
        pods = {pod.metadata.uid: pod for pod in ready_pods(service, inventory.pods)}
        former = self._used.get(service.metadata.uid, {})
        used = {uid: former.get(uid, 0) for uid in pods}
        chosen = min(used, key=used.__getitem__)
        used[chosen] = next(self._turns)
        self._remember(service.metadata.uid, used)
        return pods[chosen]

    def _remember(self, uid: str, used: dict[str, int]) -> None:
        """Keep the turns of the services that there are, and of their ready pods."""
        if uid not in self._used:
            living = {each.metadata.uid for each in self._store.select(Service)}
            self._used = {each: turns for each, turns in self._used.items() if each in living}
        self._used[uid] = used
