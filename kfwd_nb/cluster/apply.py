"""Creates the manifests' objects at the relay."""

from __future__ import annotations

from collections.abc import Iterable

import msgspec

from kfwd_nb.kube.objects import AnyObject
from kfwd_nb.kube.resources import resource_of
from kfwd_nb.transport.http import error_of_response
from kfwd_nb.transport.http2.client import Tunnel

CONFLICT = 409


async def create(tunnel: Tunnel, objects: Iterable[AnyObject]) -> None:
    """Create the objects, in their order; a namespace may be there already.

    Raises:
        KfwdError: the relay refuses one; says which and why.
    """
    for each in objects:
        resource = resource_of(type(each))
        path = resource.path(each.metadata.namespace or None)
        reply = await tunnel.request("POST", path, body=msgspec.json.encode(each))
        if reply.status == CONFLICT and not resource.namespaced:
            continue
        if reply.status >= 400:
            error = error_of_response(reply.status, reply.body)
            name = f"{resource.kind}/{each.metadata.name}"
            raise type(error)(f"{name}: {error.what}", where=error.where, hint=error.hint)
