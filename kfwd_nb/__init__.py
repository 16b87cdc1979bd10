"""Forward ports of Kubernetes pods from a notebook.

`%load_ext kfwd_nb`, then `%portforward POD LOCAL:REMOTE`; or, from any Python, `forward()`.

    notebook | cli            what a person touches
    cluster                   the embedded cluster
    client | relay | agent    kubectl's, the API server's and the kubelet's role
    kube                      kubeconfig, objects, targets
    transport                 sockets, TLS, pumps
    protocol                  wire formats, sans-I/O
    ports, errors             what a person types; what a person reads
"""

from __future__ import annotations

from kfwd_nb._version import __version__

__all__ = ["__version__"]
