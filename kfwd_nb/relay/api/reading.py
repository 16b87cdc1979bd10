"""The verbs that read: get, list and watch, the same for every resource."""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import msgspec

from kfwd_nb.errors import ExpiredError, LimitError, RemoteProtocolError
from kfwd_nb.kube.objects import Object, ObjectMeta
from kfwd_nb.relay.api.forms import Form, form_of, many, one, table
from kfwd_nb.relay.api.routes import is_true
from kfwd_nb.relay.api.selectors import Selector, parse_selector
from kfwd_nb.relay.store import Event, Store
from kfwd_nb.transport.http import Request, Response, status_object

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator

    from kfwd_nb.relay.api.routes import Call

MAX_WATCHES = 500
"""Watches that are open at the same time, over all clients."""

MAX_WATCH_SECONDS = 3600.0
"""Seconds after which a watch ends by itself; clients begin another, as they do with Kubernetes."""

BOOKMARK_SECONDS = 60.0
"""Seconds without an event after which a watch that asked for bookmarks gets one."""


class Reading:
    """Answers get, list and watch from the store."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._watches = 0

    def get(self, call: Call, request: Request) -> Response:
        """One object.

        Raises:
            NotFoundError: it is not there.
        """
        item = self._store.require(call.resource.type, call.namespace or "", call.name)
        return shown(200, call, request, item)

    def list(self, call: Call, request: Request) -> Response:
        """All that are selected, always in one piece: `limit` is a wish that may be passed over.

        Raises:
            UsageError: a selector cannot be read.
            RemoteProtocolError: a parameter cannot be meant.
            ExpiredError: the version asked for is not the present one.
        """
        self._check_version(call)
        selector = _selector(call)
        items = self._store.select(call.resource.type, call.namespace)
        chosen = [item for item in items if selector.matches(item)]
        version = str(self._store.revision)
        include = call.query.get("includeObject", "")
        form = form_of(request.headers.get("accept", ""))
        return json(200, many(form, call.resource, chosen, version, time.time(), include))

    def watch(self, call: Call, request: Request) -> Response:
        """What is selected, and every change of it, one event a line.

        Raises:
            UsageError, RemoteProtocolError: a parameter cannot be meant.
            LimitError: `MAX_WATCHES` are open.
            ExpiredError: the history does not reach back to the version asked for.
        """
        if self._watches >= MAX_WATCHES:
            raise LimitError(f"{MAX_WATCHES} watches are open; that is the relay's limit.")
        initial = is_true(call.query.get("sendInitialEvents", ""))
        after = number(call, "resourceVersion")
        if after:
            self._store.events(after)
        seconds = min(number(call, "timeoutSeconds") or MAX_WATCH_SECONDS, MAX_WATCH_SECONDS)
        watch = _Watch(
            call,
            _selector(call),
            form_of(request.headers.get("accept", "")),
            0 if initial else after,
            seconds,
            initial=initial,
            bookmarks=is_true(call.query.get("allowWatchBookmarks", "")),
        )
        return Response(200, self._lines(watch))

    async def _lines(self, watch: _Watch) -> AsyncGenerator[bytes, None]:
        """The lines of a watch: without a version to begin after, what is there comes first."""
        self._watches += 1
        kind, namespace = watch.call.resource.type, watch.call.namespace
        now = asyncio.get_running_loop().time
        try:
            end = now() + watch.seconds
            seen = watch.after or self._store.revision
            if not watch.after:
                for item in self._store.select(kind, namespace):
                    if watch.selector.matches(item):
                        yield watch.line("ADDED", item)
                if watch.initial:
                    yield watch.bookmark(seen, initial_end=True)
            while (left := end - now()) > 0:
                await self._store.changed(seen, min(left, BOOKMARK_SECONDS))
                events = self._store.events(seen)
                seen = self._store.revision
                for event in events:
                    if line := watch.told(event):
                        yield line
                if watch.bookmarks and not events:
                    yield watch.bookmark(seen)
        except ExpiredError as error:
            yield _line("ERROR", status_object(error, 410, "Expired"))
        finally:
            self._watches -= 1

    def _check_version(self, call: Call) -> None:
        """The parameters that ask for the state at a certain version; there is only the present."""
        if call.query.get("continue"):
            raise RemoteProtocolError("continue key is not valid: lists come in one piece here")
        version = number(call, "resourceVersion")
        exact = call.query.get("resourceVersionMatch") == "Exact"
        if version > self._store.revision or (exact and version != self._store.revision):
            raise ExpiredError(f"too old resource version: {version} ({self._store.revision})")


@dataclass(slots=True)
class _Watch:
    """What one watch asked for, and how its lines are written."""

    call: Call
    selector: Selector
    form: Form
    after: int
    seconds: float
    initial: bool
    bookmarks: bool
    _headed: bool = False

    def told(self, event: Event) -> bytes | None:
        """The line for a change, or None where it does not concern this watch.

        What comes to be selected is added, what is no longer selected deleted.
        """
        if type(event.item) is not self.call.resource.type:
            return None
        before, after = self._selected(event.former), self._selected(event.item)
        if event.type == "DELETED" or not after:
            return self.line("DELETED", event.item) if before else None
        return self.line("MODIFIED" if before else "ADDED", event.item)

    def line(self, event: str, item: Object) -> bytes:
        """An event; only a table's first one has its columns."""
        include = self.call.query.get("includeObject", "")
        what = one(self.form, self.call.resource, item, time.time(), include)
        if isinstance(what, dict) and self.form == "table":
            if self._headed:
                what["columnDefinitions"] = None
            self._headed = True
        return _line(event, what)

    def bookmark(self, version: int, *, initial_end: bool = False) -> bytes:
        """All up to `version` was told (Kubernetes API concepts, watch bookmarks)."""
        if self.form == "table":
            return _line("BOOKMARK", table(self.call.resource, [], str(version), 0.0))
        marks = {"k8s.io/initial-events-end": "true"} if initial_end else {}
        meta = ObjectMeta(resource_version=str(version), annotations=marks)
        resource = self.call.resource
        mark = Object(api_version=resource.api_version, kind=resource.kind, metadata=meta)
        return _line("BOOKMARK", one(self.form, resource, mark, 0.0))

    def _selected(self, item: Object | None) -> bool:
        return (
            item is not None
            and self.call.namespace in (None, item.metadata.namespace)
            and self.selector.matches(item)
        )


def shown(status: int, call: Call, request: Request, item: Object) -> Response:
    """One object, in the form that the client asked for."""
    form = form_of(request.headers.get("accept", ""))
    include = call.query.get("includeObject", "")
    return json(status, one(form, call.resource, item, time.time(), include))


def json(status: int, content: object) -> Response:
    """A response with a JSON body."""
    return Response(status, msgspec.json.encode(content), {"content-type": "application/json"})


def number(call: Call, name: str) -> int:
    """A parameter that is a number; 0 where it is not given.

    Raises:
        RemoteProtocolError: it is something else.
    """
    text = call.query.get(name, "") or "0"
    if not (text.isascii() and text.isdigit() and len(text) < 20):
        raise RemoteProtocolError(f"{name} must be a number, not {text[:100]!r}")
    return int(text)


def _selector(call: Call) -> Selector:
    return parse_selector(call.query.get("labelSelector", ""), call.query.get("fieldSelector", ""))


def _line(event: str, item: Any) -> bytes:
    return msgspec.json.encode({"type": event, "object": item}) + b"\n"
