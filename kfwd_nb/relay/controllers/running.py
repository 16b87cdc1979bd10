"""How a controller runs: look at the whole store, decide, act, and again when something changed."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, NoReturn, Protocol

from kfwd_nb.errors import KfwdError

if TYPE_CHECKING:
    from kfwd_nb.relay.store import Store


RETRY = 5.0
"""Seconds before a step that failed is made again, if nothing changes in between."""

logger = logging.getLogger(__name__)


class Controller(Protocol):
    """Brings the store nearer to what its objects ask for.

    It looks at states, never at single events, so it cannot miss one; a step that finds nothing to
    do changes nothing.
    """

    def step(self) -> float | None:
        """Look and act once; seconds after which to look again although nothing changed."""


async def run(controller: Controller, store: Store) -> NoReturn:
    """Step at every change of the store, until cancelled.

    What one object refuses (a `KfwdError`) is logged, and does not end the controller.
    """
    while True:
        seen = store.revision
        try:
            wait = controller.step()
        except KfwdError as error:
            logger.warning("%s: %s", type(controller).__name__, error.what)
            seen, wait = store.revision, RETRY  # else what the step changed would repeat it at once
        await store.changed(seen, wait)
