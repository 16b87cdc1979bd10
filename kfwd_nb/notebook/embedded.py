"""The embedded cluster that `%kfwd up` started in this kernel, and the environment it lends."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from kfwd_nb.errors import ClusterError, KfwdError, UsageError

if TYPE_CHECKING:
    from kfwd_nb.cluster import MiniCluster
    from kfwd_nb.cluster.faults import Faults
    from kfwd_nb.cluster.options import Options

VARIABLE = "KUBECONFIG"
"""Read by `kubectl` and all its kin, in `!` commands too."""


@dataclass(frozen=True, slots=True)
class Lost:
    """A cluster that ended by itself.

    Attributes:
        reason: one sentence.
        stopped: names of the forwards that led into it.
    """

    name: str
    reason: str
    stopped: tuple[str, ...] = ()


class EmbeddedCluster:
    """At most one cluster: started, found again, ended.

    Attributes:
        lost: the last cluster, if it ended by itself, until `%kfwd up` or `%kfwd down`.
        isolation_line: how pods are kept apart, and why not better, in the cluster's own words.
    """

    def __init__(self) -> None:
        self.lost: Lost | None = None
        self.isolation_line = ""
        self._cluster: MiniCluster | None = None
        self._options: Options | None = None
        self._name = ""
        self._before: str | None = None
        self._noticing = threading.Lock()  # dashboards have threads of their own

    @property
    def cluster(self) -> MiniCluster | None:
        """The running cluster; None while there is none, or when it has ended by itself."""
        cluster = self._cluster
        return cluster if cluster is not None and cluster.running else None

    def start(self, options: Options, progress: Callable[[str], None]) -> MiniCluster:
        """Start it and wait until all pods are ready; whatever interrupts ends what was started.

        Raises:
            KfwdError: it could not be started.
        """
        from kfwd_nb.cluster import MiniCluster

        isolation_line = ""

        def listen(line: str) -> None:
            nonlocal isolation_line
            if line.removeprefix("WARNING: ").startswith("isolation "):
                isolation_line = line
            progress(line)

        cluster = MiniCluster(
            options.file,
            nodes=options.nodes,
            isolation=options.isolation,
            connector=options.connector,
            kubeconfig=options.kubeconfig,
            progress=listen,
        )
        cluster.start()
        self._give_back()
        self.lost, self.isolation_line = None, isolation_line
        self._cluster, self._name, self._options = cluster, cluster.name, options
        self._before = os.environ.get(VARIABLE)
        os.environ[VARIABLE] = str(cluster.kubeconfig)
        return cluster

    def check_same(self, wanted: Options) -> None:
        """Refuse options that the running cluster does not have.

        Raises:
            UsageError: names the first one.
        """
        cluster, options = self.cluster, self._options
        if cluster is None or options is None:
            return
        for name in ("file", "nodes", "isolation", "connector", "kubeconfig"):
            asked, had = getattr(wanted, name), getattr(options, name)
            same = asked == had or (name == "isolation" and asked == cluster.isolation)
            if not same and not (name == "kubeconfig" and asked is None):
                raise UsageError(
                    f"cluster {cluster.name} is up with other options"
                    f" (--{name} {'default' if had is None else had}).",
                    hint="`%kfwd down` first.",
                )

    def notice(self) -> None:
        """Find out whether the cluster has ended by itself; then stop what led into it."""
        with self._noticing:
            cluster = self._cluster
            if cluster is None or cluster.running:
                return
            try:
                cluster.wait(0)
                reason = "it was stopped."
            except KfwdError as error:
                reason = error.what
            self.lost = lost = Lost(cluster.name, reason)
            self._give_back()
        # Not within the lock: one on the kernel's own loop waits for the kernel's thread.
        self.lost = replace(lost, stopped=_stop_forwards(cluster))
        cluster.stop()  # its kubeconfig is no longer one to look for

    @property
    def faults(self) -> Faults:
        """What breaks parts of the running cluster.

        Raises:
            ClusterError: it has ended by itself.
            UsageError: there is none.
        """
        self.check_not_lost()
        if self.cluster is None:
            raise UsageError(
                "faults are for an embedded cluster, and this kernel has none.",
                hint="`%kfwd up` starts one; nothing else is ever broken.",
            )
        return self.cluster.faults

    def check_not_lost(self, context: str | None = None) -> None:
        """Refuse to go on in another cluster than the one that was up.

        Args:
            context: that is asked for; who names another one than its own means it.

        Raises:
            ClusterError: it has ended by itself; says why.
        """
        self.notice()
        if self.lost is not None and context in (None, self.lost.name):
            raise ClusterError(
                f"cluster {self.lost.name} has ended: {self.lost.reason}",
                hint="`%kfwd up` starts another; `%kfwd down` is for going on without one.",
            )

    def check_ours(self) -> None:
        """Refuse to end what this kernel has not started.

        Raises:
            UsageError: it never started a cluster.
        """
        if not self._name:
            raise UsageError(
                "this kernel has started no embedded cluster, and %kfwd down ends nothing else."
            )

    def stop(self) -> str:
        """End it, and give the environment back what it had; nothing if it is down already.

        Returns:
            Its name.
        """
        cluster = self._cluster
        self.lost = None
        self._give_back()
        if cluster is not None:
            cluster.stop()
        return self._name

    def _give_back(self) -> None:
        """The environment as it was, unless somebody has changed it since."""
        cluster, self._cluster = self._cluster, None
        if cluster is None or os.environ.get(VARIABLE) != str(cluster.kubeconfig):
            return
        if self._before is None:
            del os.environ[VARIABLE]
        else:
            os.environ[VARIABLE] = self._before


def _stop_forwards(cluster: MiniCluster) -> tuple[str, ...]:
    from kfwd_nb import client

    chosen = [each for each in client.forwards() if each.server == cluster.relay]
    for forward in chosen:
        forward.stop(f"cluster {cluster.name} has ended")
    return tuple(each.name for each in chosen)


embedded = EmbeddedCluster()
"""The one of this process; it outlives `%reload_ext`."""
