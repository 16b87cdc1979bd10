"""What the API says of itself: version, groups, resources. Clients read it before anything else."""

from __future__ import annotations

from typing import Any

from kfwd_nb._version import __version__
from kfwd_nb.kube.resources import RESOURCES, Resource
from kfwd_nb.relay.routes import SERVED

KUBERNETES = ("1", "36")
"""The Kubernetes version whose API this is a part of."""

HEALTH = ("/healthz", "/livez", "/readyz")
"""Paths that answer "ok" as long as the relay does."""

PUBLIC = ("/version", *HEALTH)
"""Paths that need no credentials, as in Kubernetes (role system:public-info-viewer)."""


def documents(cluster: str) -> dict[str, dict[str, Any]]:
    """The fixed answers, by path."""
    groups = sorted({resource.group for resource in RESOURCES if resource.group})
    bases = {resource.base: resource.api_version for resource in RESOURCES}
    return {
        "/version": _version(cluster),
        "/api": {"kind": "APIVersions", "versions": ["v1"], "serverAddressByClientCIDRs": []},
        "/apis": {
            "kind": "APIGroupList",
            "apiVersion": "v1",
            "groups": [_group(name) for name in groups],
        },
        **{
            f"/apis/{name}": {"kind": "APIGroup", "apiVersion": "v1"} | _group(name)
            for name in groups
        },
        **{base: _resources(base, version) for base, version in bases.items()},
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


def _group(name: str) -> dict[str, Any]:
    version = {"groupVersion": f"{name}/v1", "version": "v1"}
    return {"name": name, "versions": [version], "preferredVersion": version}


def _resources(base: str, version: str) -> dict[str, Any]:
    entries: list[dict[str, Any]] = []
    for resource in RESOURCES:
        if resource.base == base:
            entries.append(_entry(resource, resource.plural, sorted(SERVED[resource.plural])))
            entries += [
                _entry(resource, f"{resource.plural}/{sub}", ["create", "get"])
                for sub in resource.subresources
            ]
    return {
        "kind": "APIResourceList",
        "apiVersion": "v1",
        "groupVersion": version,
        "resources": entries,
    }


def _entry(resource: Resource, name: str, verbs: list[str]) -> dict[str, Any]:
    entry: dict[str, Any] = {
        "name": name,
        "singularName": resource.kind.lower() if "/" not in name else "",
        "namespaced": resource.namespaced,
        "kind": resource.kind if "/" not in name else "PodPortForwardOptions",
        "verbs": verbs,
    }
    if "/" not in name:
        entry["shortNames"] = list(resource.short)
    return entry
