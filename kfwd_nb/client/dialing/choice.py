"""Which pod gets the next connection. Pure: pods in, a choice out."""

from __future__ import annotations

from collections.abc import Collection
from itertools import count

from kfwd_nb.kube.objects import Pod
from kfwd_nb.kube.podstate import FINISHED
from kfwd_nb.kube.resolve import by_preference

HOPELESS = frozenset(
    {
        "CreateContainerConfigError",
        "CreateContainerError",
        "ErrImageNeverPull",
        "ErrImagePull",
        "ImagePullBackOff",
        "InvalidImageName",
        "RunContainerError",
        "StartError",
    }
)
"""Reasons for which a container waits, and will not run soon (kubelet `pkg/kubelet/container`).

`CrashLoopBackOff` is none: such a pod's phase is Running, and its container is started again.
"""


def usable(pod: Pod) -> bool:
    """A connection to it may succeed: it runs, nobody ends it, and some container of it is up."""
    states = [each.state for each in pod.status.container_statuses]
    return (
        pod.status.phase == "Running"
        and pod.metadata.deletion_timestamp is None
        and not pod.status.reason
        and not (states and all({"waiting", "terminated"} & each.keys() for each in states))
    )


def hopeless(pod: Pod) -> bool:
    """Waiting for it makes no sense: it has ended, or a container cannot be started."""
    reasons = {
        str(each.state.get("waiting", {}).get("reason", ""))
        for each in pod.status.container_statuses
    }
    return pod.status.phase in FINISHED or not HOPELESS.isdisjoint(reasons)


class Choice:
    """Remembers what it chose: by default one pod for as long as it lasts.

    Args:
        balance: give connections to the ready pods in turn, each to the one that was used least
            recently.
    """

    def __init__(self, *, balance: bool) -> None:
        self._balance = balance
        self._turns = count(1)
        self._used: dict[str, int] = {}

    def next(self, pods: Collection[Pod], *, unready: bool) -> Pod | None:
        """The pod for a new connection; None while there is none.

        A pod that was used is kept while it is usable, ready or not; another one must be ready,
        unless `unready` pods will do.
        """
        candidates = [pod for pod in pods if usable(pod)]
        known = {pod.metadata.uid for pod in candidates}
        self._used = {uid: turn for uid, turn in self._used.items() if uid in known}
        ready = [pod for pod in candidates if pod.ready]
        used = [pod for pod in candidates if pod.metadata.uid in self._used]
        chosen = self._choose(ready, used, candidates if unready else [])
        if chosen is not None:
            self._used[chosen.metadata.uid] = next(self._turns)
        return chosen

    def _choose(self, ready: list[Pod], used: list[Pod], others: list[Pod]) -> Pod | None:
        if self._balance:
            if ready:
                return min(
                    by_preference(ready), key=lambda pod: self._used.get(pod.metadata.uid, 0)
                )
        elif used:
            latest = max(used, key=lambda pod: self._used[pod.metadata.uid])
            if latest.ready or not ready:
                return latest
        return next(iter(by_preference(ready or used or others)), None)
