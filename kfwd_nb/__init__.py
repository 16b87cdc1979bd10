"""Forward ports of Kubernetes pods from a notebook.

`%load_ext kfwd_nb`, then `%portforward POD LOCAL:REMOTE`; or, from any Python, `forward()`.

    notebook | cli | adapters what a person touches
    cluster                   the embedded cluster
    client | relay | agent    kubectl's, the API server's and the kubelet's role
    kube                      kubeconfig, objects, targets
    transport                 sockets, TLS, pumps
    protocol                  wire formats, sans-I/O
    ports, errors             what a person types; what a person reads
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from kfwd_nb._version import __version__

if TYPE_CHECKING:
    from kfwd_nb.client import Connection, Event, Forward, ForwardedPort, forward, forwards
    from kfwd_nb.cluster import MiniCluster
    from kfwd_nb.errors import KfwdError
    from kfwd_nb.notebook.dashboard import Dashboard

__all__ = [
    "Connection",
    "Dashboard",
    "Event",
    "Forward",
    "ForwardedPort",
    "KfwdError",
    "MiniCluster",
    "__version__",
    "forward",
    "forwards",
]

_HOMES = {
    "Connection": "kfwd_nb.client",
    "Event": "kfwd_nb.client",
    "Dashboard": "kfwd_nb.notebook.dashboard",
    "Forward": "kfwd_nb.client",
    "ForwardedPort": "kfwd_nb.client",
    "KfwdError": "kfwd_nb.errors",
    "MiniCluster": "kfwd_nb.cluster",
    "forward": "kfwd_nb.client",
    "forwards": "kfwd_nb.client",
}


def __getattr__(name: str) -> Any:
    """Import a public name at its first use: `%load_ext` does not wait for what it needs not."""
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    home = importlib.import_module(_HOMES[name])
    if home.__name__ == "kfwd_nb.client":
        importlib.import_module("kfwd_nb.client.display").register(_bundle_of)
    return getattr(home, name)


def _bundle_of(thing: object) -> dict[str, str]:
    from kfwd_nb.notebook.drawing.bundles import bundle_of

    return bundle_of(thing)


def load_ipython_extension(ip: Any) -> None:
    """`%load_ext kfwd_nb`: the magics `%portforward` and `%kfwd`."""
    # The client too (0.1 s), while nobody waits for a port.
    importlib.import_module("kfwd_nb.client")
    from kfwd_nb.notebook.extension import load

    load(ip)


def unload_ipython_extension(ip: Any) -> None:
    """`%unload_ext kfwd_nb`: stop the forwards, remove the magics."""
    from kfwd_nb.notebook.extension import unload

    unload(ip)
