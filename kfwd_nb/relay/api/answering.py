"""The API's front: who asks, for what, may they; then the verb does it."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from kfwd_nb.errors import KfwdError, UsageError
from kfwd_nb.kube.objects import Deployment
from kfwd_nb.relay.api.discovery import HEALTH, PUBLIC, documents
from kfwd_nb.relay.api.openapi import openapi
from kfwd_nb.relay.api.reading import Reading, json
from kfwd_nb.relay.api.reviews import KINDS, review
from kfwd_nb.relay.api.routes import Call, not_found, path_of, route
from kfwd_nb.relay.api.scale import scale_of
from kfwd_nb.relay.api.status import refusal
from kfwd_nb.relay.api.writing import Writing
from kfwd_nb.relay.impersonation import acting
from kfwd_nb.transport.http import Request, Response

if TYPE_CHECKING:
    from collections.abc import Callable

    from kfwd_nb.relay.authentication import Authenticator, User
    from kfwd_nb.relay.nodes import Nodes
    from kfwd_nb.relay.rbac import Authorizer
    from kfwd_nb.relay.store import Store


class Api:
    """Answers API requests: authenticates, routes, authorises, acts.

    Args:
        cluster: the cluster's name, shown by /version.
    """

    def __init__(
        self,
        cluster: str,
        store: Store,
        nodes: Nodes,
        authenticator: Authenticator,
        authorizer: Authorizer,
    ) -> None:
        self._store = store
        self._authenticator = authenticator
        self._authorizer = authorizer
        self._documents = documents(cluster)
        reading, writing = Reading(store), Writing(store, nodes)
        self._verbs: dict[str, Callable[[Call, Request], Response]] = {
            "get": reading.get,
            "list": reading.list,
            "watch": reading.watch,
            "create": writing.create,
            "update": writing.update,
            "patch": writing.patch,
            "delete": writing.delete,
        }

    async def answer(self, request: Request) -> Response:
        """The response to a request; a refusal is a `Status` object."""
        try:
            path = path_of(request.path)
            if path in HEALTH:
                return Response(200, b"ok", {"content-type": "text/plain"})
            if path in PUBLIC:
                return self._document(path, request.method)
            user = self._authenticator.require(request, time.time())
            user = acting(user, request.headers, self._authorizer)
            return self._answer_user(request, path, user)
        except KfwdError as error:
            return refusal(error)

    def _answer_user(self, request: Request, path: str, user: User) -> Response:
        if path in KINDS and request.method == "POST":
            media_type = request.headers.get("content-type", "")
            return json(201, review(path, request.body, media_type, user, self._authorizer))
        if path in self._documents:
            return self._document(path, request.method)
        if found := openapi(path):
            return found
        call = route(request.method, request.path)
        self._authorizer.require(user, call.attributes)
        if call.subresource == "portforward":
            raise UsageError("Upgrade request required")
        if call.subresource == "scale" and call.verb == "get":
            return json(200, scale_of(self._store.require(Deployment, *_place(call))))
        return self._verbs[call.verb](call, request)

    def _document(self, path: str, method: str) -> Response:
        if method not in ("GET", "HEAD"):
            raise not_found()
        return json(200, self._documents[path])


def _place(call: Call) -> tuple[str, str]:
    return call.namespace or "", call.name
