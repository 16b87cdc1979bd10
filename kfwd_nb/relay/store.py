"""The one store of the cluster's objects, and the events by which all others follow it.

Everything happens on one event loop, so there are no locks. An object in the store is never
changed in place: an update puts another in its place, with a new `resourceVersion`, and every
version leaves an event in a bounded history. Who follows the store keeps a number, the last version
seen, and no queue, so a slow follower costs no memory: when the history has passed it by, it must
list anew.
"""

from __future__ import annotations

import asyncio
import uuid
from collections import deque
from dataclasses import dataclass
from itertools import islice
from typing import TYPE_CHECKING, Any, Literal, TypeVar, cast

import msgspec

from kfwd_nb.errors import ExpiredError, KfwdError, LimitError, NotFoundError
from kfwd_nb.kube.nearest import did_you_mean
from kfwd_nb.kube.resources import resource_of
from kfwd_nb.kube.timestamps import timestamp

if TYPE_CHECKING:
    from collections.abc import Callable

    from kfwd_nb.kube.objects import Object

Kind = TypeVar("Kind", bound="Object")

MAX_OBJECTS = 5000
"""Objects of one kind. A Kubernetes node holds 110 pods; here all nodes share one machine."""

HISTORY = 4096
"""Events that are kept for followers."""

EventType = Literal["ADDED", "MODIFIED", "DELETED"]


class AlreadyExistsError(KfwdError):
    """The name is taken (409)."""


class ConflictError(KfwdError):
    """The object was changed since it was read (409)."""


@dataclass(frozen=True, slots=True)
class Event:
    """One change; a deleted object is shown as it last was.

    Attributes:
        former: the object before the change, if there was one.
    """

    type: EventType
    item: Object
    former: Object | None = None


def with_metadata(item: Kind, **changes: Any) -> Kind:
    """The object with other metadata."""
    metadata = msgspec.structs.replace(item.metadata, **changes)
    return msgspec.structs.replace(item, metadata=metadata)


class Store:
    """All objects, by kind, namespace and name.

    Args:
        now: tells the time for `creationTimestamp`.

    Attributes:
        revision: counts the changes; the newest `resourceVersion`.
    """

    def __init__(self, now: Callable[[], str] = timestamp) -> None:
        self.revision = 0
        self.now = now
        self._objects: dict[type[Object], dict[tuple[str, str], Object]] = {}
        self._history: deque[Event] = deque(maxlen=HISTORY)
        self._waiting: set[asyncio.Future[None]] = set()

    # -- reading ----------------------------------------------------------------------------------

    def get(self, kind: type[Kind], namespace: str, name: str) -> Kind | None:
        """The object, if it is there; `namespace` is empty for what is not namespaced."""
        return cast("Kind | None", self._of(kind).get((namespace, name)))

    def require(self, kind: type[Kind], namespace: str, name: str) -> Kind:
        """The object.

        Raises:
            NotFoundError: in Kubernetes' words; the hint has the nearest names.
        """
        item = self.get(kind, namespace, name)
        if item is None:
            names = sorted(each for space, each in self._of(kind) if space == namespace)
            raise NotFoundError(
                f'{resource_of(kind).plural} "{name}" not found', hint=did_you_mean(name, names)
            )
        return item

    def select(self, kind: type[Kind], namespace: str | None = None) -> list[Kind]:
        """All objects of a kind, in one namespace or, with None, in all; by namespace and name."""
        found = sorted(self._of(kind).items())
        return [cast("Kind", item) for (space, _), item in found if namespace in (None, space)]

    # -- writing ----------------------------------------------------------------------------------

    def create(self, item: Kind, *, uid: str = "") -> Kind:
        """Add an object; it gets its uid, if none is given, its version and its time.

        Raises:
            AlreadyExistsError: the name is taken.
            LimitError: there are `MAX_OBJECTS` of its kind.
        """
        self.check_free(item)
        item = with_metadata(
            item,
            uid=uid or str(uuid.uuid4()),
            creation_timestamp=self.now(),
            deletion_timestamp=None,
        )
        return self._put("ADDED", item)

    def check_free(self, item: Object) -> None:
        """Nothing, if the object can be created.

        Raises:
            AlreadyExistsError: the name is taken.
            LimitError: there are `MAX_OBJECTS` of its kind.
        """
        objects = self._of(type(item))
        plural = resource_of(type(item)).plural
        if _key(item) in objects:
            raise AlreadyExistsError(f'{plural} "{item.metadata.name}" already exists')
        if len(objects) >= MAX_OBJECTS:
            raise LimitError(f"the relay holds {MAX_OBJECTS} {plural}; that is its limit.")

    def update(self, item: Kind) -> Kind:
        """Put the object in the place of its former version; without a difference, do nothing.

        Raises:
            NotFoundError: it is not there, or another one has its name now.
        """
        former = self.require(type(item), *_key(item))
        if former.metadata.uid != item.metadata.uid:
            raise NotFoundError(f'{item.kind} "{item.metadata.name}" was replaced by another')
        item = with_metadata(item, resource_version=former.metadata.resource_version)
        return former if item == former else self._put("MODIFIED", item)

    def delete(self, item: Kind) -> Kind:
        """Take the object out.

        Raises:
            NotFoundError: it is not there.
        """
        former = self.require(type(item), *_key(item))
        gone = self._record("DELETED", former)
        del self._of(type(item))[_key(item)]
        return gone

    # -- following --------------------------------------------------------------------------------

    def events(self, after: int) -> list[Event]:
        """All changes since version `after`.

        Raises:
            ExpiredError: the history does not reach back so far.
        """
        missed = self.revision - after
        if not 0 <= missed <= len(self._history):
            raise ExpiredError(f"too old resource version: {after} ({self.revision})")
        return list(islice(self._history, len(self._history) - missed, None))

    async def changed(self, after: int, timeout: float | None = None) -> None:  # noqa: ASYNC109
        """Wait until there is a version newer than `after`, at most `timeout` seconds."""
        if self.revision > after:
            return
        waiter = asyncio.get_running_loop().create_future()
        self._waiting.add(waiter)
        try:
            await asyncio.wait((waiter,), timeout=timeout)
        finally:
            self._waiting.discard(waiter)

    # -- inside -----------------------------------------------------------------------------------

    def _of(self, kind: type[Object]) -> dict[tuple[str, str], Object]:
        return self._objects.setdefault(kind, {})

    def _put(self, event: EventType, item: Kind) -> Kind:
        item = self._record(event, item)
        self._of(type(item))[_key(item)] = item
        return item

    def _record(self, event: EventType, item: Kind) -> Kind:
        self.revision += 1
        item = with_metadata(item, resource_version=str(self.revision))
        former = self._of(type(item)).get(_key(item))
        self._history.append(Event(event, item, former))
        for waiter in self._waiting:
            if not waiter.done():
                waiter.set_result(None)
        self._waiting.clear()
        return item


def _key(item: Object) -> tuple[str, str]:
    return item.metadata.namespace, item.metadata.name
