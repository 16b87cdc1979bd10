"""What the API says of itself: version, groups, resources. Clients read it before anything else."""

from __future__ import annotations

from typing import Any

from kfwd_nb._version import __version__
from kfwd_nb.kube.resources import RESOURCES, Resource
from kfwd_nb.relay.api.reviews import KINDS
from kfwd_nb.relay.api.routes import SERVED, subresources

KUBERNETES = ("1", "36")
"""The Kubernetes version whose API this is a part of."""

HEALTH = ("/healthz", "/livez", "/readyz")
"""Paths that answer "ok" as long as the relay does."""

PUBLIC = ("/version", *HEALTH)
"""Paths that need no credentials, as in Kubernetes (role system:public-info-viewer)."""


SUBRESOURCE_KINDS = {
    "portforward": {"kind": "PodPortForwardOptions"},
    "scale": {"kind": "Scale", "group": "autoscaling", "version": "v1"},
}
"""What a subresource takes and gives."""

LISTED_BY_ALL = ("pods", "services", "deployments")
"""The resources that `kubectl get all` means."""


def documents(cluster: str) -> dict[str, dict[str, Any]]:
    """The fixed answers, by path."""
    entries: dict[str, list[dict[str, Any]]] = {}
    for resource in RESOURCES:
        entries.setdefault(resource.api_version, []).extend(_entries(resource))
    for path, kind in KINDS.items():
        version, _, plural = path.removeprefix("/apis/").rpartition("/")
        entries.setdefault(version, []).append(_entry(plural, kind, ["create"]))
    groups = sorted(version for version in entries if "/" in version)
    return {
        "/version": _version(cluster),
        "/api": {"kind": "APIVersions", "versions": ["v1"], "serverAddressByClientCIDRs": []},
        "/apis": {
            "kind": "APIGroupList",
            "apiVersion": "v1",
            "groups": [_group(version) for version in groups],
        },
        **{
            f"/apis/{version.partition('/')[0]}": {"kind": "APIGroup", "apiVersion": "v1"}
            | _group(version)
            for version in groups
        },
        **{
            f"/apis/{version}" if "/" in version else f"/api/{version}": {
                "kind": "APIResourceList",
                "apiVersion": "v1",
                "groupVersion": version,
                "resources": listed,
            }
            for version, listed in entries.items()
        },
    }


def _version(cluster: str) -> dict[str, Any]:
    major, minor = KUBERNETES
    return {
        "major": major,
        "minor": minor,
        "gitVersion": f"v{major}.{minor}.0+kfwd",
        "gitCommit": "",
        "gitTreeState": "clean",
        "buildDate": "1970-01-01T00:00:00Z",
        "goVersion": "",
        "compiler": "",
        "platform": "",
        "kfwd": {"cluster": cluster, "version": __version__},  # clients know a kfwd relay by it
    }


def _group(version: str) -> dict[str, Any]:
    name, _, number = version.partition("/")
    entry = {"groupVersion": version, "version": number}
    return {"name": name, "versions": [entry], "preferredVersion": entry}


def _entries(resource: Resource) -> list[dict[str, Any]]:
    """A resource and its subresources."""
    plural = resource.plural
    main = _entry(plural, resource.kind, sorted(SERVED[plural]), namespaced=resource.namespaced)
    main["shortNames"] = list(resource.short)
    if plural in LISTED_BY_ALL:
        main["categories"] = ["all"]
    return [
        main,
        *(
            _entry(name, "", sorted(SERVED[name]), namespaced=resource.namespaced)
            | SUBRESOURCE_KINDS[sub]
            for sub in subresources(resource)
            for name in [f"{plural}/{sub}"]
        ),
    ]


def _entry(name: str, kind: str, verbs: list[str], *, namespaced: bool = False) -> dict[str, Any]:
    """An `APIResource` of apimachinery's meta/v1."""
    return {
        "name": name,
        "singularName": kind.lower(),
        "namespaced": namespaced,
        "kind": kind,
        "verbs": verbs,
    }
