"""How a controller runs: look at the whole store, decide, act, and again when something changed."""

from __future__ import annotations

from typing import TYPE_CHECKING, NoReturn, Protocol

if TYPE_CHECKING:
    from kfwd_nb.relay.store import Store


class Controller(Protocol):
    """Brings the store nearer to what its objects ask for.

    It looks at states, never at single events, so it cannot miss one; a step that finds nothing to
    do changes nothing.
    """

    def step(self) -> float | None:
        """Look and act once; seconds after which to look again although nothing changed."""


async def run(controller: Controller, store: Store) -> NoReturn:
    """Step at every change of the store, until cancelled."""
    while True:
        seen = store.revision
        wait = controller.step()
        await store.changed(seen, wait)
