"""What the relay says to clients that ask for schemas: that there are none to check against.

kubectl wants OpenAPI before it creates or applies anything. The relay checks every object itself
(`kube.manifests.schema`), so the documents have paths and no schemas: kubectl 1.27 and newer then
leave the checking to the server, older ones find no model of the kind and check nothing.
"""

from __future__ import annotations

from typing import Any

import msgspec

from kfwd_nb.kube.resources import RESOURCES
from kfwd_nb.transport.http import Response

V2_PROTOBUF = b"\x0a\x032.0"
"""An `openapi.v2.Document` whose field 1, `swagger`, is "2.0", and that has nothing else. kubectl
reads this document as protobuf only."""

V3 = "/openapi/v3"


def openapi(path: str) -> Response | None:
    """The answer, if the path is one of these documents."""
    if path == "/openapi/v2":
        kind = "application/com.github.proto-openapi.spec.v2.v1.0+protobuf"
        return Response(200, V2_PROTOBUF, {"content-type": kind})
    if path == V3:
        return _json({"paths": {each: {"serverRelativeURL": f"{V3}/{each}"} for each in _BASES}})
    base = path.removeprefix(f"{V3}/")
    if path != base and base in _BASES:
        return _json(_BASES[base])
    return None


def _document(base: str) -> dict[str, Any]:
    return {
        "openapi": "3.0.0",
        "info": {"title": "kfwd", "version": "v1"},
        "paths": {
            resource.path("{namespace}", "{name}"): {
                "patch": {
                    "operationId": f"patch{resource.kind}",
                    "parameters": [
                        {"name": "fieldValidation", "in": "query", "schema": {"type": "string"}},
                        {"name": "dryRun", "in": "query", "schema": {"type": "string"}},
                    ],
                    "responses": {},
                    "x-kubernetes-group-version-kind": {
                        "group": resource.group,
                        "version": "v1",
                        "kind": resource.kind,
                    },
                }
            }
            for resource in RESOURCES
            if resource.base == f"/{base}"
        },
    }


_BASES = {base: _document(base) for base in sorted({each.base[1:] for each in RESOURCES})}


def _json(content: object) -> Response:
    return Response(200, msgspec.json.encode(content), {"content-type": "application/json"})
