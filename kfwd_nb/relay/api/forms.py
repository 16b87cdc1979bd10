"""The forms in which a client may ask for objects: whole, as a table, or only their metadata. Pure.

The form is a parameter of the media type in `Accept` (Kubernetes API concepts, "Receiving resources
as Tables"). There is JSON and nothing else: who prefers protobuf gets JSON, which every client that
asks for protobuf reads too.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

from kfwd_nb.relay.api.tables import columns_of, row_of

if TYPE_CHECKING:
    from collections.abc import Iterable

    from kfwd_nb.kube.objects import Object
    from kfwd_nb.kube.resources import Resource

Form = Literal["object", "table", "metadata"]

META_VERSION = "meta.k8s.io/v1"

_FORMS: dict[str, Form] = {
    "": "object",
    "Table": "table",
    "PartialObjectMetadata": "metadata",
    "PartialObjectMetadataList": "metadata",
}


def form_of(accept: str) -> Form:
    """The first form in an `Accept` field that can be had; whole objects where none can."""
    for each in accept.split(","):
        media, *rest = (part.strip() for part in each.split(";"))
        parameters = dict(part.partition("=")[::2] for part in rest)
        form = _FORMS.get(parameters.get("as", ""))
        if media != "application/json" or form is None:
            continue
        if form == "object" or (parameters.get("g"), parameters.get("v")) == ("meta.k8s.io", "v1"):
            return form
    return "object"


def one(form: Form, resource: Resource, item: Object, now: float, include: str = "") -> object:
    """One object in that form."""
    if form == "table":
        return table(resource, [item], item.metadata.resource_version, now, include)
    return partial(item) if form == "metadata" else item


def many(
    form: Form,
    resource: Resource,
    items: Iterable[Object],
    version: str,
    now: float,
    include: str = "",
) -> dict[str, Any]:
    """A list in that form, as the store was at `version`."""
    if form == "table":
        return table(resource, items, version, now, include)
    whole = form == "object"
    return {
        "kind": f"{resource.kind}List" if whole else "PartialObjectMetadataList",
        "apiVersion": resource.api_version if whole else META_VERSION,
        "metadata": {"resourceVersion": version},
        "items": [item if whole else partial(item) for item in items],
    }


def table(
    resource: Resource, items: Iterable[Object], version: str, now: float, include: str = ""
) -> dict[str, Any]:
    """A `Table` (apimachinery meta/v1): the columns, and a row for each object.

    Args:
        resource: the kind of the objects.
        items: the objects.
        version: their `resourceVersion`.
        now: epoch in seconds, for their age.
        include: what of an object goes with its row: Metadata (the same as empty), Object, None.
    """
    return {
        "kind": "Table",
        "apiVersion": META_VERSION,
        "metadata": {"resourceVersion": version},
        "columnDefinitions": [column.definition for column in columns_of(resource)],
        "rows": [{"cells": row_of(resource, item, now)} | _along(item, include) for item in items],
    }


def partial(item: Object) -> dict[str, Any]:
    """The object's metadata alone."""
    return {
        "kind": "PartialObjectMetadata",
        "apiVersion": META_VERSION,
        "metadata": item.metadata,
    }


def _along(item: Object, include: str) -> dict[str, Any]:
    if include == "None":
        return {}
    return {"object": item if include == "Object" else partial(item)}
