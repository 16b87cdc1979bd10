"""A local port of a forward, as others see it."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class ForwardedPort:
    """One PORT argument, listening.

    Attributes:
        addresses: what it listens on; `localhost` is 127.0.0.1 and, where there is one, ::1.
        local: the local port.
        remote: the target's port; a name that was given is its number here.
        protocol: TCP.
        name: of the target's port, in the service or the pod; empty where it has none.
    """

    addresses: tuple[str, ...]
    local: int
    remote: int
    protocol: str = "TCP"
    name: str = ""

    @property
    def address(self) -> str:
        """The first address, for a program that wants one."""
        return self.addresses[0]
