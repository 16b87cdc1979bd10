"""The subresource `scale` of deployments, which `kubectl scale` uses. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from kfwd_nb.errors import RemoteProtocolError
from kfwd_nb.kube.selectors import selector_text

if TYPE_CHECKING:
    from kfwd_nb.kube.objects import Deployment


def scale_of(deployment: Deployment) -> dict[str, Any]:
    """The deployment as an autoscaling/v1 `Scale`."""
    meta = deployment.metadata
    return {
        "kind": "Scale",
        "apiVersion": "autoscaling/v1",
        "metadata": {
            "name": meta.name,
            "namespace": meta.namespace,
            "uid": meta.uid,
            "resourceVersion": meta.resource_version,
            "creationTimestamp": meta.creation_timestamp,
        },
        "spec": {"replicas": deployment.spec.replicas},
        "status": {
            "replicas": deployment.status.replicas,
            "selector": selector_text(deployment.spec.selector),
        },
    }


def replicas_of(tree: dict[str, Any]) -> int:
    """How many pods a `Scale` asks for.

    Raises:
        RemoteProtocolError: it does not say it.
    """
    spec = tree.get("spec")
    replicas = spec.get("replicas", 0) if isinstance(spec, dict) else None
    if not isinstance(replicas, int) or isinstance(replicas, bool):
        raise RemoteProtocolError("Scale: spec.replicas: must be a whole number")
    return replicas
