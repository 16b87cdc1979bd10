"""The embedded cluster: starts relay and agents as processes, posts the manifests, ends them all.

    MiniCluster (this process) → supervisor (its own session) → relay, agents → pods

- `minicluster` is what a person uses; it talks to the supervisor by `options` and `events`.
- `supervisor` starts `child` processes by the files that `nodes` writes, creates the objects of
  `workload` through `apply`, and waits by `readiness`; `owner` tells it when to end.
- `faults` breaks what runs, on demand, and mends it.
- `folder`, `pki`, `kubeconfig` and `isolation` are what a cluster needs before anything runs.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from kfwd_nb.cluster.minicluster import MiniCluster

__all__ = ["MiniCluster"]


def __getattr__(name: str) -> object:
    """Import `MiniCluster` when it is first asked for: the supervisor and userns never do."""
    if name == "MiniCluster":
        from kfwd_nb.cluster.minicluster import MiniCluster

        return MiniCluster
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
