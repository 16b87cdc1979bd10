"""The Deployment controller: as many living pods of the present template as asked for."""

from __future__ import annotations

import hashlib
import secrets
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

import msgspec

from kfwd_nb.errors import LimitError
from kfwd_nb.kube.objects import (
    Deployment,
    DeploymentStatus,
    ObjectMeta,
    OwnerReference,
    Pod,
    PodTemplate,
)
from kfwd_nb.kube.podstate import FINISHED, was_found
from kfwd_nb.kube.resolve import by_preference
from kfwd_nb.relay.controllers.deletion import delete_pod
from kfwd_nb.relay.store import AlreadyExistsError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from kfwd_nb.relay.store import Store

HASH_LABEL = "pod-template-hash"
"""Label that tells the pods of one template from those of another."""

ALPHABET = "bcdfghjklmnpqrstvwxz2456789"
"""Letters of generated names: no vowels, so no words (apimachinery `util/rand`)."""

MAX_BASE_NAME = 236
"""Characters of a deployment's name that its pods' names keep, to stay within 253."""

YOUNG = 10.0
"""Seconds; a pod that fails sooner after its creation makes the next replacement wait."""

FIRST_WAIT = 0.5
"""Seconds before the replacement that follows a first early failure; doubled each time."""

MAX_WAIT = 30.0
"""Seconds that a replacement waits at the most."""


@dataclass(frozen=True, slots=True)
class Plan:
    """What to do for one deployment now."""

    create: tuple[Pod, ...] = ()
    delete: tuple[Pod, ...] = ()


def random_suffix() -> str:
    """Five letters that make a pod's name its own."""
    return "".join(secrets.choice(ALPHABET) for _ in range(5))


def template_hash(template: PodTemplate) -> str:
    """Ten letters that are the same for the same template."""
    digest = hashlib.sha256(msgspec.json.encode(template, order="sorted")).digest()
    return "".join(ALPHABET[byte % len(ALPHABET)] for byte in digest[:10])


def reconcile(
    deployment: Deployment, pods: Iterable[Pod], suffix: Callable[[], str] = random_suffix
) -> Plan:
    """Compare a deployment with its pods. Pure.

    Finished pods are deleted and replaced; of too many, the worst go first; pods of a former
    template go as fast as those of the present one become ready.

    Args:
        deployment: what is asked for.
        pods: what there is; pods of others are passed over.
        suffix: makes the last part of a new pod's name.
    """
    present = template_hash(deployment.spec.template)
    owned = [pod for pod in owned_by(deployment, pods) if not _deleting(pod)]
    finished = [pod for pod in owned if pod.status.phase in FINISHED]
    living = [pod for pod in owned if pod.status.phase not in FINISHED]
    current = [pod for pod in living if pod.metadata.labels.get(HASH_LABEL) == present]
    former = [pod for pod in living if pod not in current]
    wanted = deployment.spec.replicas
    surplus = _worst(current, len(current) - wanted)
    replaced = _worst(former, len(former) - wanted + sum(pod.ready for pod in current))
    missing = max(0, wanted - len(current))
    return Plan(
        create=tuple(_new_pod(deployment, present, suffix()) for _ in range(missing)),
        delete=(*finished, *surplus, *replaced),
    )


def owned_by(deployment: Deployment, pods: Iterable[Pod]) -> list[Pod]:
    """Those of the pods that the deployment made; one that an agent has found is none of them."""
    uid = deployment.metadata.uid
    made = (pod for pod in pods if not was_found(pod))
    return [p for p in made if any(o.uid == uid for o in p.metadata.owner_references)]


def status_of(deployment: Deployment, pods: Sequence[Pod]) -> DeploymentStatus:
    """How far a deployment is, counted over the pods that it owns."""
    present = template_hash(deployment.spec.template)
    living = [p for p in pods if p.status.phase not in FINISHED and not _deleting(p)]
    ready = sum(pod.ready for pod in living)
    return DeploymentStatus(
        replicas=len(living),
        ready_replicas=ready,
        available_replicas=ready,
        updated_replicas=sum(p.metadata.labels.get(HASH_LABEL) == present for p in living),
    )


class DeploymentController:
    """Carries out the plans of `reconcile`; slows down where pods fail as soon as they are made.

    Args:
        clock: tells monotonic seconds.
    """

    def __init__(self, store: Store, clock: Callable[[], float] = time.monotonic) -> None:
        self._store = store
        self._clock = clock
        self._created: dict[str, float] = {}
        self._waits: dict[str, _Wait] = {}

    def step(self) -> float | None:
        """See `running.Controller`."""
        now = self._clock()
        deployments = self._store.select(Deployment)
        pods = self._store.select(Pod)
        self._forget(deployments, pods)
        delays = []
        for deployment in deployments:
            plan = reconcile(deployment, pods)
            wait = self._waits.setdefault(deployment.metadata.uid, _Wait())
            for pod in plan.delete:
                if pod.status.phase in FINISHED:
                    wait.failed(now, now - self._created.get(pod.metadata.uid, 0.0))
                delete_pod(self._store, pod)
            if plan.create and now < wait.until:
                delays.append(wait.until - now)
            elif not self._create(plan.create, now):
                delays.append(MAX_WAIT)
            self._report(deployment)
        return min(delays, default=None)

    def _create(self, pods: Iterable[Pod], now: float) -> bool:
        """False when the store takes no more."""
        try:
            for pod in pods:
                self._created[self._store.create(pod).metadata.uid] = now
        except (AlreadyExistsError, LimitError):
            return False
        return True

    def _report(self, deployment: Deployment) -> None:
        pods = owned_by(deployment, self._store.select(Pod, deployment.metadata.namespace))
        status = status_of(deployment, pods)
        self._store.update(msgspec.structs.replace(deployment, status=status))

    def _forget(self, deployments: Iterable[Deployment], pods: Iterable[Pod]) -> None:
        uids = {each.metadata.uid for each in deployments}
        self._waits = {uid: wait for uid, wait in self._waits.items() if uid in uids}
        uids = {each.metadata.uid for each in pods}
        self._created = {uid: at for uid, at in self._created.items() if uid in uids}


@dataclass(slots=True)
class _Wait:
    """How long a deployment's next replacement waits; times in monotonic seconds."""

    length: float = 0.0
    until: float = 0.0

    def failed(self, now: float, age: float) -> None:
        """A pod of that age failed."""
        if age >= YOUNG:
            self.length = self.until = 0.0
        elif now >= self.until:
            self.length = min(self.length * 2 or FIRST_WAIT, MAX_WAIT)
            self.until = now + self.length


def _new_pod(deployment: Deployment, present: str, suffix: str) -> Pod:
    meta, template = deployment.metadata, deployment.spec.template
    return Pod(
        metadata=ObjectMeta(
            name=f"{meta.name[:MAX_BASE_NAME]}-{present}-{suffix}",
            namespace=meta.namespace,
            labels={**template.metadata.labels, HASH_LABEL: present},
            annotations=template.metadata.annotations,
            owner_references=[
                OwnerReference(
                    kind="Deployment",
                    name=meta.name,
                    uid=meta.uid,
                    api_version="apps/v1",
                    controller=True,
                )
            ],
        ),
        spec=template.spec,
    )


def _worst(pods: Iterable[Pod], count: int) -> list[Pod]:
    return by_preference(pods)[::-1][: max(0, count)]


def _deleting(pod: Pod) -> bool:
    return pod.metadata.deletion_timestamp is not None
