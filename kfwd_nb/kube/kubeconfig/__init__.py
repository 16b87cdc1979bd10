"""The one configuration that a client needs (kubernetes.io, "kubeconfig"): from files to access.

`load` is what others want of it. Behind it: the form of the files, who is asking and the programs
that prove it, and what a connection to the API server needs to know.
"""

from kfwd_nb.kube.kubeconfig.access import ClusterAccess
from kfwd_nb.kube.kubeconfig.finding import announce, announced, contexts, load

__all__ = ["ClusterAccess", "announce", "announced", "contexts", "load"]
