"""The embedded cluster that `%kfwd up` started in this kernel, and the environment it lends."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import TYPE_CHECKING

from kfwd_nb.errors import UsageError

if TYPE_CHECKING:
    from kfwd_nb.cluster import MiniCluster
    from kfwd_nb.cluster.options import Options

VARIABLE = "KUBECONFIG"
"""Read by `kubectl` and all its kin, in `!` commands too."""


class EmbeddedCluster:
    """At most one cluster: started, found again, ended."""

    def __init__(self) -> None:
        self._cluster: MiniCluster | None = None
        self._name = ""
        self._before: str | None = None

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

        cluster = MiniCluster(
            options.file,
            nodes=options.nodes,
            isolation=options.isolation,
            connector=options.connector,
            kubeconfig=options.kubeconfig,
            progress=progress,
        )
        cluster.start()
        self._give_back()
        self._cluster, self._name = cluster, cluster.name
        self._before = os.environ.get(VARIABLE)
        os.environ[VARIABLE] = str(cluster.kubeconfig)
        return cluster

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


embedded = EmbeddedCluster()
"""The one of this process; it outlives `%reload_ext`."""
